"""Texts of other people, made safe for a terminal; times and frames as lines."""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from chat4all_protocol.frames import FileBody, MemberBody, TextBody

if TYPE_CHECKING:
    from chat4all_protocol.frames import Msg

_JOINERS: Final = "\u200c\u200d"
"""Format characters that scripts and emoji need; the others are invisible or turn text around."""
_UNITS: Final = ("kB", "MB", "GB", "TB")
NEW_LINE: Final = "↵"
"""Stands for a line break where a message must stay on one line."""


def safe(text: str) -> str:
    """`text` with nothing in it that a terminal acts on; line breaks stay, tabs become spaces."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_safe, text.replace("\r\n", "\n")))


def safe_line(text: str) -> str:
    """`text` made safe, on one line."""
    return safe(text).replace("\n", NEW_LINE)


def _safe(char: str) -> str:
    if char == "\n":
        return char
    if char == "\t":
        return "    "
    category = unicodedata.category(char)
    if category == "Cc":
        # A picture of the control character, so that one sees that there was something.
        code = ord(char)
        return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"
    if category in ("Zl", "Zp"):
        return "\n"
    if category == "Cf":
        return char if char in _JOINERS else ""
    return "\ufffd" if category in ("Cs", "Cn") else char


def clock(ts: int) -> str:
    """The local time of day of a time in ms since the epoch: `HH:MM`."""
    return f"{datetime.fromtimestamp(ts / 1000):%H:%M}"


def day(ts: int) -> str:
    """The local date of a time in ms since the epoch: `Monday, 2 March 2026`."""
    at = datetime.fromtimestamp(ts / 1000)
    return f"{at:%A}, {at.day} {at:%B %Y}"


def text_of(event: Msg, number: int | None = None) -> str:
    """What an event says, made safe; empty when it says nothing to a reader.

    `number` is what a reader calls the file that it carries.
    """
    body = event.body
    if event.deleted or event.kind == "delete":
        return "(deleted)"
    if isinstance(body, TextBody):
        return safe(body.text)
    if isinstance(body, FileBody):
        return body_text(body, number)
    if isinstance(body, MemberBody):
        verb = "joined" if event.kind == "join" else "left"
        return f"{safe_line(body.user)} {verb}"
    return ""


def body_text(body: str | FileBody, number: int | None = None) -> str:
    """What a message is going to say, made safe."""
    if isinstance(body, str):
        return safe(body)
    return f"[{_file(body, number)}] {safe(body.text or '')}".rstrip()


def size_of(count: int) -> str:
    """So many bytes, for people: `999 B`, `1.5 MB`."""
    if count < 1000:
        return f"{count} B"
    amount = float(count)
    for unit in _UNITS[:-1]:
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:,.1f} {_UNITS[-1]}"


def _file(body: FileBody, number: int | None) -> str:
    """Which file a message carries: `file 3: plan.png, 1.2 MB, image 800x600`."""
    parts = [file_name_of(body)]
    if body.size is not None:
        parts.append(size_of(body.size))
    kind = (body.mime or "").partition("/")[0]
    if kind in ("image", "audio", "video"):
        pixels = f" {body.width}\u00d7{body.height}" if body.width and body.height else ""
        parts.append(f"{kind}{pixels}")
    return f"file{'' if number is None else f' {number}'}: {', '.join(parts)}"


def file_name_of(body: FileBody) -> str:
    """What a file is called, made safe; its id if the message tells no name."""
    return safe_line(body.name or body.file_id)


def event_line(event: Msg) -> str:
    """An event as a line for a pipe: `HH:MM name: text`."""
    text = text_of(event).replace("\n", NEW_LINE)
    return f"{clock(event.ts)} {safe_line(event.from_)}: {text}"


def json_line(frame: Any) -> str:
    """A frame as JSON on one line, in ASCII: nothing in it moves a cursor."""
    return json.dumps(msgspec.to_builtins(frame))
