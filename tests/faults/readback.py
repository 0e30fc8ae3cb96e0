"""Requests on connections of their own: to prepare a run, and to read everything back after it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]
import trio
from trio_websocket import open_websocket_url

from tests.faults.history import Event, Fetched, Tables
from tests.faults.notes import event_of
from tests.faults.opening import MAX_FRAME
from tests.support.storage_servers import fetch

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Mapping, Sequence

    from trio_websocket import WebSocketConnection

    from tests.faults.history import History

DEVICE = "reader"
TRIES = 10


class Requests:
    """One connection; one request at a time."""

    def __init__(self, socket: WebSocketConnection, user: str) -> None:
        self._socket = socket
        self._user = user
        self._rid = 0

    async def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request."""
        self._rid += 1
        await self._socket.send_message(msgpack.packb(frame | {"rid": self._rid}))
        while True:
            answer: dict[str, Any] = msgpack.unpackb(await self._socket.get_message())
            if answer.get("rid") == self._rid:
                return answer

    async def page(self, conversation: str, limit: int, **bound: int) -> Fetched:
        """A page: `after` or `before` something, or the last."""
        sent = trio.current_time()
        request = {"t": "fetch", "conv": conversation, "limit": limit, **bound}
        for _ in range(TRIES):
            answer = await self.ask(request)
            if not await _put_off(answer):
                break
        assert answer["t"] == "page", answer
        return Fetched(
            user=self._user,
            device=DEVICE,
            conversation=conversation,
            after=bound.get("after"),
            before=bound.get("before"),
            limit=limit,
            sent=sent,
            answered=trio.current_time(),
            events=[event_of(item) for item in answer["items"]],
            more=answer["more"],
        )


async def _put_off(answer: dict[str, Any]) -> bool:
    """Whether it says to come again, after waiting for that long.

    A node may find at its next question only that a database has broken its connections.
    """
    if answer["t"] != "error" or not answer["temporary"]:
        return False
    await trio.sleep(answer.get("retry_after_ms", 0) / 1000)
    return True


@asynccontextmanager
async def requests(port: int, user: str, token: str) -> AsyncIterator[Requests]:
    """A fresh connection of `user`."""
    url = f"ws://127.0.0.1:{port}/ws"
    connect = msgpack.packb({"t": "connect", "token": token, "device": DEVICE})
    for _ in range(TRIES):
        async with open_websocket_url(
            url, subprotocols=["chat4all.v1"], max_message_size=MAX_FRAME
        ) as socket:
            assert msgpack.unpackb(await socket.get_message())["t"] == "hello"
            await socket.send_message(connect)
            answer = msgpack.unpackb(await socket.get_message())
            if not await _put_off(answer):
                assert answer["t"] == "ready", answer
                yield Requests(socket, user)
                return
    raise AssertionError(answer)


async def read_back(
    history: History,
    rng: random.Random,
    ports: Sequence[int],
    tokens: Mapping[str, str],
    members: Mapping[str, Sequence[str]],
    *,
    ranges: int,
) -> dict[str, list[Event]]:
    """Each log from its first to its last page; the history gets those, and some random ranges.

    Each is read through one of the `ports`.
    """
    logs: dict[str, list[Event]] = {}
    for conversation, names in members.items():
        user = rng.choice(names)
        async with requests(rng.choice(ports), user, tokens[user]) as api:
            log = logs[conversation] = []
            more = True
            while more:
                page = await api.page(conversation, 100, after=log[-1].seq if log else 0)
                history.page(page)
                log += page.events
                more = page.more
            for _ in range(ranges):
                place, limit = rng.randint(0, len(log) + 2), rng.randint(1, 100)
                history.page(await api.page(conversation, limit, after=place))
                history.page(await api.page(conversation, limit, before=place + 1))
                history.page(await api.page(conversation, limit))
    return logs


async def read_tables(*dsns: str) -> Tables:
    """The databases, straight from their tables."""
    logs: dict[str, list[Event]] = {}
    heads: dict[str, int] = {}
    members: dict[str, list[str]] = {}
    watermarks: dict[tuple[str, str], tuple[int, int]] = {}
    homes: dict[str, int] = {}
    for number, dsn in enumerate(dsns):
        rows = await _rows(
            dsn,
            "SELECT conversation::text, seq, id::text, sender, body, ts FROM events"
            " ORDER BY conversation, seq, id",
        )
        for conversation, seq, id_, sender, body, ts in rows:
            text = msgpack.unpackb(body)["text"]
            logs.setdefault(conversation, []).append(Event(seq, id_, sender, text, ts))
        for conversation, head in await _rows(dsn, "SELECT id::text, head FROM conversations"):
            assert conversation not in heads, f"{conversation} is in two databases"
            heads[conversation], homes[conversation] = head, number
            members[conversation] = []
        joined = await _rows(dsn, "SELECT conversation::text, username, recv, read FROM members")
        for conversation, username, recv, read in joined:
            members[conversation].append(username)
            watermarks[conversation, username] = recv, read
    return Tables(logs, heads, members, watermarks, homes)


async def _rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    return await trio.to_thread.run_sync(fetch, dsn, query)
