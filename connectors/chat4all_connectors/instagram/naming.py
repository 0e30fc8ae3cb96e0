"""Names of files as Instagram takes them: in ASCII, says its page about uploads."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from ..outgoing import Upload


def plain_name(name: str) -> str:
    """A name in ASCII: accents are left out, other characters are `_`."""
    letters = unicodedata.normalize("NFKD", name)
    kept = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() else "_" for letter in kept) or "_"


class Plain:
    """The same file under a plain name."""

    def __init__(self, file: Upload) -> None:
        self.name = plain_name(file.name)
        self.mime = file.mime
        self.size = file.size
        self._file = file

    def open(self) -> AbstractAsyncContextManager[AsyncGenerator[bytes, None]]:
        """Its bytes from the beginning."""
        return self._file.open()
