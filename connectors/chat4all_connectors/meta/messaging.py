"""What the updates of Messenger and Instagram look like, as far as anything of them is used."""

from __future__ import annotations

from msgspec import Struct

from .fields import Id, Millis


class Party(Struct, frozen=True):
    """A person, or our account."""

    id: Id


class Payload(Struct, frozen=True):
    """Of an attachment."""

    url: str | None = None
    title: str | None = None


class Attachment(Struct, frozen=True):
    """A file, or something that was shared."""

    type: str
    payload: Payload | None = None
    title: str | None = None
    url: str | None = None


class Story(Struct, frozen=True):
    """What vanishes after a day."""

    id: str | None = None


class ReplyTo(Struct, frozen=True):
    """What a message answers."""

    mid: str | None = None
    story: Story | None = None


class Message(Struct, frozen=True):
    """What somebody wrote, or we did (`is_echo`)."""

    mid: Id
    text: str | None = None
    attachments: list[Attachment] = []
    reply_to: ReplyTo | None = None
    is_echo: bool = False
    is_deleted: bool = False
    is_unsupported: bool = False
    metadata: str | None = None


class Reaction(Struct, frozen=True):
    """To a message."""

    mid: Id
    action: str
    emoji: str | None = None
    reaction: str | None = None


class Delivery(Struct, frozen=True):
    """What has arrived: everything until a time, and perhaps which messages these are."""

    watermark: Millis
    mids: list[Id] = []


class Read(Struct, frozen=True):
    """What was read: everything until a time (Messenger), or up to a message (Instagram)."""

    watermark: Millis | None = None
    mid: Id | None = None


class Edit(Struct, frozen=True):
    """That a message has another text now."""

    mid: Id
    text: str
    num_edit: int = 0


class Postback(Struct, frozen=True):
    """A button that was pressed."""

    title: str | None = None
    mid: Id | None = None


class Update(Struct, frozen=True):
    """One thing that happened between a person and our account."""

    sender: Party
    recipient: Party
    timestamp: Millis | None = None
    """Missing in samples of what was delivered."""
    message: Message | None = None
    reaction: Reaction | None = None
    delivery: Delivery | None = None
    read: Read | None = None
    message_edit: Edit | None = None
    postback: Postback | None = None
