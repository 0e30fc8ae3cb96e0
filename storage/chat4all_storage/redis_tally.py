"""A `Tally` in Redis.

A key `PREFIX:limit:KEY` is a hash: `due`, when all nodes together are at rest, and for each node
when it last had to do with it, all in microseconds of Redis's own clock. It expires when it tells
nothing any more. Only commands that Redis has had since 6.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .redis_connection import call, connect
from .tally import INTEREST, SECONDS, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis.asyncio

    from .bridge import Bridge
    from .tally import Usage

COMMAND_TIMEOUT: Final = 1 * SECONDS
"""Then limits turn stricter: half of what the bus waits."""
CHUNK: Final = 250
"""Keys of one script: nothing else runs in Redis meanwhile, about a millisecond."""
MICRO: Final = 1_000_000

# A constant: no text of it ever depends on data. KEYS are what is told of, ARGV the node, for how
# long it counts, and for each key its cost, what is known, and the ceiling.
_EXCHANGE: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local node, interest = 'node:' .. ARGV[1], tonumber(ARGV[2])
local answers = {}
for i, key in ipairs(KEYS) do
  local cost, known = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local ceiling = tonumber(ARGV[3 * i + 2])
  local due, nodes = now, 1
  local held = redis.call('HGETALL', key)
  for j = 1, #held, 2 do
    local value = tonumber(held[j + 1])
    if held[j] == 'due' then
      due = math.max(due, value)
    elseif held[j] ~= node then
      if value + interest > now then
        nodes = nodes + 1
      else
        redis.call('HDEL', key, held[j])
      end
    end
  end
  due = math.min(math.max(due + cost, now + known), now + ceiling)
  redis.call('HSET', key, 'due', string.format('%.0f', due), node, string.format('%.0f', now))
  redis.call('PEXPIRE', key, math.ceil(math.max(due - now, interest) / 1000) + 1000)
  answers[2 * i - 1] = due - now
  answers[2 * i] = nodes
end
return answers
"""


class RedisTally:
    """The tally of one cluster."""

    def __init__(self, bridge: Bridge, url: str, cluster: str) -> None:
        """`cluster` keeps clusters that share a Redis apart."""
        self._bridge = bridge
        self._url = url
        self._prefix = f"chat4all:{cluster}:limit:"
        self._client: redis.asyncio.Redis | None = None

    async def exchange(self, node: str, usages: Sequence[Usage]) -> list[Standing]:
        """See `Tally.exchange`."""
        return await call(self._bridge, self._exchange, node, usages, timeout=COMMAND_TIMEOUT)

    async def close(self) -> None:
        """See `Tally.close`."""
        await call(self._bridge, self._close, timeout=COMMAND_TIMEOUT)

    # --- on the asyncio loop ------------------------------------------------------------------

    async def _exchange(self, node: str, usages: Sequence[Usage]) -> list[Standing]:
        client = self._client = self._client or connect(self._url, timeout=COMMAND_TIMEOUT)
        pipeline = client.pipeline(transaction=False)
        for start in range(0, len(usages), CHUNK):
            chunk = usages[start : start + CHUNK]
            keys = [self._prefix + usage.key for usage in chunk]
            numbers = [
                round(seconds * MICRO)
                for usage in chunk
                for seconds in (usage.cost, usage.known, usage.ceiling)
            ]
            interest = round(INTEREST * MICRO)
            pipeline.eval(_EXCHANGE, len(keys), *keys, node, interest, *numbers)
        standings: list[Standing] = []
        for answer in await pipeline.execute():
            pairs = zip(answer[::2], answer[1::2], strict=True)
            standings += [Standing(ahead / MICRO, nodes) for ahead, nodes in pairs]
        return standings

    async def _close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
