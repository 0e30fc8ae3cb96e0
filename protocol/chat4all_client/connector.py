"""Keeps one connection alive: opens, feeds and replaces links; the only part that waits for I/O."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from chat4all_protocol.codes import CloseCode, may_reconnect
from chat4all_protocol.connection import ProtocolViolation

from .backoff import full_jitter
from .errors import ConnectionRefusedByServer
from .link import Link, LinkState
from .transport import CLOSING, TransportClosed, TransportRefused
from .wake import Signal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .engine import Engine
    from .transport import Opener, Transport

logger = logging.getLogger(__name__)

SETTLE: Final = 20.0
"""Seconds from the start of an attempt to `ready`."""
_TOKEN_REFUSED: Final = (CloseCode.BAD_TOKEN, CloseCode.TOKEN_EXPIRED)
_TRY_LATER: Final = (408, 425, 429)


class _Attempt:
    """One connection from its opening to its end."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.token = ""
        self.scope = trio.CancelScope()
        """Cancelled: cut it."""
        self.stop = trio.CancelScope()
        """Cancelled: close it as one should."""
        self.finishing = False
        """Stop when everything is written."""
        self.moving = False
        """It is to be replaced; until then it goes on."""
        self.settled = trio.Event()
        """It is live, or over."""
        self.over = trio.Event()
        """It ended, or is to be replaced."""
        self.gone = trio.Event()
        """Nothing of it is left."""
        self.output = Signal()
        self.code: int | None = None
        self.reason = ""
        self.final = False
        """The server refused the handshake for good; `code` is the HTTP status."""
        self.retry_after = 0.0

    @property
    def live(self) -> bool:
        return self.link is not None and self.link.state is LinkState.LIVE


