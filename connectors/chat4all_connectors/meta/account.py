"""What Messenger and Instagram do alike, as the connector that both are made from."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from ..base import Connector, Identity, WebhookAnswer
from ..errors import Misconfigured, Refused, Unreachable
from . import direct, send_api
from .envelope import confirm, entries
from .graph import Graph
from .health import judge
from .send_faults import RULES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    import httpx2

    from ..base import Health, WebhookCall
    from ..incoming import Media
    from ..outgoing import Accepted
    from .settings import GraphSettings


T = TypeVar("T")


class MessagingAccount(Connector):
    """An account whose chats are with one person each, by the id that Meta has for them there."""

    object_: str
    """What its webhooks are about."""

    def __init__(
        self,
        settings: GraphSettings,
        *,
        account: str,
        path: str,
        who: str,
        fields: str,
        standby: bool,
        transport: httpx2.AsyncBaseTransport | None,
    ) -> None:
        """Of an account.

        Args:
            settings: As they were given.
            account: Its id in webhooks.
            path: Its id in calls.
            who: The fields by which it is named.
            fields: What is subscribed to of its webhooks, with commas between; empty: nothing.
            standby: Whether to read what goes on while another app has a conversation.
            transport: Stands in for the network.
        """
        self._common = settings
        self._account = account
        self._path = path
        self._who = who
        self._fields = fields
        self._standby = standby
        self._graph = Graph(settings, RULES, transport=transport)

    # --- its life

    async def connect(self) -> Identity:
        """Ask who the account is, and subscribe to its webhooks, if to any."""
        account = await self._graph.get(self._path, send_api.Account, fields=self._who)
        if self._fields:
            subscribed = await self._graph.post(
                f"{self._path}/subscribed_apps",
                {"subscribed_fields": self._fields},
                send_api.Subscribed,
                sends=False,
            )
            if not subscribed.success:
                raise Refused("Meta does not subscribe to webhooks, and does not say why")
        return Identity(account.id, account.name or account.username or account.id)

    async def disconnect(self) -> None:
        """Close the connections."""
        await self._graph.aclose()

    async def health(self) -> Health:
        """By whether Meta answers, the token's end, and how near the limits are."""
        return await judge(self._common, self._use)

    async def _use(self) -> tuple[str, float]:
        _, use = await self._graph.ask(self._path, send_api.Account, fields=self._who)
        return "", use.percent

    # --- what is sent

    async def _send(self, chat: str, body: send_api.Body) -> Accepted:
        sent = await self._graph.post(f"{self._path}/messages", body, send_api.Sent, sends=True)
        return sent.accepted(chat)

    async def _act(self, body: send_api.Body) -> None:
        await self._graph.post(f"{self._path}/messages", body, send_api.Acted, sends=False)

    async def react(self, chat: str, message: str, emoji: str | None) -> None:
        """Show a reaction; to do it twice changes nothing."""
        await self._act(send_api.reaction(chat, message, emoji))

    async def typing(self, chat: str, message: str | None) -> None:
        """Show that somebody types."""
        await self._act(send_api.action(chat, "typing_on"))

    async def mark_read(self, chat: str, message: str) -> None:
        """Mark all read that came from a person: there are no marks of single messages."""
        await self._act(send_api.action(chat, "mark_seen"))

    # --- what comes in

    def handle_webhook(self, call: WebhookCall) -> WebhookAnswer:
        """Answer Meta's question whether the address is ours, or read what it signed."""
        if call.method == "GET":
            return confirm(call, self._common.verify_token)
        now = time.time_ns() // 1_000_000
        events = [
            event
            for entry in entries(call, self.object_, self._common)
            for event in direct.updates(entry, self._account, standby=self._standby, now=now)
        ]
        return WebhookAnswer(events)

    @asynccontextmanager
    async def download(self, media: Media) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """A file's bytes, from the address that came with it; that ends after hours or days."""
        async with self._graph.fetch(media.ref, with_token=False) as pieces:
            yield pieces

    async def _profile(self, contact: str, fields: str, type_: type[T]) -> T | None:
        try:
            return await self._graph.get(contact, type_, fields=fields)
        except (Refused, Unreachable, Misconfigured):
            # Profiles need a permission of their own, and the person's consent.
            return None
