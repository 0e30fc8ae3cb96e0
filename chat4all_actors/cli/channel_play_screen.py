"""`chat4all channels play` in a terminal."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import trio

from chat4all_connectors.loopback import cues

from .channel_play import Play
from .channel_play_commands import CannotDo, Leave, do
from .channel_play_view import PlayView
from .chat_screen import Screen
from .chat_text import safe_line
from .main import OK, CommandError

if TYPE_CHECKING:
    from ..channels.addresses import Address


class Screenplay:
    """One run: until the player leaves."""

    def __init__(
        self, stream: trio.SocketStream, enter: cues.Enter, address: Address, *, reads: bool
    ) -> None:
        self._enter = enter
        self._address = address
        self._reads = reads
        self._play = Play(stream, self._see)
        self._view = PlayView(address.account, enter.person)
        self._screen = Screen(
            self._view,
            entered=self._entered,
            typed=lambda: None,
            colour="NO_COLOR" not in os.environ,
        )
        self._nursery: trio.Nursery | None = None
        self._reading = False

    async def run(self) -> int:
        """Returns the exit code.

        Raises:
            CommandError: the server has gone.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._play.run)
            answer = await self._play.act(self._enter)
            if isinstance(answer, cues.Refused):
                raise CommandError(answer.reason)
            nursery.start_soon(self._end_at_signal)
            self._read_soon()
            self._show()
            await self._screen.run()
            nursery.cancel_scope.cancel()
        return OK

    async def _end_at_signal(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:
            async for _ in signals:
                self._screen.close()

    def _see(self, sight: cues.Sight) -> None:
        with self._screen.lock:
            match sight:
                case cues.Shown(line=line):
                    self._view.shown(line)
                    unread = not line.sender and not line.read
                case cues.Gone(message=message):
                    self._view.gone(message)
                    unread = False
                case cues.Typing(typing=typing):
                    self._view.typing = typing
                    unread = False
        if unread:
            self._read_soon()
        self._show()

    def _read_soon(self) -> None:
        if self._reads and not self._reading:
            assert self._nursery is not None  # `run` runs
            self._reading = True
            self._nursery.start_soon(self._read)

    async def _read(self) -> None:
        self._reading = False
        await self._play.act(cues.Read())

    def _entered(self, text: str) -> None:
        assert self._nursery is not None  # keys come while `run` runs
        self._nursery.start_soon(self._do, text)

    async def _do(self, text: str) -> None:
        try:
            told = (await do(text, self._play, self._view)).text
        except Leave:
            self._screen.close()
            return
        except CannotDo as error:
            told = str(error)
        for line in told.splitlines():
            self._notice(line)
        self._show()

    def _notice(self, text: str) -> None:
        with self._screen.lock:
            self._view.notice(safe_line(text), int(time.time() * 1000))

    def _show(self) -> None:
        typing = f"{self._view.account} is typing…" if self._view.typing else ""
        self._screen.show(f"you are {self._address} · /help", typing)
