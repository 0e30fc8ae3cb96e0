"""One account on Instagram as a connector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from ..capabilities import Capabilities, MediaLimit, TextLimit
from ..errors import NotSupported
from ..incoming import Contact
from ..meta import send_api
from ..meta.account import MessagingAccount
from .naming import Plain

if TYPE_CHECKING:
    import httpx2

    from ..outgoing import Accepted, FileMessage, Message
    from .settings import InstagramSettings

_PROFILE: Final = "name,username"


class _Profile(Struct, frozen=True):
    name: str | None = None
    username: str | None = None


class Instagram(MessagingAccount):
    """Instagram messaging. People's ids, and the chats with them, are Instagram-scoped (IGSID)."""

    channel = "instagram"
    object_ = "instagram"

    def __init__(
        self,
        settings: InstagramSettings,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` stands in for the network."""
        super().__init__(
            settings,
            account=settings.account_id,
            path=settings.page_id or settings.account_id,
            who="id,name" if settings.page_id else "id,name,username",
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
            text=TextLimit(settings.text_max_bytes, "bytes"),
            media=(
                MediaLimit("image", settings.image_types, settings.image_max_bytes),
                MediaLimit("audio", settings.audio_types, most),
                MediaLimit("video", settings.video_types, most),
                MediaLimit("document", settings.document_types, most),
            ),
            media_by_url=not settings.page_id,
            reply=True,
            reaction=True,
            typing=settings.typing_seconds,
            mark_read=True,
            read="message",
            window=window,
            account_rate=settings.account_rate,
            chat_rate=settings.chat_rate,
        )

    async def send_message(self, message: Message) -> Accepted:
        """Send a text."""
        body = self._body(message, {"text": message.text})
        return await self._send(message.chat, body)

    async def send_file(self, message: FileMessage) -> Accepted:
        """Send a file by its address, or with a page's token upload it first."""
        payload = await self._payload(message)
        body = self._body(message, send_api.attachment(message.kind, payload))
        return await self._send(message.chat, body)

    async def _payload(self, message: FileMessage) -> send_api.Body:
        if message.url is not None:
            return {"url": message.url}
        if not self._settings.page_id:
            raise NotSupported("Instagram fetches files from an address, and this one has none")
        content = send_api.attachment(message.kind, {"is_reusable": True})
        fields = {"platform": "instagram", "message": msgspec.json.encode(content).decode()}
        uploaded = await self._graph.upload(
            f"{self._path}/message_attachments",
            fields,
            "filedata",
            Plain(message.file),
            send_api.Uploaded,
        )
        return {"attachment_id": uploaded.attachment_id}

    def _body(self, message: Message | FileMessage, content: send_api.Body) -> send_api.Body:
        return {
            **send_api.to(message.chat),
            "message": content,
            **send_api.quoting(message.reply_to),
            **send_api.tagged(self._settings.human_agent),
        }

    async def profile(self, contact: str) -> Contact | None:
        """A person's name and user name; Meta tells them once the person has written."""
        profile = await self._profile(contact, _PROFILE, _Profile)
        if profile is None:
            return None
        return Contact(id=contact, name=profile.name or None, handle=profile.username or None)
