"""Asking clamd whether bytes are harmful: its command INSTREAM.

The protocol is that of clamd(8): `zINSTREAM\\0`, then chunks with their length before them, a chunk
of no bytes at the end; the answer ends with a NUL. Whoever sends more than its StreamMaxLength is
told so at once, and not listened to any further.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Finding: TypeAlias = Literal["clean", "infected", "too_large"]
MAX_ANSWER: Final = 4096


class ScannerAway(Exception):
    """The scanner can't be asked for now, or does not answer as one."""


class Clamd:
    """A clamd that listens somewhere."""

    def __init__(self, address: str, timeout: float) -> None:
        """`address` is `host:port` or the path of a socket; `timeout` is in seconds, for a step."""
        self.address = address
        """Where it listens."""
        self._timeout = timeout

    @asynccontextmanager
    async def scan(self) -> AsyncIterator[Scan]:
        """Give it a file, piece by piece.

        Raises:
            ScannerAway: now, or by what the `Scan` is asked for.
        """
        try:
            with trio.fail_after(self._timeout):
                stream = await self._open()
        except (OSError, trio.TooSlowError) as error:
            raise ScannerAway(f"clamd can't be reached: {error}") from error
        async with stream:
            scan = Scan(stream, self._timeout)
            await scan.begin()
            yield scan

    async def _open(self) -> trio.SocketStream:
        if self.address.startswith("/"):
            return await trio.open_unix_socket(self.address)
        host, _, port = self.address.rpartition(":")
        return await trio.open_tcp_stream(host.strip("[]"), int(port))


class Scan:
    """One file on its way to the scanner."""

    def __init__(self, stream: trio.abc.Stream, timeout: float) -> None:
        self._stream = stream
        self._timeout = timeout
        self._deaf = False
        """Whether it listens no more: its answer is there."""

    async def begin(self) -> None:
        """Announce a file."""
        await self._send(b"zINSTREAM\0")

    async def write(self, piece: bytes) -> None:
        """The next bytes of it; not empty."""
        await self._send(len(piece).to_bytes(4, "big") + piece)

    async def finding(self) -> Finding:
        """What the scanner says, after the last piece.

        Raises:
            ScannerAway: it says nothing that can be understood.
        """
        await self._send(b"\0\0\0\0")
        answer = await self._answer()
        if answer.endswith(b" FOUND"):
            return "infected"
        if answer.endswith(b": OK"):
            return "clean"
        if b"size limit exceeded" in answer:
            return "too_large"
        raise ScannerAway(f"clamd answers {answer[:100]!r}")

    async def _send(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            with trio.fail_after(self._timeout):
                await self._stream.send_all(data)
        except trio.BrokenResourceError:
            self._deaf = True
        except trio.TooSlowError as error:
            raise ScannerAway("clamd takes no more bytes") from error

    async def _answer(self) -> bytes:
        answer = b""
        try:
            with trio.fail_after(self._timeout):
                while b"\0" not in answer and len(answer) < MAX_ANSWER:
                    received = await self._stream.receive_some(MAX_ANSWER)
                    if not received:
                        break
                    answer += received
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            raise ScannerAway("clamd does not answer") from error
        return answer.partition(b"\0")[0].strip()
