"""Updates of Messenger and Instagram, as events: what is the same on both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import rendering
from ..incoming import Contact, Deleted, Edited, Media, Reacted, Receipt, Received
from .envelope import Unreadable, fingerprint, read, unreadable
from .messaging import Update
from .parts import part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from msgspec import Raw

    from ..capabilities import MediaKind
    from ..incoming import Event
    from .envelope import Entry
    from .messaging import Attachment, Message, Postback, Reaction

_KINDS: Final[Mapping[str, MediaKind]] = {
    "image": "image",
    "sticker": "image",
    "video": "video",
    "audio": "audio",
    "file": "document",
}
_NAMES: Final[Mapping[str, str]] = {
    "share": "a shared post",
    "post": "a shared post",
    "ig_post": "a shared post",
    "reel": "a shared reel",
    "ig_reel": "a shared reel",
    "story_mention": "a story in which you are mentioned",
    "ephemeral": "something that can be seen once",
    "appointment_booking": "an appointment",
    "template": "a form",
}
"""What can't be shown here; stories must not be stored, says Meta."""
_EMOJI: Final[Mapping[str, str]] = {
    "smile": "😆",
    "angry": "😠",
    "sad": "😢",
    "wow": "😮",
    "love": "❤",
    "like": "👍",
    "dislike": "👎",
}
"""Of reactions that come by name alone."""
_OTHER: Final = "❔"
"""Of a reaction that is told as `other`."""

_Part = tuple[str, str, Media | None]
"""Text, note and file."""


def updates(entry: Entry, account: str, *, standby: bool, now: int) -> Iterator[Event]:
    """What an entry means, in its order.

    Args:
        entry: From a call that is genuine.
        account: Ours: an app is told of all accounts that it serves.
        standby: Whether to read what goes on while another app has the conversation.
        now: In milliseconds since the epoch.
    """
    if entry.id != account:
        return
    for raw in [*entry.messaging, *(entry.standby if standby else [])]:
        try:
            # Written as strings in the samples that the app dashboard sends.
            update = read(raw, Update, strict=False)
            # All of it first: nothing is told twice, once as unreadable.
            events = list(_events(update, raw, now))
        except Unreadable as error:
            yield from unreadable(raw, now, error)
        else:
            yield from events


def _events(update: Update, raw: Raw, now: int) -> Iterator[Event]:
    chat, at = update.sender.id, now if update.timestamp is None else update.timestamp
    if update.message is not None:
        yield from _message(update, update.message, at)
    if update.reaction is not None:
        yield _reaction(chat, update.reaction, at)
    if update.message_edit is not None:
        edit = update.message_edit
        yield Edited(
            key=f"edit:{edit.mid}:{edit.num_edit}",
            chat=chat,
            sender=Contact(id=chat),
            message=edit.mid,
            at=at,
            text=edit.text,
        )
    if update.postback is not None:
        yield _postback(chat, update.postback, at, fingerprint(raw))
    if update.delivery is not None:
        for id_ in update.delivery.mids:
            yield Receipt(key=f"delivered:{id_}", chat=chat, status="delivered", at=at, message=id_)
        mark = update.delivery.watermark
        yield Receipt(
            key=f"delivered:{chat}:{mark}", chat=chat, status="delivered", at=at, watermark=mark
        )
    if update.read is not None:
        mid, mark_ = update.read.mid, update.read.watermark
        if mid is not None:
            yield Receipt(key=f"read:{mid}", chat=chat, status="read", at=at, message=mid)
        elif mark_ is not None:
            yield Receipt(
                key=f"read:{chat}:{mark_}", chat=chat, status="read", at=at, watermark=mark_
            )


def _message(update: Update, message: Message, at: int) -> Iterator[Event]:
    if message.is_echo:
        # Whatever the account sends, by whichever app. Ours have our reference, if they had one.
        if message.metadata:
            yield Receipt(
                key=f"echo:{message.mid}",
                chat=update.recipient.id,
                status="sent",
                at=at,
                message=message.mid,
                reference=message.metadata,
            )
        return
    chat = update.sender.id
    sender = Contact(id=chat)
    if message.is_deleted:
        yield Deleted(
            key=f"deleted:{message.mid}", chat=chat, message=message.mid, at=at, sender=sender
        )
        return
    reply = message.reply_to
    for number, (text, note, media) in enumerate(_parts(message)):
        id_ = part(message.mid, number)
        yield Received(
            key=f"message:{id_}",
            chat=chat,
            sender=sender,
            message=id_,
            at=at,
            text=text,
            media=media,
            note=note,
            reply_to=reply.mid if reply else None,
        )


def _parts(message: Message) -> list[_Part]:
    """One for each file, the first with the text; at least one."""
    text = message.text or ""
    notes = [_noted(a) for a in message.attachments if _media(a) is None]
    if message.reply_to and message.reply_to.story is not None:
        notes.insert(0, "an answer to a story")
    if message.is_unsupported or not (text or message.attachments or notes):
        notes.append(rendering.other("a message"))
    files = [media for a in message.attachments if (media := _media(a)) is not None]
    first = files[0] if files else None
    return [(text, "; ".join(notes), first), *(("", "", media) for media in files[1:])]


def _media(attachment: Attachment) -> Media | None:
    kind = _KINDS.get(attachment.type)
    if kind is None or attachment.payload is None or not attachment.payload.url:
        return None
    return Media(ref=attachment.payload.url, kind=kind)


def _noted(attachment: Attachment) -> str:
    if attachment.type == "fallback":
        payload = attachment.payload
        title = attachment.title or (payload.title if payload else None)
        url = attachment.url or (payload.url if payload else None)
        shared = ", ".join(part_ for part_ in (title, url) if part_)
        return f"a shared link: {shared}" if shared else rendering.other("a shared link")
    if attachment.type in _KINDS:
        return rendering.other("a file")
    return rendering.other(_NAMES.get(attachment.type, "an attachment"))


def _reaction(chat: str, reaction: Reaction, at: int) -> Reacted:
    emoji = reaction.emoji or _EMOJI.get(reaction.reaction or "", _OTHER)
    shown = emoji if reaction.action == "react" else None
    return Reacted(
        key=f"reaction:{chat}:{reaction.mid}:{at}:{shown or ''}",
        chat=chat,
        sender=Contact(id=chat),
        message=reaction.mid,
        at=at,
        emoji=shown,
    )


def _postback(chat: str, postback: Postback, at: int, print_: str) -> Received:
    id_ = postback.mid or f"postback-{print_}"
    return Received(
        key=f"message:{id_}",
        chat=chat,
        sender=Contact(id=chat),
        message=id_,
        at=at,
        text=postback.title or "",
        note="" if postback.title else rendering.other("a button that was pressed"),
    )
