"""What happens on a channel, as a connector tells it: one vocabulary for all providers.

Every event has a `key` that is the same whenever the provider repeats it, so that it counts once.
They are kept as JSON until they are worked on: `msgspec.json` reads an `Event` back by its tag.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from .capabilities import MediaKind
from .errors import Failure


class Contact(Struct, frozen=True, kw_only=True):
    """A person on the channel."""

    id: str
    """The provider's id of this person for us; the same in every event."""
    name: str | None = None
    """What people call them."""
    handle: str | None = None
    """A user name there, without `@`."""
    aliases: tuple[str, ...] = ()
    """Other ids of the same person."""


class Media(Struct, frozen=True, kw_only=True):
    """A file that somebody sent; its bytes are fetched by `Connector.download`."""

    ref: str
    """What the connector needs to fetch it; for nobody else."""
    kind: MediaKind
    mime: str | None = None
    name: str | None = None
    size: int | None = None
    """Bytes, as they were announced."""


class _Event(Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    pass


class Received(_Event, frozen=True, kw_only=True):
    """Somebody wrote."""

    key: str
    chat: str
    """Where: what `Message.chat` takes to answer."""
    sender: Contact
    message: str
    """The provider's id of the message."""
    at: int
    """When, in milliseconds since the epoch."""
    text: str = ""
    media: Media | None = None
    note: str = ""
    """What can't be carried over, in words for people: `a location: -23.5, -46.6`."""
    reply_to: str | None = None
    """The provider's id of the message it quotes."""
    group: str | None = None
    """The title of the group, if the chat is one."""


class Edited(_Event, frozen=True, kw_only=True):
    """Somebody replaced the text of a message."""

    key: str
    chat: str
    sender: Contact
    message: str
    at: int
    text: str


class Deleted(_Event, frozen=True, kw_only=True):
    """Somebody took a message back."""

    key: str
    chat: str
    message: str
    at: int
    sender: Contact | None = None


class Reacted(_Event, frozen=True, kw_only=True):
    """Somebody reacted to a message."""

    key: str
    chat: str
    sender: Contact
    message: str
    """The one that was reacted to."""
    at: int
    emoji: str | None
    """None: the reaction was taken back."""


ReceiptStatus: TypeAlias = Literal["sent", "delivered", "read", "failed"]


class Receipt(_Event, frozen=True, kw_only=True):
    """How far something that we sent has come: one message, or everything up to a time."""

    key: str
    chat: str | None
    """None: the provider does not say."""
    status: ReceiptStatus
    at: int
    message: str | None = None
    """The provider's id of it."""
    watermark: int | None = None
    """Without `message`: everything that was sent until then, in milliseconds since the epoch."""
    reference: str | None = None
    """What was handed over with it."""
    reason: str | None = None
    """Why it failed: words for people, with the provider's code."""
    failure: Failure | None = None
    """With `failed`, what is to be done about it: as if the call that sent it had raised that."""


class Reachability(_Event, frozen=True, kw_only=True):
    """Somebody takes messages from us from now on, or does not any more."""

    key: str
    chat: str
    reachable: bool
    at: int


class ChatMoved(_Event, frozen=True, kw_only=True):
    """A chat has another id from now on."""

    key: str
    chat: str
    now: str
    at: int


class AccountNotice(_Event, frozen=True, kw_only=True):
    """The provider says something about our account, for operators."""

    key: str
    at: int
    severity: Literal["info", "warning", "error"]
    text: str


Event: TypeAlias = (
    Received | Edited | Deleted | Reacted | Receipt | Reachability | ChatMoved | AccountNotice
)
