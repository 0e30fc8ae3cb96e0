"""What the fields of frames hold: ids, names, places in a conversation, and what a message says."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from chat4all_protocol.ids import (
    CHANNEL_PATTERN,
    DEVICE_PATTERN,
    MEMBER_PATTERN,
    USERNAME_PATTERN,
    UUID_PATTERN,
)

MAX_INTEGER: Final = 2**63 - 1
FETCH_LIMIT: Final = 100
"""The most events one `fetch` asks for, and the most replayed per conversation at a connect."""
MAX_EMOJI: Final = 32
"""Characters of a reaction: one that is seen as one may be many."""

Id: TypeAlias = Annotated[str, Meta(pattern=UUID_PATTERN)]
Username: TypeAlias = Annotated[str, Meta(pattern=USERNAME_PATTERN)]
MemberName: TypeAlias = Annotated[str, Meta(pattern=MEMBER_PATTERN)]
Device: TypeAlias = Annotated[str, Meta(pattern=DEVICE_PATTERN)]
Rid: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Seq: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
Position: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]  # 0: before the first
Title: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\A[^\x00]*\Z")]
Emoji: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_EMOJI, pattern=r"\A[^\x00]*\Z")]
Token: TypeAlias = Annotated[str, Meta(min_length=1, max_length=8192)]
Channel: TypeAlias = Annotated[str, Meta(pattern=CHANNEL_PATTERN)]
ConversationType: TypeAlias = Literal["private", "group"]
Kind: TypeAlias = Literal["message", "edit", "delete", "react", "join", "leave", "change"]
TypingKind: TypeAlias = Literal["text", "voice", "file"]
UploadState: TypeAlias = Literal["uploading", "checking", "ready", "quarantined", "rejected"]


class TextBody(Struct, tag_field="type", tag="text", frozen=True, gc=False):
    """A text; `hello.limits.text` is its greatest length in characters."""

    text: Annotated[str, Meta(min_length=1)]


class FileBody(Struct, tag_field="type", tag="file", frozen=True, omit_defaults=True, gc=False):
    """A file that was uploaded before, with an optional caption.

    A client says `file_id` and `text`; the server adds the rest, whatever a client put there.
    """

    file_id: Id
    """What the upload was answered with."""
    text: str | None = None
    name: str | None = None
    """What its uploader called it: to be shown, never part of a path."""
    size: int | None = None
    """Bytes."""
    mime: str | None = None
    """What its bytes are."""
    width: int | None = None
    """Of an image, in pixels."""
    height: int | None = None
    thumbnail: bool = False
    """Whether there is a thumbnail to fetch."""


class MemberBody(Struct, tag_field="type", tag="member", frozen=True, omit_defaults=True, gc=False):
    """Whom a `join` or `leave` event is about; the event's `from` is who did it."""

    user: str
    """The member's name."""
    role: str | None = None


SendBody: TypeAlias = TextBody | FileBody
"""What a message can say."""
Body: TypeAlias = TextBody | FileBody | MemberBody
"""What an event can say."""
