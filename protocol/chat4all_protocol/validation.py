"""msgspec's sentences as errors a client can act on: which field, and what is allowed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from .ids import (
    CHANNEL_PATTERN,
    DEVICE_PATTERN,
    MEMBER_PATTERN,
    USERNAME_PATTERN,
    UUID_PATTERN,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_AT: Final = re.compile(
    r"^(?P<what>.*?)(?: - at (?:`key` in )?`\$\.?(?P<path>[^`]*)`)?$", re.DOTALL
)
FORMATS: Final[Mapping[str, str]] = {
    UUID_PATTERN: "a UUID in canonical lower-case form",
    USERNAME_PATTERN: "a user name of 1 to 64 letters, digits, '.', '_' or '-'",
    MEMBER_PATTERN: "a user name, or an address such as whatsapp:+5511999998888",
    DEVICE_PATTERN: "1 to 128 visible ASCII characters",
    CHANNEL_PATTERN: "a channel's name in lower-case letters, or name:account",
}
"""What a pattern stands for, in words."""
_REGEX: Final = re.compile(r"`str` matching regex (?P<quoted>'.*')$", re.DOTALL)
_MISSING: Final = re.compile(r"missing required field `(?P<name>[^`]*)`")
MAX_SAID: Final = 200
"""Characters of msgspec's sentence that are passed on: it may quote a value of any length."""


class Fault(NamedTuple):
    """What is wrong with a value."""

    field: str | None
    """The path of the field at fault; None: the whole."""
    message: str


def explain(said: str, whole: str, formats: Mapping[str, str] = FORMATS) -> Fault:
    """What a `msgspec.ValidationError` said; `whole` names the value if no field is at fault."""
    match = _AT.match(said)
    assert match is not None  # the pattern matches every string
    what, path = match["what"], match["path"] or ""
    if missing := _MISSING.search(what):
        path = f"{path}.{missing['name']}" if path else missing["name"]
        return Fault(path, f"{path} is required")
    if regex := _REGEX.search(what):
        known = (text for pattern, text in formats.items() if repr(pattern) == regex["quoted"])
        what = f"Expected {next(known, 'text without NUL characters')}"
    return Fault(path or None, f"{path or whole}: {what[:MAX_SAID]}")
