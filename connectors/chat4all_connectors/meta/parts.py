"""Messages with several files: each file is a message of its own for us.

The first has Meta's id of the message, the others the same with their number behind it; what goes
back to Meta is always about the whole.
"""

from __future__ import annotations

from typing import Final

_MARK: Final = "#"
"""In none of Meta's ids, which are made of the characters of base64 and `_.:-`."""


def part(message: str, number: int) -> str:
    """The id of the part with this number, from 0."""
    return message if number == 0 else f"{message}{_MARK}{number}"


def whole(message: str) -> str:
    """Meta's id of the message that it is a part of."""
    return message.partition(_MARK)[0]
