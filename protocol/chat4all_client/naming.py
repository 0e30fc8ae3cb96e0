"""Names for files that others named: they choose a name, never a place."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = 200
"""Of a name in UTF-8: file systems take 255, and there are endings to come."""
UNNAMED: Final = "file"
_SEPARATORS: Final = re.compile(r"[/\\]")
_UNWANTED: Final = re.compile(r'[<>:"|?*]')
"""What some file systems give a meaning to."""
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
"""Devices on Windows, whatever follows the first dot."""


def file_name(name: str) -> str:
    """A name for the disk that looks like `name` and can't lead anywhere else.

    What is before its last separator goes, and so do dots in front (hidden files), dots and blanks
    behind, and characters that can't be seen or that turn text around.
    """
    name = _SEPARATORS.split(name)[-1]
    name = "".join(char for char in name if unicodedata.category(char) not in _INVISIBLE)
    name = _UNWANTED.sub("_", name).lstrip(". ").rstrip(". ")
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    return _shortened(name) or UNNAMED


def _shortened(name: str) -> str:
    if len(name.encode()) <= MAX_BYTES:
        return name
    suffix = PurePath(name).suffix
    if len(suffix.encode()) > 20:
        suffix = ""
    stem = name.removesuffix(suffix).encode()[: MAX_BYTES - len(suffix.encode())]
    return stem.decode("utf-8", "ignore").rstrip(". ") + suffix


def alternatives(name: str) -> Iterator[str]:
    """`plan.pdf`, `plan (2).pdf`, `plan (3).pdf`, …: the first that is free is to be taken."""
    yield name
    path = PurePath(name)
    number = 2
    while True:
        yield f"{path.stem} ({number}){path.suffix}"
        number += 1