class Connector:
    """Runs the connection of an engine."""

    def __init__(
        self,
        engine: Engine,
        opener: Opener,
        token: str | Callable[[], Awaitable[str]],
        random: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._opener = opener
        self._token = token
        self._random = random
        self._changed = changed
        self._attempt: _Attempt | None = None
        """The live one."""
        self._refused_token: str | None = None
        self._failures = 0
        self._timer = Signal()
        self._timer_until = float("inf")
        self.last_reason = ""
        """Why the last attempt failed."""

    # --- for the client -------------------------------------------------------------------------

    def poke(self) -> None:
        """The engine was given something: send it, look at the time, tell the application."""
        attempt = self._attempt
        if attempt is not None and attempt.link is not None and attempt.link.has_output:
            attempt.output.set()
        if self._next_time() < self._timer_until:
            self._timer.set()
        self._changed()

    async def run(self) -> None:
        """Connect, again and again, until the server refuses for good or this is cancelled.

        Raises:
            ConnectionRefusedByServer: connecting again is no use.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            try:
                while True:
                    attempt = await self._establish(nursery)
                    await attempt.over.wait()
                    if not attempt.live:
                        await self._pause(attempt)
            except ConnectionRefusedByServer as error:
                self._engine.fail(error)
                self._changed()
            nursery.cancel_scope.cancel()

    async def finish(self, timeout: float) -> None:
        """Send what is waiting to be sent and close, within `timeout` seconds."""
        attempt = self._attempt
        if attempt is None:
            return
        self._engine.flush_marks(trio.current_time())
        attempt.finishing = True
        attempt.output.set()
        with trio.move_on_after(timeout):
            await attempt.gone.wait()

    # --- attempts -------------------------------------------------------------------------------

    async def _establish(self, nursery: trio.Nursery) -> _Attempt:
        """Make attempts until one is live."""
        while True:
            attempt = _Attempt()
            nursery.start_soon(self._run_attempt, attempt)
            with trio.move_on_after(SETTLE) as timeout:
                await attempt.settled.wait()
            if timeout.cancelled_caught:
                attempt.reason = "the server did not answer in time"
                attempt.scope.cancel()
            if attempt.live:
                self._failures = 0
                self._refused_token = None
                return attempt
            await self._pause(attempt)

    async def _pause(self, attempt: _Attempt) -> None:
        """An attempt ended: wait before the next one.

        Raises:
            ConnectionRefusedByServer: there will be no next one.
        """
        self._check_final(attempt)
        wait = max(full_jitter(self._failures, self._random), attempt.retry_after)
        self._failures += 1
        self.last_reason = attempt.reason or "the connection was lost"
        if self._engine.link is None:
            self._engine.trouble(self.last_reason, attempt.code, wait)
            self._changed()
        await trio.sleep(wait)

    def _check_final(self, attempt: _Attempt) -> None:
        code = attempt.code
        if code is None:
            return
        final = attempt.final or not may_reconnect(code)
        if code in _TOKEN_REFUSED and not attempt.final:
            # A token that is asked for may be better next time; a fixed one never changes. One
            # that expired while it was in use was good, so it says nothing about the next.
            was_live = attempt.link is not None and attempt.link.rules.ready is not None
            if callable(self._token):
                final = not was_live and attempt.token == self._refused_token
                self._refused_token = attempt.token
            else:
                final = not was_live or code == CloseCode.BAD_TOKEN
        if final:
            raise ConnectionRefusedByServer(code, attempt.reason)

    async def _run_attempt(self, attempt: _Attempt) -> None:
        try:
            with attempt.scope:
                token = self._token
                attempt.token = token if isinstance(token, str) else await token()
                async with self._opener() as transport:
                    attempt.link = self._engine.open_link(attempt.token, trio.current_time())
                    with attempt.stop:
                        await self._run_link(attempt, attempt.link, transport)
                    self._ended(attempt)
                    attempt.scope.deadline = trio.current_time() + CLOSING
        except TransportRefused as error:
            attempt.reason = f"{error.reason} (HTTP {error.status})"
            attempt.retry_after = error.retry_after or 0.0
            if 400 <= error.status < 500 and error.status not in _TRY_LATER:
                attempt.code, attempt.final = error.status, True
        except OSError as error:
            attempt.reason = error.strerror or str(error)
        finally:
            self._ended(attempt)
            attempt.gone.set()

    def _ended(self, attempt: _Attempt) -> None:
        """The attempt carries nothing any more; its connection may still be closing."""
        if attempt.link is not None and attempt.link.state is not LinkState.ENDED:
            self._engine.ended(attempt.link, trio.current_time())
        if self._attempt is attempt:
            self._attempt = None
            if attempt.moving:
                self._engine.trouble(attempt.reason or "the connection was lost", attempt.code, 0.0)
                self._changed()
        attempt.settled.set()
        attempt.over.set()

    async def _run_link(self, attempt: _Attempt, link: Link, transport: Transport) -> None:
        """Carry bytes between the engine and the transport until the connection is over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, attempt, link, transport)
            try:
                while True:
                    data = await transport.receive()
                    self._engine.receive(link, data, trio.current_time())
                    if not attempt.settled.is_set() and link.state is LinkState.LIVE:
                        self._went_live(attempt)
                    if link.has_output:
                        attempt.output.set()
                    self.poke()
            except TransportClosed as error:
                self._note_end(attempt, link, error.code, error.reason)
            except ProtocolViolation as error:
                logger.warning("the server broke the protocol: %s", error)
                self._note_end(attempt, link, None, f"the server broke the protocol: {error}")
            nursery.cancel_scope.cancel()

    async def _write(self, attempt: _Attempt, link: Link, transport: Transport) -> None:
        while True:
            await attempt.output.wait()
            for data in link.take():
                try:
                    await transport.send(data)
                except TransportClosed:
                    return  # the reader learns the same, with what came before it
            if attempt.finishing:
                attempt.stop.cancel()

    def _went_live(self, attempt: _Attempt) -> None:
        old, self._attempt = self._attempt, attempt
        if old is not None:
            old.stop.cancel()
        attempt.settled.set()

    @staticmethod
    def _note_end(attempt: _Attempt, link: Link, code: int | None, reason: str) -> None:
        attempt.code = code
        attempt.reason = reason or link.last_error
        attempt.retry_after = link.retry_after

    # --- time -----------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        """Look after everything that is due at a time."""
        while True:
            now = trio.current_time()
            attempt = self._attempt
            if attempt is not None and attempt.link is not None and attempt.live:
                if self._engine.silent(attempt.link, now):
                    attempt.reason = "no sign of life from the server"
                    attempt.scope.cancel()
                elif now >= attempt.link.move_at:
                    attempt.link.move_at = float("inf")
                    attempt.moving = True
                    attempt.over.set()
                if attempt.link.has_output:
                    attempt.output.set()
            self._engine.tick(now)
            self.poke()
            self._timer_until = self._next_time()
            with trio.move_on_at(self._timer_until):
                await self._timer.wait()
            self._timer_until = float("-inf")

    def _next_time(self) -> float:
        times = [self._engine.next_time()]
        if self._attempt is not None and self._attempt.link is not None:
            times.append(self._attempt.link.move_at)
        return min(times)
