"""A `Bus` on Redis Streams.

Keys, under a prefix of the cluster's own: `PREFIX:in:NODE`, the inbound stream of a node, which
expires when the node has not beaten for a while; `PREFIX:nodes`, a hash of the last beats; and
`PREFIX:epoch`, made by whoever finds none. Only commands that Redis has had since 6.2.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .bus import Arrival, Beat
from .redis_connection import call, connect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import redis.asyncio

    from .bridge import Bridge

T = TypeVar("T")

SECONDS: Final = 1.0
COMMAND_TIMEOUT: Final = 2 * SECONDS
STREAM_LIFETIME: Final = 60 * SECONDS
"""Of the stream of a node that does not beat."""

_REMOVE: Final = """
if ARGV[2] == '1' and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[2])
return redis.call('HDEL', KEYS[1], ARGV[1])
"""


class RedisStreams:
    """The bus of one cluster."""

    def __init__(self, bridge: Bridge, url: str, cluster: str, *, max_entries: int = 2000) -> None:
        """`cluster` keeps clusters that share a Redis apart.

        A stream holds about `max_entries` entries.
        """
        self._bridge = bridge
        self._url = url
        self._prefix = f"chat4all:{cluster}"
        self._max_entries = max_entries
        self._writer: redis.asyncio.Redis | None = None
        self._reader: redis.asyncio.Redis | None = None

    async def append(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """See `Bus.append`."""
        await self._call(self._append, entries)

    async def read(self, node: str, after: str, *, wait: float, limit: int) -> list[Arrival]:
        """See `Bus.read`."""
        return await self._call(self._read, node, after, wait, limit, timeout=wait)

    async def beat(self, node: str, data: bytes) -> Beat:
        """See `Bus.beat`."""
        return await self._call(self._beat, node, data)

    async def remove(self, node: str, unless: bytes | None = None) -> bool:
        """See `Bus.remove`."""
        return await self._call(self._remove, node, unless)

    async def close(self) -> None:
        """See `Bus.close`."""
        await self._call(self._close)

    async def _call(
        self, fn: Callable[..., Awaitable[T]], *arguments: Any, timeout: float = 0.0
    ) -> T:
        return await call(self._bridge, fn, *arguments, timeout=COMMAND_TIMEOUT + timeout)

    # --- on the asyncio loop ------------------------------------------------------------------

    def _connect(self) -> redis.asyncio.Redis:
        return connect(self._url, timeout=COMMAND_TIMEOUT)

    async def _append(self, entries: Sequence[tuple[str, bytes]]) -> None:
        writer = self._writer = self._writer or self._connect()
        pipeline = writer.pipeline(transaction=False)
        for node, data in entries:
            # No new stream: that of a node that has left would never expire.
            pipeline.xadd(
                self._stream(node), {"e": data}, maxlen=self._max_entries, nomkstream=True
            )
        await pipeline.execute()

    async def _read(self, node: str, after: str, wait: float, limit: int) -> list[Arrival]:
        # A connection of its own, as this one waits.
        reader = self._reader = self._reader or self._connect()
        block = int(wait * 1000) or None  # `BLOCK 0` would wait for ever
        found: Any = await reader.xread({self._stream(node): after}, count=limit, block=block)
        return [
            Arrival(id_.decode(), fields[b"e"]) for _, entries in found for id_, fields in entries
        ]

    async def _beat(self, node: str, data: bytes) -> Beat:
        writer = self._writer = self._writer or self._connect()
        stream = self._stream(node)
        pipeline = writer.pipeline(transaction=False)
        pipeline.set(f"{self._prefix}:epoch", secrets.token_hex(8), nx=True)
        pipeline.get(f"{self._prefix}:epoch")
        pipeline.xadd(stream, {"e": data}, maxlen=self._max_entries)
        pipeline.pexpire(stream, int(STREAM_LIFETIME * 1000))
        pipeline.hset(f"{self._prefix}:nodes", node, data)
        pipeline.hgetall(f"{self._prefix}:nodes")
        _, epoch, position, _, _, nodes = await pipeline.execute()
        return Beat(
            epoch=epoch.decode(),
            position=position.decode(),
            nodes={name.decode(): last for name, last in nodes.items()},
        )

    async def _remove(self, node: str, unless: bytes | None) -> bool:
        writer = self._writer = self._writer or self._connect()
        keys = [f"{self._prefix}:nodes", self._stream(node)]
        arguments = [node, "0" if unless is None else "1", unless or b""]
        return bool(await writer.eval(_REMOVE, 2, *keys, *arguments))

    async def _close(self) -> None:
        for client in (self._writer, self._reader):
            if client is not None:
                await client.aclose()

    def _stream(self, node: str) -> str:
        return f"{self._prefix}:in:{node}"
