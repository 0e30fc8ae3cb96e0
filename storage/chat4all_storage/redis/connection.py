"""One connection to Redis for calls that are made once: through the bridge, bounded in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ..ports.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..bridge import Bridge

T = TypeVar("T")


async def call(
    bridge: Bridge, fn: Callable[..., Awaitable[T]], *arguments: Any, timeout: float
) -> T:
    """Await `fn(*arguments)` on the bridge's loop.

    Raises:
        Unavailable: Redis can't be used, or there was no answer within `timeout` seconds.
    """

    async def run() -> T:
        try:
            return await fn(*arguments)
        except (RedisError, OSError) as error:
            raise Unavailable(f"Redis: {type(error).__name__}: {error}") from error

    try:
        return await bridge.call(run, timeout=timeout)
    except TimeoutError:
        raise Unavailable("Redis: no answer in time") from None


def connect(url: str, *, timeout: float) -> redis.asyncio.Redis:
    """A client that connects when it is used, within `timeout` seconds; for the bridge's loop.

    One attempt: what is lost is repaired in other ways, so nothing is sent twice.
    """
    return redis.asyncio.Redis.from_url(
        url, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )
