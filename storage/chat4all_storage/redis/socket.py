"""A connection to Redis that trio itself waits for, without a thread.

A call over the bridge wakes two threads that share the interpreter's lock: 0.6 ms of processor
time, 7 to 9 of the 70 to 84 us that a message took with two workers. redis-py only reads the URL.

https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2, as every Redis speaks it)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import redis.asyncio.connection as redis_py
import trio

from ..ports.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

Argument: TypeAlias = bytes | str | int
Reply: TypeAlias = "bytes | int | list[Reply] | RedisError | None"

RECEIVE_BYTES: Final = 256 * 1024
_BROKEN: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class RedisError(Exception):
    """What Redis refused, in its own words. An answer, too: others follow it."""


class RedisSocket:
    """A connection that is opened when it is used, and again after it broke.

    Calls take turns. Whatever ends one before it was answered gives the connection up: what was
    asked for may have happened, and nothing is asked twice.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._stream: trio.abc.Stream | None = None
        self._received = bytearray()
        self._turn = trio.Lock()

    async def ask(self, commands: Sequence[Sequence[Argument]], *, timeout: float) -> list[Reply]:
        """The answers to commands, which are sent together.

        Raises:
            Unavailable: Redis can't be used, refused one of them, or took longer than `timeout`
                seconds.
        """
        with trio.move_on_after(timeout):
            try:
                async with self._turn:
                    replies = await self._exchange(commands)
            except _BROKEN as error:
                why = error.__cause__ or error  # of a broken stream trio says nothing itself
                raise Unavailable(f"Redis: {type(why).__name__}: {why}") from error
            for reply in replies:
                if isinstance(reply, RedisError):
                    raise Unavailable(f"Redis: {reply}")
            return replies
        raise Unavailable("Redis: no answer in time")

    async def close(self) -> None:
        """Give the connection up at once."""
        stream, self._stream = self._stream, None
        self._received.clear()
        if stream is not None:
            await trio.aclose_forcefully(stream)

    async def _exchange(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        try:
            if self._stream is None:
                await self._open()
            assert self._stream is not None
            await self._stream.send_all(b"".join([_encoded(command) for command in commands]))
            return [await self._reply() for _ in commands]
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        # It is never connected: it knows what a URL means, and how TLS is to be spoken.
        pool: Any = redis_py.ConnectionPool.from_url(self._url)
        given = pool.make_connection()
        if isinstance(given, redis_py.UnixDomainSocketConnection):
            self._stream = await trio.open_unix_socket(given.path)
        else:
            self._stream = await trio.open_tcp_stream(given.host, given.port)
        if isinstance(given, redis_py.SSLConnection):
            context = given.ssl_context.get()
            self._stream = trio.SSLStream(self._stream, context, server_hostname=given.host)
        greetings: list[list[Argument]] = []
        if given.username or given.password:
            names = [given.username] if given.username else []
            greetings.append(["AUTH", *names, given.password or ""])
        if given.db:
            greetings.append(["SELECT", given.db])
        for greeting in greetings:
            await self._stream.send_all(_encoded(greeting))
            reply = await self._reply()
            if isinstance(reply, RedisError):
                raise ConnectionError(str(reply))

    async def _reply(self) -> Reply:
        line = await self._take(await self._find_end())
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            return RedisError(rest.decode(errors="replace"))
        if kind not in b":$*":
            raise ConnectionError(f"Redis answers what is none: {line[:40]!r}")
        try:
            number = int(rest)
        except ValueError as error:
            raise ConnectionError(f"Redis answers what is none: {line[:40]!r}") from error
        if kind == b":":
            return number
        if number < 0:
            return None
        if kind == b"$":
            return (await self._take(number + 2))[:-2]
        return [await self._reply() for _ in range(number)]

    async def _find_end(self) -> int:
        """The length of the line that comes next, with its end."""
        looked = 0
        while (end := self._received.find(b"\r\n", looked)) < 0:
            looked = max(0, len(self._received) - 1)
            await self._receive()
        return end + 2

    async def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            await self._receive()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    async def _receive(self) -> None:
        assert self._stream is not None
        data = await self._stream.receive_some(RECEIVE_BYTES)
        if not data:
            raise ConnectionError("the connection was closed")
        self._received += data


def _encoded(command: Sequence[Argument]) -> bytes:
    parts = [b"*%d\r\n" % len(command)]
    for each in command:
        data = each if isinstance(each, bytes) else str(each).encode()
        parts += (b"$%d\r\n" % len(data), data, b"\r\n")
    return b"".join(parts)
