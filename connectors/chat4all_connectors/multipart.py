"""A form with a file in it, sent piece by piece: `multipart/form-data` of RFC 7578.

Written by hand as httpx2 reads files of forms without waiting, so only from memory or a disk.
"""

from __future__ import annotations

import secrets
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from .outgoing import Upload

_ESCAPED: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
"""As browsers write them in names."""


class Multipart:
    """A `http.Body` of fields, in their order, and then one file."""

    def __init__(self, fields: Mapping[str, str], field: str, upload: Upload) -> None:
        """`field` is the name of the part that has the file."""
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        name = upload.name.translate(_ESCAPED)
        # A type of ours never has a line break in it; one that has would end the part's headers.
        mime = upload.mime if upload.mime.isprintable() else "application/octet-stream"
        self._head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        ).encode() + (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
            f"Content-Type: {mime}\r\n\r\n"
        ).encode(errors="replace")
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._upload = upload
        self.size = len(self._head) + upload.size + len(self._tail)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The whole form; the file is opened each time."""
        yield self._head
        async with self._upload.open() as opened, aclosing(opened) as pieces:
            async for piece in pieces:
                yield piece
        yield self._tail
