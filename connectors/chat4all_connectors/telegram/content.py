"""What is in a message of Telegram's: its text, a file, and words for what can't be carried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from chat4all_connectors import rendering
from chat4all_connectors.incoming import Media

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_connectors.capabilities import MediaKind

    from .types import Entity, File, Message, Origin, Sticker


class Content(Struct, frozen=True):
    """What a message has beside its text."""

    media: Media | None = None
    notes: tuple[str, ...] = ()


def text_of(message: Message) -> str:
    """What was written, with the addresses of links that only had words."""
    if message.text is not None:
        return _with_addresses(message.text, message.entities)
    return _with_addresses(message.caption or "", message.caption_entities)


def content_of(message: Message, max_bytes: int) -> Content:
    """A file, if it can be fetched, and notes for the rest."""
    notes = []
    if message.forward_origin is not None:
        notes.append(f"forwarded from {_name_of(message.forward_origin)}")
    media = media_of(message)
    if media is not None and media.size is not None and media.size > max_bytes:
        notes.append(rendering.too_large(media.name or f"a file ({media.kind})", media.size))
        media = None
    note = _note(message)
    return Content(media, tuple(notes if note is None else [*notes, note]))


def media_of(message: Message) -> Media | None:
    """The file that it has, whether or not it can be fetched."""
    if message.photo:
        return _file("image", message.photo[-1], "image/jpeg")  # the last is the largest
    # Before documents: an animation comes as one too.
    if message.animation is not None:
        return _file("video", message.animation, "video/mp4")
    if message.video is not None:
        return _file("video", message.video, "video/mp4")
    if message.video_note is not None:
        return _file("video", message.video_note, "video/mp4")
    if message.audio is not None:
        return _file("audio", message.audio, "audio/mpeg")
    if message.voice is not None:
        return _file("audio", message.voice, "audio/ogg")
    if message.document is not None:
        return _file("document", message.document, None)
    if message.sticker is not None and not message.sticker.is_animated:
        return _sticker(message.sticker)
    return None


def _file(kind: MediaKind, file: File, mime: str | None) -> Media:
    return Media(
        ref=file.file_id,
        kind=kind,
        mime=file.mime_type or mime,
        name=file.file_name,
        size=file.file_size,
    )


def _sticker(sticker: Sticker) -> Media:
    kind: MediaKind = "video" if sticker.is_video else "image"
    mime = "video/webm" if sticker.is_video else "image/webp"
    return Media(ref=sticker.file_id, kind=kind, mime=mime, size=sticker.file_size)


def _note(message: Message) -> str | None:
    """Words for what has neither text nor a file that others can show."""
    if message.sticker is not None and message.sticker.is_animated:
        return f"a sticker {message.sticker.emoji}".rstrip()  # in a format of Telegram's own
    if message.venue is not None:  # comes as a location too
        venue, place = message.venue, message.venue.location
        return rendering.location(place.latitude, place.longitude, venue.title, venue.address)
    if message.location is not None:
        return rendering.location(message.location.latitude, message.location.longitude)
    if message.contact is not None:
        card = message.contact
        return rendering.contact(f"{card.first_name} {card.last_name}".strip(), [card.phone_number])
    if message.poll is not None:
        poll = message.poll
        return rendering.poll(poll.question, [option.text for option in poll.options])
    if message.dice is not None:
        return f"{message.dice.emoji} {message.dice.value}".strip()
    return None


def _name_of(origin: Origin) -> str:
    chat = origin.sender_chat or origin.chat
    if chat is not None:
        return chat.title or "a chat"
    if origin.sender_user is not None:
        user = origin.sender_user
        return f"{user.first_name} {user.last_name}".strip() or "somebody"
    return origin.sender_user_name or "somebody"


def _with_addresses(text: str, entities: Sequence[Entity]) -> str:
    """Behind the words of a link that has an address of its own, that address."""
    links = [entity for entity in entities if entity.type == "text_link" and entity.url]
    if not links:
        return text
    units = text.encode("utf-16-le")
    for link in sorted(links, key=lambda entity: entity.offset + entity.length, reverse=True):
        end = 2 * (link.offset + link.length)
        units = units[:end] + f" ({link.url})".encode("utf-16-le") + units[end:]
    return units.decode("utf-16-le", errors="replace")
