"""A directory and conversations in memory, nodes that serve webhooks, and a receiver to be told."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
from msgspec import Struct

from chat4all_actors.accounts.sealing import Sealing
from chat4all_actors.config import Settings
from chat4all_actors.edge.rest.event_data import EventData
from chat4all_actors.webhooks.sending import Outcome, Sender
from chat4all_actors.webhooks.service import WebhookService
from chat4all_protocol.codec import encode_body
from chat4all_protocol.frames import TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.audit import SHELL
from chat4all_storage.storage import memory_storage
from tests.storage.builders import append, mark

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from chat4all_actors.webhooks.presence import WhoIsThere
    from chat4all_storage.ports.shard import ShardStore
    from chat4all_storage.ports.webhooks import Webhook
    from chat4all_storage.storage import Storage

EPOCH = 1_700_000_000.0
KEY = "a key that only tests use, of 32 bytes and more"
URL = "https://hooks.example.org/chat"
OK = Outcome(True)
DOWN = Outcome(False, "it can't be reached", unreachable=True)
BUSY = Outcome(False, "answered 503")
GONE = Outcome(False, "answered 410", gone=True)


def clock() -> float:
    return EPOCH + trio.current_time()


class Request(Struct, frozen=True):
    """What a receiver was told once."""

    at: float
    """By trio's clock."""
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def place(self) -> tuple[str, int]:
        """Its type and number, of an event of a conversation; 0: the creation."""
        data = self.json["data"]
        return self.json["type"], data.get("sequence_number", 0)

    @property
    def conversation(self) -> str:
        id_: str = self.json["data"]["conversation_id"]
        return id_


class Receiver(Sender):
    """Takes requests, and answers as the test wants; nothing is resolved."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, clock=clock)
        self.requests: list[Request] = []
        """All that came."""
        self.taken: list[Request] = []
        """Those that were answered well."""
        self.answer: Callable[[Request], Outcome] = lambda request: OK
        self.takes = 0.0
        """Seconds until an answer."""
        self.at_once = self.most_at_once = 0

    async def check(self, url: str, patience: float) -> None:
        self.check_form(url)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await trio.sleep(self.takes)
            request = Request(trio.current_time(), url, dict(headers), body)
            self.requests.append(request)
            outcome = self.answer(request)
        finally:
            self.at_once -= 1
        if outcome.ok:
            self.taken.append(request)
        return outcome

    def places(self, conversation: str | None = None) -> list[tuple[str, int]]:
        """What was taken, in order."""
        return [
            each.place
            for each in self.taken
            if conversation is None or each.conversation == conversation
        ]


class World:
    """Stores, and who is in them; nodes come and go."""

    def __init__(
        self, databases: int = 1, *, there: WhoIsThere | None = None, **settings: Any
    ) -> None:
        self._there = there
        self.settings = Settings(**settings)
        self.storage: Storage = memory_storage(databases, clock_ms=lambda: int(clock() * 1000))
        self.receiver = Receiver(self.settings)

    @property
    def shard(self) -> ShardStore:
        return self.storage.shards.all[0]

    def service(self) -> WebhookService:
        return WebhookService(
            self.settings,
            self.storage,
            Sealing(KEY),
            EventData(self.storage),
            clock=clock,
            there=self._there,
            sender=self.receiver,
        )

    @asynccontextmanager
    async def node(self) -> AsyncIterator[WebhookService]:
        """A node that serves endpoints, until it is asked to stop."""
        service = self.service()
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            yield service
            nursery.cancel_scope.cancel()

    async def group(self, *members: str) -> str:
        """A conversation with these."""
        roles = {name: "member" if number else "owner" for number, name in enumerate(members)}
        made = await self.storage.shards.create(new_id(), "group", None, members[0], roles)
        return made[0].id

    async def say(self, conversation: str, sender: str, *texts: str) -> None:
        """Messages in one commit."""
        entries = [
            append(conversation, sender, encode_body(TextBody(text))) for text in texts or ("hi",)
        ]
        result = await self.storage.shards.of(conversation).commit(entries, [])
        assert all(outcome.seq for outcome in result.outcomes)

    async def reads(self, conversation: str, user: str, seq: int) -> None:
        await mark(self.storage.shards.of(conversation), conversation, user, read=seq)

    async def receives(self, conversation: str, user: str, seq: int) -> None:
        await mark(self.storage.shards.of(conversation), conversation, user, recv=seq)

    async def add(self, service: WebhookService, user: str | None = "ann", *events: str) -> Webhook:
        """An endpoint of this user, or of a client that may be told everything."""
        owner = "client:billing" if user is None else f"user:{user}"
        webhook, _ = await service.add(new_id(), owner, user, URL, events or ("*",), None, SHELL)
        return webhook

    async def stands(self, webhook: Webhook) -> Webhook:
        found = await self.storage.webhooks.find(webhook.id, webhook.owner)
        assert found is not None
        return found
