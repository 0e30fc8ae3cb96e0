"""One process of the generator: it does what it is told by one pipe, and tells by another."""

from __future__ import annotations

import importlib
import os
import time
from typing import TYPE_CHECKING, Final, cast

import msgspec

from .arrivals import Arrivals
from .client import Client
from .crowd import Crowd
from .load import ClosedLoop, OpenLoop
from .plan import (
    Command,
    Done,
    Join,
    Leave,
    Load,
    Quit,
    Rejoin,
    Setup,
    Stall,
    Verified,
    Verify,
)
from .reactor import Reactor
from .tally import Tally

if TYPE_CHECKING:
    from ..dialects.base import Dialect
    from .plan import Reply

TELL: Final = 1.0
"""Seconds between two tellings of what was done."""
LOOK: Final = 0.05
"""Seconds between two looks at what is still missing."""
_SIZE: Final = 4
"""Bytes of the length before each message."""


class Process:
    """See the module's docstring."""

    def __init__(self, number: int, commands: int, replies: int) -> None:
        """`commands` and `replies` are descriptors."""
        self._reactor = Reactor()
        self._tally = Tally(number)
        self._commands = commands
        self._replies = replies
        self._buffer = b""
        self._decode = msgspec.msgpack.Decoder(Command).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._crowd: Crowd | None = None
        self._timeout = 0.0

    def run(self) -> None:
        """Serve until told to quit, or until nobody tells anything any more."""
        os.set_blocking(self._commands, False)
        self._reactor.register(self._commands, self)
        self._reactor.at(time.monotonic() + TELL, self._tell_progress)
        self._reactor.run()

    def on_ready(self, events: int) -> None:
        """See `reactor.Ready`: more commands."""
        data = os.read(self._commands, 1 << 20)
        if not data:
            self._reactor.stop()
            return
        self._buffer += data
        while len(self._buffer) >= _SIZE:
            end = _SIZE + int.from_bytes(self._buffer[:_SIZE], "big")
            if len(self._buffer) < end:
                break
            command = self._decode(self._buffer[_SIZE:end])
            self._buffer = self._buffer[end:]
            self._obey(command)

    def _tell(self, reply: Reply) -> None:
        """Tell what was done up to here, then this."""
        if self._crowd is not None:
            self._write(self._tally.take(self._crowd.connected))
        self._write(reply)

    def _tell_progress(self) -> None:
        if self._crowd is not None:
            self._write(self._tally.take(self._crowd.connected))
        self._reactor.at(time.monotonic() + TELL, self._tell_progress)

    def _write(self, reply: Reply) -> None:
        data = self._encode(reply)
        data = len(data).to_bytes(_SIZE, "big") + data
        while data:
            data = data[os.write(self._replies, data) :]

    # --- commands -----------------------------------------------------------------------------

    def _obey(self, command: Command) -> None:
        if isinstance(command, Setup):
            module, _, name = command.dialect.partition(":")
            dialect = cast("Dialect", getattr(importlib.import_module(module), name)())
            self._crowd = Crowd(self._reactor, self._tally, dialect, command)
            self._timeout = command.connect_timeout
            self._tell(Done(command.id))
        elif isinstance(command, Quit):
            self._tell(Done(command.id))
            self._reactor.stop()
        else:
            assert self._crowd is not None, "Setup comes first"
            self._obey_crowd(command, self._crowd)

    def _obey_crowd(
        self, command: Join | Load | Leave | Rejoin | Stall | Verify, crowd: Crowd
    ) -> None:
        if isinstance(command, Join):
            clients = [Client(crowd, seat, small=command.small_buffers) for seat in command.seats]
            crowd.take_in(clients)
            self._arrive(crowd, clients, command, again=False)
        elif isinstance(command, Leave):
            for number in command.seats:
                crowd.leave(crowd.clients[number])
            self._tell(Done(command.id))
        elif isinstance(command, Rejoin):
            clients = [crowd.clients[number] for number in command.seats]
            self._arrive(crowd, clients, command, again=True)
        elif isinstance(command, Load):
            writers = [crowd.clients[number] for number in command.speakers]
            loop = OpenLoop if command.rate else ClosedLoop
            loop(crowd, writers, command, self._tell).begin()
        elif isinstance(command, Stall):
            for number in command.seats:
                crowd.clients[number].comes_back = True
                crowd.clients[number].pause(not command.reading)
            self._tell(Done(command.id))
        else:
            self._verify(crowd, command, crowd.news, time.monotonic())

    def _arrive(
        self,
        crowd: Crowd,
        clients: list[Client],
        command: Join | Rejoin,
        *,
        again: bool,
    ) -> None:
        Arrivals(
            crowd,
            clients,
            id_=command.id,
            rate=command.rate,
            again=again,
            timeout=self._timeout,
            done=self._tell,
        )

    def _verify(self, crowd: Crowd, command: Verify, news: int, since: float) -> None:
        """Count what is missing once nothing is, or once nothing has come for a while."""
        now = time.monotonic()
        if crowd.news != news:
            news, since = crowd.news, now
        lost = missing(crowd, command)
        if lost and now - since < command.patience:
            self._reactor.at(now + LOOK, lambda: self._verify(crowd, command, news, since))
            return
        streams = crowd.streams
        self._tell(
            Verified(
                command.id, lost, streams.doubled, streams.reordered, crowd.foreign, crowd.gaps
            )
        )


def missing(crowd: Crowd, command: Verify) -> int:
    """How many messages have not come, over all clients and all speakers of their rooms."""
    lost = 0
    for client in crowd.clients.values():
        seat, received = client.seat, client.received
        written = command.written.get(seat.room_number)
        if received is None or written is None:
            continue
        refused = command.refused.get(seat.room_number, [])
        for speaker, count in enumerate(written):
            if speaker != seat.speaker:
                numbers = [number for who, number in refused if who == speaker]
                lost += crowd.streams.lost(received, seat.number, speaker, count, numbers)
    return lost
