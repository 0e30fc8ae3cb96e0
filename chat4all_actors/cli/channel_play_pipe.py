"""`chat4all channels play` in a pipe: a line in is what she does, one out what she sees."""

from __future__ import annotations

import io
import json
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from chat4all_connectors.loopback import cues

from .channel_play import Play
from .channel_play_commands import CannotDo, Leave, do
from .channel_play_view import PlayView
from .chat_pipe import lines
from .main import OK, UNREACHABLE

if TYPE_CHECKING:
    from chat4all_connectors.loopback.chats import Line


class Pipe:
    """One run: until the input ends and everything is done."""

    def __init__(
        self,
        stream: trio.SocketStream,
        enter: cues.Enter,
        account: str,
        *,
        json: bool,
        follow: bool,
        reads: bool,
    ) -> None:
        """`reads`: whatever comes is read at once."""
        self._enter = enter
        self._json = json
        self._follow = follow
        self._reads = reads
        self._play = Play(stream, self._see)
        self._view = PlayView(account, enter.person)
        self._came = trio.Event()
        self._failed = False
        self._told: dict[int, str] = {}
        """Lines as they were printed, by the numbers of their messages."""

    async def run(self) -> int:
        """Returns the exit code.

        Raises:
            CommandError: the server has gone.
        """
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Not every terminal has UTF-8.
            sys.stdout.reconfigure(errors="replace")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._play.run)
            self._judge(await self._play.act(self._enter))
            if self._reads:
                nursery.start_soon(self._read)
            async with aclosing(lines()) as input_lines:
                async for line in input_lines:
                    if line.strip() and not await self._do(line):
                        break
                else:
                    if self._follow:
                        await trio.sleep_forever()
            nursery.cancel_scope.cancel()
        return UNREACHABLE if self._failed else OK

    async def _do(self, line: str) -> bool:
        """Whether she stays."""
        try:
            helped = await do(line, self._play, self._view)
        except Leave:
            return False
        except CannotDo as error:
            self._fail(str(error))
        else:
            if helped.text:
                print(helped.text, file=sys.stderr)
        return True

    async def _read(self) -> None:
        while True:
            came = self._came
            await self._play.act(cues.Read())
            await came.wait()

    def _judge(self, answer: cues.Answer) -> None:
        if isinstance(answer, cues.Refused):
            self._fail(answer.reason)

    def _fail(self, reason: str) -> None:
        self._failed = True
        print(f"chat4all: not done: {reason}", file=sys.stderr)

    def _see(self, sight: cues.Sight) -> None:
        number: int | None = None
        match sight:
            case cues.Shown(line=shown):
                number = self._view.shown(shown)
                if not shown.sender and not shown.read:
                    self._came.set()
                    self._came = trio.Event()
                told = self._concerns(shown)
            case cues.Gone(message=message):
                number = self._view.gone(message)
                told = number is not None
            case cues.Typing():
                told = False
        if self._json:
            seen: dict[str, Any] = msgspec.to_builtins(sight)
            _print(json.dumps(seen if number is None else {**seen, "number": number}))
        elif told and number is not None:
            line = self._view.line(number)
            if self._told.get(number) != line:  # that it was read is not in it
                self._told[number] = line
                _print(line)

    def _concerns(self, line: Line) -> bool:
        """Whether it is more than what she has just done herself."""
        return line.sender != self._enter.person or any(
            who != self._enter.person for who in line.reactions
        )


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
