"""What a stage and those who play on it from elsewhere tell each other: JSON, a line each.

A player begins with `Enter`. What there is in the chat with that person is shown then, and whatever
changes in it from then on. Each act is answered by one `Done`, `Content` or `Refused`, in their
order; `Enter` too, once everything that was there has been shown.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from chat4all_connectors.capabilities import MediaKind  # noqa: TC001 - decoding needs it

from .chats import Line  # noqa: TC001 - decoding needs it

LONGEST_TEXT: Final = 64 * 1024
"""Bytes of a line of a player's, beside a file that it brings."""

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=10_000)]


class Cue(Struct, frozen=True, kw_only=True, tag_field="cue", tag=str.lower):
    """One of them."""


# --- what players do


class Enter(Cue, frozen=True, kw_only=True):
    """Be this person, who is there from now on."""

    person: Annotated[str, Meta(min_length=1, max_length=128)]
    name: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    """What she is called from now on."""


class Say(Cue, frozen=True, kw_only=True):
    """Write."""

    text: Text
    reply_to: str | None = None


class Send(Cue, frozen=True, kw_only=True):
    """Send a file."""

    kind: MediaKind
    mime: Annotated[str, Meta(max_length=128)]
    name: Annotated[str, Meta(max_length=256)]
    content: bytes
    caption: Annotated[str, Meta(max_length=10_000)] = ""


class Edit(Cue, frozen=True, kw_only=True):
    """Replace an own text."""

    message: str
    text: Text


class Delete(Cue, frozen=True, kw_only=True):
    """Take an own message back."""

    message: str


class React(Cue, frozen=True, kw_only=True):
    """React, or with None take that back."""

    message: str
    emoji: Annotated[str, Meta(min_length=1, max_length=32)] | None = None


class Read(Cue, frozen=True, kw_only=True):
    """Read everything that was sent."""


class Block(Cue, frozen=True, kw_only=True):
    """Take nothing any more, or again."""

    blocked: bool = True


class Fetch(Cue, frozen=True, kw_only=True):
    """Have the file of a message."""

    message: str


Act: TypeAlias = Enter | Say | Send | Edit | Delete | React | Read | Block | Fetch


# --- what players see


class Shown(Cue, frozen=True, kw_only=True):
    """A message that is new, or not as it was."""

    line: Line


class Gone(Cue, frozen=True, kw_only=True):
    """A message is not there any more."""

    message: str


class Typing(Cue, frozen=True, kw_only=True):
    """Somebody on the other side types, or has stopped."""

    typing: bool


class Done(Cue, frozen=True, kw_only=True):
    """What was to be done is done."""

    message: str | None = None
    """The id of what was written or sent."""


class Content(Cue, frozen=True, kw_only=True):
    """The file that was asked for."""

    content: bytes


class Refused(Cue, frozen=True, kw_only=True):
    """What was to be done can't be."""

    reason: str


Answer: TypeAlias = Done | Content | Refused
Sight: TypeAlias = Shown | Gone | Typing

_acts: Final[msgspec.json.Decoder[Act]] = msgspec.json.Decoder(Act)
_sights: Final[msgspec.json.Decoder[Sight | Answer]] = msgspec.json.Decoder(Sight | Answer)


def encode(cue: Cue) -> bytes:
    """As a line."""
    return msgspec.json.encode(cue) + b"\n"


def decode_act(line: bytes | bytearray) -> Act:
    """What a player does.

    Raises:
        msgspec.DecodeError: it is none of these.
    """
    return _acts.decode(line)


def decode_sight(line: bytes | bytearray) -> Sight | Answer:
    """What a player sees.

    Raises:
        msgspec.DecodeError: it is none of these.
    """
    return _sights.decode(line)
