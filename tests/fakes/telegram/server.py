"""Which call is whose: the Bot API for each token, and the control API beside it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx2
import msgspec
import trio
from msgspec import Struct

from chat4all_connectors.testing.http_server import Request, Response, json_response, open_server

from . import control
from .bot import Bot
from .faults import error_response
from .parameters import Bad

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class NewBot(Struct, forbid_unknown_fields=True):
    """What makes a bot, at `/_control/bots`."""

    token: str
    username: str


class FakeTelegram:
    """All bots."""

    def __init__(self, nursery: trio.Nursery, client: httpx2.AsyncClient, pace: float) -> None:
        self._nursery = nursery
        self._client = client
        self._pace = pace
        self._bots: dict[int, Bot] = {}

    def add(self, token: str, username: str) -> None:
        """Another bot; one of the same id is replaced."""
        bot = Bot(token, username, pace=self._pace, nursery=self._nursery, client=self._client)
        self._bots[bot.id] = bot

    async def handle(self, request: Request) -> Response:
        """Any call."""
        parts = request.path.split("/", 3)[1:]
        if parts[0] == "_control" and len(parts) > 1:
            return await self._control(parts[1], "/".join(parts[2:]), request)
        if parts[0] == "file" and len(parts) == 3:
            bot = self._bot(parts[1])
            return _unknown() if bot is None else bot.file(parts[2])
        bot = self._bot(parts[0])
        return _unknown() if bot is None else await bot.answer("/".join(parts[1:]), request)

    def _bot(self, part: str) -> Bot | None:
        token = part.removeprefix("bot")
        id_ = token.partition(":")[0]
        bot = self._bots.get(int(id_)) if id_.isdecimal() else None
        return bot if bot is not None and bot.token == token and part != token else None

    async def _control(self, which: str, what: str, request: Request) -> Response:
        if which == "bots":
            new = msgspec.json.decode(await request.read(), type=NewBot)
            self.add(new.token, new.username)
            return json_response({})
        bot = self._bots.get(int(which)) if which.isdecimal() else None
        if bot is None:
            return json_response({"error": "there is no such bot"}, 404)
        return await control.answer(bot, what, request)


def _unknown() -> Response:
    return error_response(Bad(401, "Unauthorized: invalid token specified"))


@asynccontextmanager
async def open_fake(port: int, pace: float, bots: dict[str, str]) -> AsyncIterator[str]:
    """The server, by its address; `bots` are user names by tokens."""
    async with (
        httpx2.AsyncClient(trust_env=False, verify=False) as client,
        trio.open_nursery() as nursery,
    ):
        fake = FakeTelegram(nursery, client, pace)
        for token, username in bots.items():
            fake.add(token, username)
        async with open_server(fake.handle, port) as url:
            yield url
        nursery.cancel_scope.cancel()
