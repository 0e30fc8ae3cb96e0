"""What is sent, as bodies of WhatsApp's message call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import NotSupported
from .addresses import recipient

if TYPE_CHECKING:
    from ..outgoing import FileMessage, Message, TemplateMessage

Body = dict[str, Any]


def _to(chat: str, *, reply_to: str | None = None, reference: str = "") -> Body:
    body: Body = {"messaging_product": "whatsapp", **recipient(chat)}
    if reply_to is not None:
        body["context"] = {"message_id": reply_to}
    if reference:
        body["biz_opaque_callback_data"] = reference
    return body


def text(message: Message, *, preview_urls: bool) -> Body:
    """A text."""
    return {
        **_to(message.chat, reply_to=message.reply_to, reference=message.reference),
        "type": "text",
        "text": {"body": message.text, "preview_url": preview_urls},
    }


def file(message: FileMessage, media_id: str) -> Body:
    """A file that was uploaded.

    Raises:
        NotSupported: it is a sound with a caption, which WhatsApp does not have.
    """
    content: Body = {"id": media_id}
    if message.caption:
        if message.kind == "audio":
            raise NotSupported("a sound has no caption on WhatsApp")
        content["caption"] = message.caption
    if message.kind == "document":
        content["filename"] = message.file.name
    return {
        **_to(message.chat, reply_to=message.reply_to, reference=message.reference),
        "type": message.kind,
        message.kind: content,
    }


def template(message: TemplateMessage) -> Body:
    """A template whose body has these parameters."""
    content: Body = {"name": message.name, "language": {"code": message.language}}
    if message.parameters:
        parameters = [{"type": "text", "text": parameter} for parameter in message.parameters]
        content["components"] = [{"type": "body", "parameters": parameters}]
    return {
        **_to(message.chat, reference=message.reference),
        "type": "template",
        "template": content,
    }


def reaction(chat: str, message: str, emoji: str | None) -> Body:
    """A reaction; one with no emoji takes it back."""
    return {
        **_to(chat),
        "type": "reaction",
        "reaction": {"message_id": message, "emoji": emoji or ""},
    }


def seen(message: str, *, typing: bool = False) -> Body:
    """That a message and those before it were read, and perhaps that somebody types an answer."""
    body: Body = {"messaging_product": "whatsapp", "status": "read", "message_id": message}
    if typing:
        body["typing_indicator"] = {"type": "text"}
    return body
