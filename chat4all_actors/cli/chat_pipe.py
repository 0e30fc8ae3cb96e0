"""`chat4all chat` without a terminal: lines in are messages out, and the other way round."""

from __future__ import annotations

import io
import os
import sys
from collections import deque
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from chat4all_client import (
    Client,
    Composing,
    Conv,
    Disconnected,
    Msg,
    Outgoing,
    Presence,
    Receipt,
    RequestRefused,
    SendRefused,
)

from .chat_text import event_line, json_line
from .main import OK, UNREACHABLE, USAGE, CommandError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

CHUNK: Final = 64 * 1024
"""Bytes read from the input at once."""
MAX_LINE: Final = 1024 * 1024
"""Bytes of a line; what is longer can't be a message in any case."""


class Pipe:
    """One run: until the input ends and everything is acknowledged."""

    def __init__(
        self, client: Client, conversation: str | None, *, json: bool, follow: bool
    ) -> None:
        self._client = client
        self._conversation = conversation
        self._json = json
        self._follow = follow
        self._outgoing: deque[Outgoing] = deque()
        self._mine: set[str] = set()
        self._refused = 0
        self._ended = False
        self._news = trio.Event()

    async def run(self) -> int:
        """Returns the exit code."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Not every terminal has UTF-8.
            sys.stdout.reconfigure(errors="replace")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive)
            async with trio.open_nursery() as sending:
                sending.start_soon(self._report)
                await self._send_lines()
                self._ended = True
                self._news.set()
            if self._follow:
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()
        return UNREACHABLE if self._refused else OK

    async def _send_lines(self) -> None:
        async with aclosing(lines()) as input_lines:
            async for line in input_lines:
                await self._send(line)

    async def _send(self, line: str) -> None:
        if not line.strip():
            return
        if self._conversation is None:
            raise CommandError(
                "nobody to send this to", "say --with NAME or --conversation ID", code=USAGE
            )
        while True:
            try:
                outgoing = self._client.send_nowait(self._conversation, line)
            except trio.WouldBlock:
                with suppress(SendRefused):  # it is reported in its place
                    await self._outgoing[0].wait()
                await trio.lowlevel.checkpoint()
            except SendRefused as error:
                self._tell_refused(error, "")
                return
            else:
                self._mine.add(outgoing.id)
                self._outgoing.append(outgoing)
                self._news.set()
                return

    async def _report(self) -> None:
        """Say what became of each message, in their order, until the input has ended."""
        while True:
            while self._outgoing:
                outgoing = self._outgoing[0]
                try:
                    sent = await outgoing.wait()
                except SendRefused as error:
                    self._tell_refused(error, outgoing.id)
                else:
                    if self._json:
                        _print(json_line(sent))
                self._outgoing.popleft()
            if self._ended:
                return
            self._news = trio.Event()
            await self._news.wait()

    async def _receive(self) -> None:
        client = self._client
        async for event in client.events():
            if isinstance(event, Disconnected):
                _narrate(f"offline ({event.reason}), reconnecting in {event.retry_in:.0f} s")
                continue
            if not isinstance(event, Msg | Receipt | Composing | Presence | Conv):
                continue
            of_others = self._conversation is not None and (
                isinstance(event, Presence) or event.conv != self._conversation
            )
            if of_others:
                continue
            if isinstance(event, Msg):
                own = event.id in self._mine
                self._mine.discard(event.id)
                if not own:
                    self._tell_event(event)
                    client.mark_read(event.conv, event.seq)
            elif self._json:
                _print(json_line(event))

    def _tell_event(self, event: Msg) -> None:
        if self._json:
            _print(json_line(event))
        elif event.kind == "message":
            _print(event_line(event))

    def _tell_refused(self, error: RequestRefused, id_: str) -> None:
        self._refused += 1
        if self._json:
            answer: dict[str, Any] = {"t": "error", "code": error.code, "message": error.message}
            _print(json_line({**answer, "id": id_ or None, "field": error.field}))
        _narrate(f"not sent: {error.message}")


async def lines(fd: int = 0) -> AsyncGenerator[str, None]:
    """The lines of a file descriptor, without their ends; what is no UTF-8 is replaced."""
    pending = b""
    while True:
        # Not through `sys.stdin`: a thread that waits in it would hold its lock at exit.
        data = await trio.to_thread.run_sync(os.read, fd, CHUNK, abandon_on_cancel=True)
        *complete, pending = (pending + data).split(b"\n")
        for line in complete:
            yield line.decode("utf-8", "replace").rstrip("\r")
        if not data or len(pending) > MAX_LINE:
            if pending:
                yield pending.decode("utf-8", "replace").rstrip("\r")
            pending = b""
        if not data:
            return


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _narrate(text: str) -> None:
    print(f"chat4all: {text}", file=sys.stderr)
