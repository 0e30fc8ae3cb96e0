"""One business number on WhatsApp as a connector."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from ..base import Connector, Health, Identity, WebhookAnswer
from ..capabilities import Capabilities, MediaLimit, TextLimit
from ..errors import NotSupported, Refused, UnknownOutcome
from ..meta.envelope import confirm, entries
from ..meta.graph import Graph
from ..meta.health import judge
from ..outgoing import Accepted
from . import outgoing, wire
from .addresses import ids, kind_of, normal
from .faults import rules
from .incoming import OBJECT, Reader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    import httpx2

    from ..base import WebhookCall
    from ..incoming import Media
    from ..outgoing import FileMessage, Message, TemplateMessage
    from .settings import WhatsAppSettings

_FIELDS: Final = "id,display_phone_number,verified_name,quality_rating"


class WhatsApp(Connector):
    """The Cloud API. People's ids, and the chats with them, are numbers with `+` or BSUIDs."""

    channel = "whatsapp"

    def __init__(
        self,
        settings: WhatsAppSettings,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` stands in for the network."""
        self._settings = settings
        rules_ = rules(settings)
        self._graph = Graph(settings, rules_, transport=transport)
        self._reader = Reader(settings.phone_number_id, rules_)
        self._number = settings.phone_number_id

    @property
    def capabilities(self) -> Capabilities:
        """By Meta's documents, and what the settings say of limits."""
        settings = self._settings
        return Capabilities(
            # In UTF-16, the smallest of what Meta may mean by a character.
            text=TextLimit(settings.text_max, "utf16"),
            caption=TextLimit(settings.caption_max, "utf16"),
            media=(
                MediaLimit("image", settings.image_types, settings.image_max_bytes),
                MediaLimit("video", settings.video_types, settings.video_max_bytes),
                MediaLimit("audio", settings.audio_types, settings.audio_max_bytes, captions=False),
                MediaLimit("document", settings.document_types, settings.document_max_bytes),
            ),
            reply=True,
            reaction=True,
            typing=settings.typing_seconds,
            mark_read=True,
            delivered="message",
            read="message",
            window=settings.window_seconds,
            starts=True,
            templates=True,
            groups=True,
            account_rate=settings.account_rate,
            chat_rate=settings.chat_rate,
        )

    # --- its life

    async def connect(self) -> Identity:
        """Ask who the number is, and subscribe to its webhooks if the account's id is known."""
        number = await self._graph.get(self._number, wire.Number, fields=_FIELDS)
        if self._settings.waba_id:
            path = f"{self._settings.waba_id}/subscribed_apps"
            _done(await self._graph.post(path, {}, wire.Done, sends=False))
        return Identity(number.id, number.verified_name or number.display_phone_number or number.id)

    async def disconnect(self) -> None:
        """Close the connections."""
        await self._graph.aclose()

    async def health(self) -> Health:
        """By the number's quality, the token's end, and how near the limits are."""
        return await judge(self._settings, self._number_and_use)

    async def _number_and_use(self) -> tuple[str, float]:
        number, use = await self._graph.ask(self._number, wire.Number, fields=_FIELDS)
        poor = "the number's quality is rated RED" if number.quality_rating == "RED" else ""
        return poor, use.percent

    # --- what is sent

    async def send_message(self, message: Message) -> Accepted:
        """Send a text; outside the window it fails later, as a status."""
        body = outgoing.text(message, preview_urls=self._settings.preview_urls)
        return await self._send(message.chat, body)

    async def send_file(self, message: FileMessage) -> Accepted:
        """Upload a file, and send it: only the second call can be in doubt."""
        outgoing.file(message, "")  # what can't be said is refused before anything is uploaded
        fields = {"messaging_product": "whatsapp", "type": message.file.mime}
        stored = await self._graph.upload(
            f"{self._number}/media", fields, "file", message.file, wire.Stored
        )
        return await self._send(message.chat, outgoing.file(message, stored.id))

    async def send_template(self, message: TemplateMessage) -> Accepted:
        """Send a template that Meta has approved."""
        return await self._send(message.chat, outgoing.template(message))

    async def react(self, chat: str, message: str, emoji: str | None) -> None:
        """Show a reaction; to do it twice changes nothing."""
        body = outgoing.reaction(chat, message, emoji)
        await self._graph.post(f"{self._number}/messages", body, wire.Sent, sends=False)

    async def typing(self, chat: str, message: str | None) -> None:
        """Show that somebody types, as an answer to a message: that one is then marked read."""
        if message is None or kind_of(chat) == "group":
            raise NotSupported("WhatsApp shows typing as an answer to one person's message only")
        await self._seen(outgoing.seen(message, typing=True))

    async def mark_read(self, chat: str, message: str) -> None:
        """Mark a message read, and those before it."""
        if kind_of(chat) == "group":
            raise NotSupported("WhatsApp has no marks of what was read in groups")
        await self._seen(outgoing.seen(message))

    async def _send(self, chat: str, body: Mapping[str, object]) -> Accepted:
        sent = await self._graph.post(f"{self._number}/messages", body, wire.Sent, sends=True)
        if not sent.messages:
            raise UnknownOutcome("WhatsApp took a message and tells no id of it")
        told = ids(*(id_ for to in sent.contacts[:1] for id_ in (to.wa_id, to.user_id)))
        known = not told or normal(chat) in told
        return Accepted(sent.messages[0].id, None if known else told[0])

    async def _seen(self, body: Mapping[str, object]) -> None:
        _done(await self._graph.post(f"{self._number}/messages", body, wire.Done, sends=False))

    # --- what comes in

    def handle_webhook(self, call: WebhookCall) -> WebhookAnswer:
        """Answer Meta's question whether the address is ours, or read what it signed."""
        if call.method == "GET":
            return confirm(call, self._settings.verify_token)
        now = time.time_ns() // 1_000_000
        events = [
            event
            for entry in entries(call, OBJECT, self._settings)
            for event in self._reader.events(entry, now)
        ]
        return WebhookAnswer(events)

    @asynccontextmanager
    async def download(self, media: Media) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """A file's bytes; its address is asked for each time, as it lives for five minutes."""
        found = await self._graph.get(media.ref, wire.Found, phone_number_id=self._number)
        async with self._graph.fetch(found.url, with_token=True) as pieces:
            yield pieces


def _done(answer: wire.Done) -> None:
    if not answer.success:
        raise Refused("WhatsApp did not do it, and does not say why")
