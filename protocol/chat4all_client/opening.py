"""`open_client`: how a client begins and ends."""

from __future__ import annotations

import random as random_module
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from .client import Client
from .cursors import CursorStore, MemoryCursors
from .engine import Engine
from .options import Options
from .transport import websocket_opener, websocket_url
from .wake import single_cause

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from .transport import Opener


@asynccontextmanager
async def open_client(
    url: str,
    *,
    token: str | Callable[[], Awaitable[str]],
    device: str,
    cursors: CursorStore | None = None,
    # Behaviour
    background: bool = False,
    acknowledge: bool = True,
    pipeline: int = 1,
    # Limits
    outbox: int = 1000,
    event_buffer: int = 1000,
    # Times, in seconds
    connect_timeout: float = 30.0,
    answer_timeout: float = 10.0,
    save_interval: float = 1.0,
    # Surroundings
    ssl_context: ssl.SSLContext | None = None,
    opener: Opener | None = None,
    random: Callable[[], float] = random_module.random,
) -> AsyncIterator[Client]:
    """Connect, and stay connected until the block is left.

    Args:
        url: the server's address: `http(s)://` or `ws(s)://`, with or without `/ws`.
        token: an access token, or what gets a new one at each connect. When the latter raises
            OSError the connect counts as failed and is tried again; anything else ends the client.
        device: names this installation, the same at each start. A second client of the same user
            and device replaces the first one, which ends with `ConnectionRefusedByServer` (3504).
        cursors: keeps where the application stands; by default it begins at the present.
        background: nobody is in front of it.
        acknowledge: tell the server of each handled event that this device holds it.
        pipeline: messages of one conversation that may wait for their answers at once. With 1
            none can overtake another; with more, one that is refused for a time may be stored
            after those that were on the wire behind it.
        outbox: messages without an answer at once; `send` waits beyond.
        event_buffer: durable events held for a slow application, at least 100; what comes beyond
            is fetched from the server later.
        connect_timeout: for the first connection; `inf` tries for ever.
        answer_timeout: after which a request without an answer is sent again, with the same id.
        save_interval: changes of the cursors are collected for so long.
        ssl_context: for `https` and `wss`, in place of the default.
        opener: opens connections in place of a WebSocket to `url`.
        random: numbers in [0, 1), for the waiting times.

    Raises:
        ConnectError: no connection within `connect_timeout`.
        ConnectionRefusedByServer: the server refused for good.
        ValueError: a setting is out of range, or `url` is no address.
    """
    options = Options(
        device=device,
        background=background,
        pipeline=pipeline,
        outbox=outbox,
        event_buffer=event_buffer,
        answer_timeout=answer_timeout,
        acknowledge=acknowledge,
        save_interval=save_interval,
    )
    address = websocket_url(url)
    opener = opener or websocket_opener(address, ssl_context=ssl_context)
    store = cursors if cursors is not None else MemoryCursors()
    engine = Engine(options, await store.load(), random)
    client = Client(engine, options, opener, token, store, random)
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                await client._start(nursery, address, connect_timeout)
                yield client
                await client._finish()
            finally:
                nursery.cancel_scope.cancel()
                await client._end()
    except BaseExceptionGroup as group:
        failure = single_cause(group)
    if failure is not None:
        raise failure
