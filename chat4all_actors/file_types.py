"""What people may send each other as files, if nobody says otherwise."""

from __future__ import annotations

from typing import Final

DEFAULT_FILE_TYPES: Final = (
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/heic",
    "image/avif",
    "image/bmp",
    "image/tiff",
    "audio/*",
    "video/*",
    "text/plain",
    "text/csv",
    "application/json",
    "application/pdf",
    "application/rtf",
    "application/zip",
    "application/gzip",
    "application/x-7z-compressed",
    "application/epub+zip",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.oasis.opendocument.*",
    "application/vnd.openxmlformats-officedocument.*",
    "application/octet-stream",
)
"""What people send each other. `application/octet-stream` is what nothing is known of."""
