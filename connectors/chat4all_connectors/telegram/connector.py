"""One bot on Telegram, as a connector."""

from __future__ import annotations

import hmac
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from chat4all_connectors.base import (
    Connector,
    Health,
    Identity,
    Polled,
    WebhookAnswer,
    WebhookCall,
)
from chat4all_connectors.errors import (
    Misconfigured,
    NotSupported,
    Refused,
    SendError,
    Transient,
    Unreachable,
    WebhookRefused,
)
from chat4all_connectors.http import Http
from chat4all_connectors.outgoing import Accepted

from .api import BotApi
from .refusals import BotApiRefused
from .settings import TelegramSettings, capabilities
from .types import Chat, FilePath, Sent, User, WebhookInfo
from .updates import KINDS, contact_of, events_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    import httpx2

    from chat4all_connectors.capabilities import Capabilities
    from chat4all_connectors.incoming import Contact, Event, Media
    from chat4all_connectors.outgoing import FileMessage, Message

SECRET_HEADER: Final = "x-telegram-bot-api-secret-token"
RECENT: Final = 300.0
"""Seconds for which an account is degraded after a webhook call that failed."""


class Telegram(Connector):
    """One bot. Telegram tells nothing of what was received or read."""

    channel = "telegram"

    def __init__(
        self,
        settings: TelegramSettings,
        *,
        callback_url: str | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """To be connected.

        Args:
            callback_url: Where the provider calls back; needed for webhooks.
            transport: Stands in for the network.
            clock: Seconds since the epoch.
        """
        self._settings = settings
        self._callback_url = callback_url
        self._http = Http(settings.http, transport=transport)
        self._api = BotApi(settings, self._http)
        self._capabilities = capabilities(settings)
        self._secret = settings.secret_token.encode()
        self._clock = clock

    @property
    def capabilities(self) -> Capabilities:
        """What it can carry."""
        return self._capabilities

    # --- its life

    async def connect(self) -> Identity:
        """See who the bot is, and set the webhook, or take it away for polling."""
        me = await self._api.call(User, "getMe", {})
        if self.polls:
            await self._api.call(bool, "deleteWebhook", {})
        elif self._callback_url is None:
            raise Misconfigured("webhooks need an address at which this server is called back")
        else:
            await self._api.call(
                bool,
                "setWebhook",
                {
                    "url": self._callback_url,
                    "secret_token": self._settings.secret_token,
                    "allowed_updates": KINDS,
                    "max_connections": self._settings.webhook_connections,
                },
            )
        return Identity(id=str(me.id), name=me.username or me.first_name)

    async def disconnect(self) -> None:
        """Close all connections. The webhook stays: what comes meanwhile waits at the provider."""
        await self._http.aclose()

    async def health(self) -> Health:
        """Ask how the provider's calls go; that needs a token that is taken."""
        try:
            info = await self._api.call(WebhookInfo, "getWebhookInfo", {})
        except Misconfigured as error:
            return Health("dead", error.message)
        except SendError as error:
            return Health("degraded", error.message)
        if info.url != ("" if self.polls else self._callback_url):
            return Health("degraded", "the webhook at Telegram is not the one that was set")
        failed = info.last_error_date
        if not self.polls and failed is not None and self._clock() - failed < RECENT:
            return Health("degraded", f"Telegram can't call back: {info.last_error_message[:200]}")
        if info.pending_update_count >= self._settings.late_updates:
            return Health("degraded", f"{info.pending_update_count} updates wait at Telegram")
        return Health("connected")

    # --- what is sent

    async def send_message(self, message: Message) -> Accepted:
        """Send a text as it is, without any markup."""
        parameters = {"chat_id": message.chat, "text": message.text, **_reply(message.reply_to)}
        return await self._send("sendMessage", parameters, message.chat)

    async def send_file(self, message: FileMessage) -> Accepted:
        """Send a file; a picture that Telegram does not take as a photo goes as a file."""
        method, field = _method_for(message)
        parameters = {"chat_id": message.chat, **_reply(message.reply_to)}
        if message.caption:
            parameters["caption"] = message.caption
        try:
            return await self._send(method, parameters, message.chat, (field, message.file))
        except BotApiRefused as error:
            if message.kind != "image" or not error.no_photo:
                raise
        file = ("document", message.file)
        return await self._send("sendDocument", parameters, message.chat, file)

    async def _send(
        self, method: str, parameters: dict[str, Any], chat: str, file: Any = None
    ) -> Accepted:
        sent = await self._api.call(Sent, method, parameters, file=file, sends=True)
        there = str(sent.chat.id)
        return Accepted(message=str(sent.message_id), chat=None if there == chat else there)

    async def edit(self, chat: str, message: str, text: str) -> None:
        """Replace a text, or the caption of a file."""
        about = {"chat_id": chat, "message_id": _number(message)}
        try:
            await self._change("editMessageText", {**about, "text": text})
        except BotApiRefused as error:
            if not error.has_no_text:
                raise
            await self._change("editMessageCaption", {**about, "caption": text})

    async def delete(self, chat: str, message: str) -> None:
        """Take a message back, within 48 hours."""
        about = {"chat_id": chat, "message_id": _number(message)}
        await self._change("deleteMessage", about)

    async def react(self, chat: str, message: str, emoji: str | None) -> None:
        """Show one of the emoji that Telegram has for reactions; others are `Refused`."""
        # Its list has them without the mark that asks for colours.
        shown = [] if emoji is None else [{"type": "emoji", "emoji": emoji.replace("\ufe0f", "")}]
        about = {"chat_id": chat, "message_id": _number(message)}
        await self._change("setMessageReaction", {**about, "reaction": shown})

    async def _change(self, method: str, parameters: dict[str, Any]) -> None:
        """Make a call that comes to the same when it is made twice."""
        try:
            await self._api.call(msgspec.Raw, method, parameters)
        except BotApiRefused as error:
            if not error.done_already:
                raise

    async def typing(self, chat: str, message: str | None) -> None:
        """Show it for 5 s, or until a message is sent."""
        await self._api.call(bool, "sendChatAction", {"chat_id": chat, "action": "typing"})

    # --- what comes in

    def handle_webhook(self, call: WebhookCall) -> WebhookAnswer:
        """Read an update; the secret token is all that tells the provider from others."""
        if self.polls:
            raise WebhookRefused(404, "updates are polled")
        given = call.headers.get(SECRET_HEADER, "").encode()
        if not self._secret or not hmac.compare_digest(given, self._secret):
            raise WebhookRefused(401, "the secret token is missing or another one")
        if call.method != "POST":
            raise WebhookRefused(405, "updates are posted")
        try:
            _, events = self._read(call.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise WebhookRefused(400, "no update") from error
        return WebhookAnswer(events)

    @property
    def polls(self) -> bool:
        """By `mode`."""
        return self._settings.mode == "polling"

    async def poll(self, cursor: str | None) -> Polled:
        """Wait for updates; the cursor is the number of the next one."""
        if not self.polls:
            raise NotSupported("updates come by webhook")
        wait = self._settings.poll_seconds
        parameters = {
            "timeout": wait,
            "limit": self._settings.poll_limit,
            "allowed_updates": KINDS,
            **({"offset": int(cursor)} if cursor else {}),
        }
        patience = wait + self._settings.http.read_seconds
        raws = await self._api.call(
            list[msgspec.Raw], "getUpdates", parameters, read_seconds=patience
        )
        events: list[Event] = []
        for raw in raws:
            try:
                number, more = self._read(bytes(raw))
            except (msgspec.DecodeError, RecursionError) as error:
                raise Transient("an update without a number came") from error
            events += more
            cursor = str(number + 1)
        return Polled(events, cursor or "")

    def _read(self, raw: bytes) -> tuple[int, list[Event]]:
        def now() -> int:
            return int(self._clock() * 1000)

        return events_of(raw, max_bytes=self._settings.download_max_bytes, now=now)

    @asynccontextmanager
    async def download(self, media: Media) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """Ask where the file is now, which holds for an hour, and fetch it."""
        file = await self._api.call(FilePath, "getFile", {"file_id": media.ref})
        if file.file_path is None:
            raise Refused("Telegram does not give this file away")
        most = self._settings.download_max_bytes
        async with self._api.fetch(file.file_path, max_bytes=most) as pieces:
            yield pieces

    async def profile(self, contact: str) -> Contact | None:
        """Name and user name, of people the bot has met."""
        try:
            return contact_of(await self._api.call(Chat, "getChat", {"chat_id": contact}))
        except Unreachable:
            return None


def _method_for(message: FileMessage) -> tuple[str, str]:
    """The method, and its parameter that is the file."""
    if message.kind == "image":
        return "sendPhoto", "photo"
    if message.kind == "video":
        return "sendVideo", "video"
    if message.kind == "audio":
        # What is played in the chat: with another type it would be taken for a file.
        return (
            ("sendVoice", "voice") if message.file.mime == "audio/ogg" else ("sendAudio", "audio")
        )
    return "sendDocument", "document"


def _reply(message: str | None) -> dict[str, Any]:
    if message is None:
        return {}
    # What was deleted meanwhile can't be quoted: what is said goes out all the same.
    quoted = {"message_id": _number(message), "allow_sending_without_reply": True}
    return {"reply_parameters": quoted}


def _number(message: str) -> int:
    """A message's id as Telegram has it.

    Raises:
        Refused: it can't be one of Telegram's.
    """
    if message.isascii() and message.isdecimal():
        return int(message)
    raise Refused("no message of Telegram's has such an id")
