"""A `Tally` in Redis.

A key `PREFIX:limit:KEY` is a string: when all nodes together are at rest, then for each node when
it last had to do with it, and its name. Times are microseconds of Redis's own clock. It expires
when it tells nothing any more. Only commands that Redis has had since 6.2.

Numbers go both ways packed, as IEEE 754 doubles: written out they cost the node and Redis three
times as much.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from ..ports.tally import INTEREST, SECONDS, Standing
from .socket import RedisSocket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ports.tally import Usage
    from .socket import Argument

COMMAND_TIMEOUT: Final = 1 * SECONDS
"""Then limits turn stricter: half of what the bus waits."""
CHUNK: Final = 100
"""Keys of one script: nothing else runs in Redis meanwhile, about a millisecond."""
MICRO: Final = 1_000_000

_USAGE: Final = struct.Struct("<ddd")
_STANDING: Final = struct.Struct("<dH")

# A constant: no text of it ever depends on data. KEYS are what is told of; ARGV the node, for how
# long it counts, and of all keys the cost, what is known, and the ceiling.
_EXCHANGE: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local node, interest, usages = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local at = 1
local standings = {}
for i, key in ipairs(KEYS) do
  local cost, known, ceiling
  cost, known, ceiling, at = struct.unpack('<ddd', usages, at)
  local due, nodes, others = now, 1, ''
  local held = redis.call('GET', key)
  if held then
    local former, place = struct.unpack('<d', held)
    due = math.max(now, former)
    while place <= #held do
      local seen, name, next = struct.unpack('<dBc0', held, place)
      if name ~= node and seen + interest > now then
        nodes = nodes + 1
        others = others .. string.sub(held, place, next - 1)
      end
      place = next
    end
  end
  due = math.min(math.max(due + cost, now + known), now + ceiling)
  local value = struct.pack('<ddBc0', due, now, #node, node) .. others
  local lifetime = math.ceil(math.max(due - now, interest) / 1000) + 1000
  redis.call('SET', key, value, 'PX', lifetime)
  standings[i] = struct.pack('<dH', due - now, nodes)
end
return table.concat(standings)
"""


class RedisTally:
    """The tally of one cluster."""

    def __init__(self, url: str, cluster: str) -> None:
        """`cluster` keeps clusters that share a Redis apart."""
        self._socket = RedisSocket(url)
        self._prefix = f"chat4all:{cluster}:limit:"

    async def exchange(self, node: str, usages: Sequence[Usage]) -> list[Standing]:
        """See `Tally.exchange`."""
        chunks = [usages[start : start + CHUNK] for start in range(0, len(usages), CHUNK)]
        commands = [self._command(node, chunk) for chunk in chunks]
        answers: Any = await self._socket.ask(commands, timeout=COMMAND_TIMEOUT)
        return [
            Standing(ahead / MICRO, nodes)
            for answer in answers
            for ahead, nodes in _STANDING.iter_unpack(answer)
        ]

    async def close(self) -> None:
        """See `Tally.close`."""
        await self._socket.close()

    def _command(self, node: str, usages: Sequence[Usage]) -> list[Argument]:
        packed = b"".join(
            [
                _USAGE.pack(usage.cost * MICRO, usage.known * MICRO, usage.ceiling * MICRO)
                for usage in usages
            ]
        )
        keys = [self._prefix + usage.key for usage in usages]
        return ["EVAL", _EXCHANGE, len(keys), *keys, node, round(INTEREST * MICRO), packed]
