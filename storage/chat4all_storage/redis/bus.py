"""A `Bus` on Redis Streams.

Keys, under a prefix of the cluster's own: `PREFIX:in:NODE`, the inbound stream of a node, which
expires when the node has not beaten for a while; `PREFIX:nodes`, a hash of the last beats; and
`PREFIX:epoch`, made by whoever finds none. Only commands that Redis has had since 6.2.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from ..ports.bus import Arrival, Beat
from .socket import RedisSocket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .socket import Argument

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

    def __init__(self, url: str, cluster: str, *, max_entries: int = 2000) -> None:
        """`cluster` keeps clusters that share a Redis apart.

        A stream holds about `max_entries` entries.
        """
        self._prefix = f"chat4all:{cluster}"
        self._max_entries = max_entries
        self._writer = RedisSocket(url)
        # A connection of its own, as this one waits.
        self._reader = RedisSocket(url)

    async def append(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """See `Bus.append`."""
        # No new stream: that of a node that has left would never expire.
        commands = [self._add(node, data, "NOMKSTREAM") for node, data in entries]
        await self._writer.ask(commands, timeout=COMMAND_TIMEOUT)

    async def read(self, node: str, after: str, *, wait: float, limit: int) -> list[Arrival]:
        """See `Bus.read`."""
        milliseconds = int(wait * 1000)
        command: list[Argument] = ["XREAD", "COUNT", limit]
        if milliseconds:  # `BLOCK 0` would wait for ever
            command += ["BLOCK", milliseconds]
        command += ["STREAMS", self._stream(node), after]
        found: Any
        (found,) = await self._reader.ask([command], timeout=COMMAND_TIMEOUT + wait)
        return [
            Arrival(id_.decode(), fields[1])
            for _, entries in found or ()
            for id_, fields in entries
        ]

    async def beat(self, node: str, data: bytes) -> Beat:
        """See `Bus.beat`."""
        epoch_key, nodes_key, stream = f"{self._prefix}:epoch", self._nodes, self._stream(node)
        replies: Any = await self._writer.ask(
            [
                ["SET", epoch_key, secrets.token_hex(8), "NX"],
                ["GET", epoch_key],
                self._add(node, data),
                ["PEXPIRE", stream, int(STREAM_LIFETIME * 1000)],
                ["HSET", nodes_key, node, data],
                ["HGETALL", nodes_key],
            ],
            timeout=COMMAND_TIMEOUT,
        )
        _, epoch, position, _, _, nodes = replies
        return Beat(
            epoch=epoch.decode(),
            position=position.decode(),
            nodes={name.decode(): last for name, last in zip(nodes[::2], nodes[1::2], strict=True)},
        )

    async def remove(self, node: str, unless: bytes | None = None) -> bool:
        """See `Bus.remove`."""
        keys = [self._nodes, self._stream(node)]
        arguments = [node, "0" if unless is None else "1", unless or b""]
        command = ["EVAL", _REMOVE, len(keys), *keys, *arguments]
        (removed,) = await self._writer.ask([command], timeout=COMMAND_TIMEOUT)
        return bool(removed)

    async def close(self) -> None:
        """See `Bus.close`."""
        await self._writer.close()
        await self._reader.close()

    def _add(self, node: str, data: bytes, *options: str) -> list[Argument]:
        limit = ("MAXLEN", "~", self._max_entries)
        return ["XADD", self._stream(node), *options, *limit, "*", "e", data]

    @property
    def _nodes(self) -> str:
        return f"{self._prefix}:nodes"

    def _stream(self, node: str) -> str:
        return f"{self._prefix}:in:{node}"
