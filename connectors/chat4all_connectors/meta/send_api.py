"""The call by which Messenger and Instagram send: its bodies and its answers.

What differs between the two is in their own folders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from ..outgoing import Accepted
from .fields import Id
from .parts import whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..capabilities import MediaKind

Body = dict[str, Any]
TYPES: Final[Mapping[MediaKind, str]] = {
    "image": "image",
    "video": "video",
    "audio": "audio",
    "document": "file",
}
"""What each kind is called there."""


class Sent(Struct, frozen=True):
    """Of a message that was taken."""

    message_id: Id
    recipient_id: str | None = None

    def accepted(self, chat: str) -> Accepted:
        """For the server; with the chat's id, if it is another one than was said."""
        other = self.recipient_id not in (None, chat)
        return Accepted(self.message_id, self.recipient_id if other else None)


class Acted(Struct, frozen=True):
    """Of an action."""

    recipient_id: str | None = None


class Subscribed(Struct, frozen=True):
    """Of a subscription to webhooks."""

    success: bool


class Uploaded(Struct, frozen=True):
    """Of a file."""

    attachment_id: Id


class Account(Struct, frozen=True):
    """Who we are there."""

    id: str
    name: str | None = None
    username: str | None = None


def to(chat: str) -> Body:
    """To whom it goes."""
    return {"recipient": {"id": chat}}


def quoting(reply_to: str | None) -> Body:
    """What it answers, if anything."""
    return {} if reply_to is None else {"reply_to": {"mid": whole(reply_to)}}


def tagged(human_agent: bool) -> Body:
    """That a person writes it, which Meta takes for seven days from apps that may do so."""
    return {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"} if human_agent else {}


def attachment(kind: MediaKind, payload: Mapping[str, object]) -> Body:
    """A file, for a message or for an upload."""
    return {"attachment": {"type": TYPES[kind], "payload": payload}}


def action(chat: str, name: str) -> Body:
    """Something that is shown and no message: it stands alone in its call."""
    return {**to(chat), "sender_action": name}


def reaction(chat: str, message: str, emoji: str | None) -> Body:
    """A reaction, or that it was taken back."""
    if emoji is None:
        return {**action(chat, "unreact"), "payload": {"message_id": whole(message)}}
    payload = {"message_id": whole(message), "reaction": emoji}
    return {**action(chat, "react"), "payload": payload}
