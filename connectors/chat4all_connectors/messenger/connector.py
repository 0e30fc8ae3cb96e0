"""One page on Messenger as a connector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from ..capabilities import ANY_TYPE, Capabilities, MediaLimit, TextLimit
from ..incoming import Contact
from ..meta import send_api
from ..meta.account import MessagingAccount

if TYPE_CHECKING:
    import httpx2

    from ..outgoing import Accepted, FileMessage, Message
    from .settings import MessengerSettings

_PROFILE: Final = "first_name,last_name,name"


class _Profile(Struct, frozen=True):
    id: str | None = None
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None

    @property
    def shown(self) -> str | None:
        parts = [part for part in (self.first_name, self.last_name) if part]
        return self.name or " ".join(parts) or None


class Messenger(MessagingAccount):
    """Messenger Platform. People's ids, and the chats with them, are page-scoped (PSID)."""

    channel = "messenger"
    object_ = "page"

    def __init__(
        self,
        settings: MessengerSettings,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` stands in for the network."""
        super().__init__(
            settings,
            account=settings.page_id,
            path=settings.page_id,
            who="id,name",
            fields=",".join(settings.subscribed_fields),
            standby=settings.standby,
            transport=transport,
        )
        self._settings = settings

    @property
    def capabilities(self) -> Capabilities:
        """By Meta's documents, and what the settings say of limits."""
        settings = self._settings
        most = settings.media_max_bytes
        window = settings.window_seconds
        if settings.human_agent:
            window = settings.human_agent_window_seconds
        return Capabilities(
            # In UTF-16, the smallest of what Meta may mean by a character.
            text=TextLimit(settings.text_max, "utf16"),
            media=(
                MediaLimit("image", settings.image_types, most),
                MediaLimit("video", ("video/*",), most),
                MediaLimit("audio", ("audio/*",), most),
                MediaLimit("document", ANY_TYPE, most),
            ),
            reply=True,
            reaction=True,
            typing=settings.typing_seconds,
            mark_read=True,
            delivered="watermark",
            read="watermark",
            window=window,
            account_rate=settings.account_rate,
            chat_rate=settings.chat_rate,
        )

    async def send_message(self, message: Message) -> Accepted:
        """Send a text."""
        body = self._body(message, {"text": message.text})
        return await self._send(message.chat, body)

    async def send_file(self, message: FileMessage) -> Accepted:
        """Upload a file, and send it: only the second call can be in doubt."""
        content = send_api.attachment(message.kind, {"is_reusable": True})
        fields = {"message": msgspec.json.encode(content).decode()}
        uploaded = await self._graph.upload(
            f"{self._path}/message_attachments",
            fields,
            "filedata",
            message.file,
            send_api.Uploaded,
        )
        sent = send_api.attachment(message.kind, {"attachment_id": uploaded.attachment_id})
        return await self._send(message.chat, self._body(message, sent))

    def _body(self, message: Message | FileMessage, content: send_api.Body) -> send_api.Body:
        if message.reference:
            content = {**content, "metadata": message.reference}
        return {
            **send_api.to(message.chat),
            "messaging_type": "RESPONSE",
            "message": content,
            **send_api.quoting(message.reply_to),
            **send_api.tagged(self._settings.human_agent),
        }

    async def profile(self, contact: str) -> Contact | None:
        """A person's name, if the app may know it."""
        profile = await self._profile(contact, _PROFILE, _Profile)
        return None if profile is None else Contact(id=contact, name=profile.shown)
