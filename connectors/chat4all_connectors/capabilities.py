"""What a channel can carry: declared by its connector, so that the rest is degraded visibly."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

Unit: TypeAlias = Literal["characters", "utf16", "bytes"]
"""Of a text's length: code points, UTF-16 code units, or bytes of UTF-8."""
MediaKind: TypeAlias = Literal["image", "video", "audio", "document"]
"""As what a file is shown."""
Receipts: TypeAlias = Literal["none", "message", "watermark"]
"""What is told of messages that arrived or were read: nothing, of each, or up to a time."""


class TextLimit(Struct, frozen=True):
    """How long a text may be."""

    most: int
    unit: Unit = "characters"

    def length(self, text: str) -> int:
        """In this limit's unit."""
        if self.unit == "characters":
            return len(text)
        if self.unit == "utf16":
            return len(text) + sum(character > "\uffff" for character in text)
        return len(text.encode())

    def fits(self, text: str) -> bool:
        """Whether it is no longer than that."""
        return self.length(text) <= self.most


class MediaLimit(Struct, frozen=True):
    """What is taken as one kind of media."""

    kind: MediaKind
    types: tuple[str, ...]
    """MIME types, with `*` for any: `image/*`."""
    max_bytes: int
    captions: bool = True
    """Whether a text can go with it, where the channel has captions; else it goes after it."""

    def takes(self, mime: str, size: int) -> bool:
        """Whether a file of this type and size, in bytes, is one."""
        return size <= self.max_bytes and any(fnmatchcase(mime, type_) for type_ in self.types)


class Rate(Struct, frozen=True, forbid_unknown_fields=True):
    """How many calls a provider takes: so many at once, and so many a second after that."""

    per_second: Annotated[float, Meta(gt=0)]
    burst: Annotated[int, Meta(ge=1)]


class Capabilities(Struct, frozen=True, kw_only=True):
    """The capability matrix of a channel."""

    text: TextLimit
    caption: TextLimit | None = None
    """Of a text that goes with a file; None: it goes as a message of its own, after the file."""
    media: tuple[MediaLimit, ...] = ()
    """In the order in which they are tried: the first that takes a file decides how it is shown."""
    media_by_url: bool = False
    """Whether files can't be handed over, but are fetched by the provider: `FileMessage.url`."""
    reply: bool = False
    """Whether a message can quote another one."""
    edit: bool = False
    """Whether a text that was sent can be replaced."""
    delete: bool = False
    delete_within: float | None = None
    """Seconds after which what was sent can't be deleted any more; None: never."""
    reaction: bool = False
    typing: float | None = None
    """Seconds for which people are shown that somebody types; None: they are not."""
    mark_read: bool = False
    """Whether people are told that their messages were read."""
    delivered: Receipts = "none"
    read: Receipts = "none"
    window: float | None = None
    """Seconds after a person's last message in which they may be written to; None: always."""
    starts: bool = False
    """Whether a person who has not written yet may be written to."""
    templates: bool = False
    """Whether approved templates may be sent outside the window."""
    groups: bool = False
    """Whether a chat may have several people in it."""
    account_rate: Rate
    """Of everything that an account sends."""
    chat_rate: Rate
    """Of what goes to one chat."""

    def media_for(self, mime: str, size: int) -> MediaLimit | None:
        """As what a file of this type and size, in bytes, is sent; None: not at all."""
        return next((limit for limit in self.media if limit.takes(mime, size)), None)


ANY_TYPE: Final = ("*/*",)
"""For a `MediaLimit` that takes everything."""
