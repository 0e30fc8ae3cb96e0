"""Messages from people on WhatsApp, as events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from .. import rendering
from ..incoming import AccountNotice, ChatMoved, Contact, Deleted, Edited, Media, Reacted, Received
from ..meta.envelope import Unreadable
from ..meta.fields import millis
from .addresses import ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..capabilities import MediaKind
    from ..incoming import Event
    from .wire import File, Message, Person

T = TypeVar("T")

GROUP: Final = "WhatsApp group"
"""In place of a group's title, which is not told."""
_TOO_LARGE: Final = 131052
"""The code with which a file over 100 MB is withheld."""
_WORD: Final = re.compile(r"[a-z_]{1,40}")
_NAMES: Final = {
    "order": "an order",
    "product": "a product",
    "request_welcome": "a first opening of the chat",
}


def events(message: Message, people: Sequence[Person]) -> Iterator[Event]:
    """What a message means.

    Args:
        message: As it came.
        people: Who is named beside it.

    Raises:
        Unreadable: it does not say who sent it, or lacks what its type promises.
    """
    if message.type == "system":
        yield _system(message)
        return
    sender = _sender(message, people)
    chat = message.group_id or sender.id
    key = f"message:{message.id}"
    at = millis(message.timestamp)
    match message.type:
        case "reaction":
            reaction = _there(message.reaction, message)
            yield Reacted(
                key=key,
                chat=chat,
                sender=sender,
                message=reaction.message_id,
                at=at,
                emoji=reaction.emoji or None,
            )
        case "revoke":
            gone = _there(message.revoke, message).original_message_id
            yield Deleted(key=key, chat=chat, message=gone, at=at, sender=sender)
        case "edit":
            edit = _there(message.edit, message)
            new = edit.message
            file = new.image or new.video or new.document
            text = new.text.body if new.text else (file.caption if file else None)
            yield Edited(
                key=key,
                chat=chat,
                sender=sender,
                message=edit.original_message_id,
                at=at,
                text=text or "",
            )
        case _:
            text, note, media = _content(message)
            yield Received(
                key=key,
                chat=chat,
                sender=sender,
                message=message.id,
                at=at,
                text=text,
                media=media,
                note=note,
                reply_to=message.context.id if message.context else None,
                group=GROUP if message.group_id else None,
            )


def contact(addresses: tuple[str, ...], people: Sequence[Person]) -> Contact:
    """A person by all that is known of them: at least one address."""
    known = set(addresses)
    for person in people:
        named = ids(person.wa_id, person.user_id)
        if known.isdisjoint(named):
            continue
        every = ids(*addresses, *named)
        profile = person.profile
        return Contact(
            id=every[0],
            aliases=every[1:],
            name=(profile.name or None) if profile else None,
            handle=(profile.username or "").removeprefix("@") or None if profile else None,
        )
    return Contact(id=addresses[0], aliases=addresses[1:])


def _sender(message: Message, people: Sequence[Person]) -> Contact:
    addresses = ids(message.from_, message.from_user_id)
    if not addresses and len(people) == 1:
        # Both may be left out; a message has one sender, and who is named beside it is them.
        addresses = ids(people[0].wa_id, people[0].user_id)
    if not addresses:
        raise Unreadable("a message does not say who sent it")
    return contact(addresses, people)


def _content(message: Message) -> tuple[str, str, Media | None]:
    """Text, note, and file of a message."""
    match message.type:
        case "text":
            return _there(message.text, message).body, "", None
        case "image":
            return _file(_there(message.image, message), "image")
        case "video":
            return _file(_there(message.video, message), "video")
        case "document":
            return _file(_there(message.document, message), "document")
        case "audio":
            return _file(_there(message.audio, message), "audio")
        case "sticker":
            return _file(_there(message.sticker, message), "image")
        case "location":
            place = _there(message.location, message)
            name, address = place.name or "", place.address or ""
            return "", rendering.location(place.latitude, place.longitude, name, address), None
        case "contacts":
            cards = [
                rendering.contact(
                    card.name.formatted_name, [phone.phone for phone in card.phones if phone.phone]
                )
                for card in message.contacts
            ]
            return "", "; ".join(cards) or rendering.other("a contact"), None
        case "button":
            return _there(message.button, message).text or "", "", None
        case "interactive":
            return *_chosen(message), None
        case _:
            return "", rendering.other(_named(message)), None


def _chosen(message: Message) -> tuple[str, str]:
    interactive = _there(message.interactive, message)
    choice = interactive.button_reply or interactive.list_reply
    if choice is None:
        return "", rendering.other("an answer to a form")
    return choice.title, ""


def _file(file: File, kind: MediaKind) -> tuple[str, str, Media]:
    media = Media(ref=file.id, kind=kind, mime=file.mime_type, name=file.filename)
    return file.caption or "", "", media


def _named(message: Message) -> str:
    if any(error.code == _TOO_LARGE for error in message.errors):
        return "a file that WhatsApp does not hand over"
    kind = message.type
    if message.unsupported and message.unsupported.type:
        kind = message.unsupported.type
    if kind in _NAMES:
        return _NAMES[kind]
    if kind in ("unsupported", "unknown") or not _WORD.fullmatch(kind):
        return "a message"
    return f"a message of the kind {kind}"


def _system(message: Message) -> Event:
    """Something about a person: their number, and with it their ids, may be others now."""
    old = ids(message.from_, message.from_user_id)
    system = _there(message.system, message)
    new = ids(system.wa_id, system.user_id)
    at = millis(message.timestamp)
    if old and new and new[0] not in old:
        return ChatMoved(key=f"message:{message.id}", chat=old[0], now=new[0], at=at)
    return AccountNotice(
        key=f"message:{message.id}", at=at, severity="info", text="WhatsApp tells news of a person"
    )


def _there(value: T | None, message: Message) -> T:
    if value is None:
        kind = message.type if _WORD.fullmatch(message.type) else "its kind"
        raise Unreadable(f"a message of type {kind} has nothing of that")
    return value
