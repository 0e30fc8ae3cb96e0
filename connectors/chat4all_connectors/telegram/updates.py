"""What the Bot API tells, as events: an update in, events out; it waits for nothing.

The parts of an album come as messages of their own, as they do at the provider. An update that
can't be read is told as a notice and taken all the same: the provider would send it again for a
day, and hold back all that is said in its chat after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from chat4all_connectors import rendering
from chat4all_connectors.incoming import (
    AccountNotice,
    ChatMoved,
    Contact,
    Edited,
    Event,
    Reachability,
    Reacted,
    Received,
)

from .content import content_of, media_of, text_of
from .fields import ABOUT, NO_CONTENT
from .types import (
    Chat,
    Member,
    MemberUpdated,
    Message,
    MessageReaction,
    Numbered,
    Untyped,
    Update,
    User,
)

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS: Final = ("message", "edited_message", "message_reaction", "my_chat_member")
"""Of updates that are asked for; those that a newer provider sends beside them are left out."""

UNKNOWN_EMOJI: Final = "❔"
"""Shown for a reaction that has no emoji: one that was drawn by somebody, or paid for."""


def events_of(raw: bytes, *, max_bytes: int, now: Callable[[], int]) -> tuple[int, list[Event]]:
    """What an update tells, and its number.

    Args:
        raw: JSON.
        max_bytes: Of files that can be fetched.
        now: Milliseconds since the epoch, for what can't be read.

    Raises:
        msgspec.DecodeError: it is no JSON, or no update.
        RecursionError: it is nested too deeply to be one.
    """
    number = msgspec.json.decode(raw, type=Numbered).update_id
    key = f"update:{number}"
    try:
        update = msgspec.json.decode(raw, type=Update)
        if update.message is not None:
            return number, _said(key, update.message, raw, max_bytes)
    except msgspec.ValidationError as error:
        text = f"an update of Telegram's could not be read: {error}"
        return number, [AccountNotice(key=key, at=now(), severity="warning", text=text)]
    if update.edited_message is not None:
        return number, _edited(key, update.edited_message)
    if update.message_reaction is not None:
        return number, _reacted(key, update.message_reaction)
    if update.my_chat_member is not None:
        return number, _membership(key, update.my_chat_member)
    return number, []


def contact_of(who: User | Chat) -> Contact:
    """Somebody who writes: a person, or a group or channel in whose name they do."""
    name = f"{who.first_name} {who.last_name}".strip()
    if isinstance(who, Chat):
        name = who.title or name
    return Contact(id=str(who.id), name=name or None, handle=who.username)


def _sender(message: Message) -> Contact:
    return contact_of(message.sender_chat or message.sender or message.chat)


def _said(key: str, message: Message, raw: bytes, max_bytes: int) -> list[Event]:
    chat, at = str(message.chat.id), message.date * 1000
    # Both the old chat and the new one tell of it.
    if message.migrate_to_chat_id is not None:
        return [_moved(chat, str(message.migrate_to_chat_id), at)]
    if message.migrate_from_chat_id is not None:
        return [_moved(str(message.migrate_from_chat_id), chat, at)]
    content = content_of(message, max_bytes)
    text, notes = text_of(message), list(content.notes)
    if not text and content.media is None and not notes:
        kind = _unknown_kind(raw)
        if kind is None:
            return []
        notes.append(rendering.other(f"a message ({kind.replace('_', ' ')})"))
    return [
        Received(
            key=key,
            chat=chat,
            sender=_sender(message),
            message=str(message.message_id),
            at=at,
            text=text,
            media=content.media,
            note="\n".join(notes),
            reply_to=_replied_to(message),
            group=None if message.chat.private else message.chat.title or "",
        )
    ]


def _replied_to(message: Message) -> str | None:
    quoted = message.reply_to_message
    if quoted is None:
        return None
    if message.is_topic_message and quoted.message_id == message.message_thread_id:
        return None  # every message in a topic replies to its first one, by the provider's doing
    return str(quoted.message_id)


def _unknown_kind(raw: bytes) -> str | None:
    """The field by which a message is of a kind that is not known here; None: it has none."""
    fields = msgspec.json.decode(raw, type=Untyped).message
    if not NO_CONTENT.isdisjoint(fields):
        return None
    known = {field.encode_name for field in msgspec.structs.fields(Message)} | ABOUT
    return next((name for name in fields if name not in known and name.isidentifier()), "unknown")


def _moved(chat: str, now: str, at: int) -> Event:
    return ChatMoved(key=f"moved:{chat}:{now}", chat=chat, now=now, at=at)


def _edited(key: str, message: Message) -> list[Event]:
    text = text_of(message)
    if not text and media_of(message) is None:
        return []  # a place that moves, a poll that is voted on
    return [
        Edited(
            key=key,
            chat=str(message.chat.id),
            sender=_sender(message),
            message=str(message.message_id),
            at=(message.edit_date or message.date) * 1000,
            text=text,
        )
    ]


def _reacted(key: str, reaction: MessageReaction) -> list[Event]:
    emoji = None
    if reaction.new_reaction:
        emoji = next((one.emoji for one in reaction.new_reaction if one.emoji), UNKNOWN_EMOJI)
    return [
        Reacted(
            key=key,
            chat=str(reaction.chat.id),
            sender=contact_of(reaction.user or reaction.actor_chat or reaction.chat),
            message=str(reaction.message_id),
            at=reaction.date * 1000,
            emoji=emoji,
        )
    ]


def _membership(key: str, change: MemberUpdated) -> list[Event]:
    """In a private chat `kicked` is a person who has blocked the bot."""
    before, after = _takes(change.old_chat_member), _takes(change.new_chat_member)
    if before == after:
        return []
    chat, at = str(change.chat.id), change.date * 1000
    return [Reachability(key=key, chat=chat, reachable=after, at=at)]


def _takes(member: Member) -> bool:
    if member.status == "restricted":
        return member.can_send_messages
    return member.status in ("creator", "administrator", "member")
