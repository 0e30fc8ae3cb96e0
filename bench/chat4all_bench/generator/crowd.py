"""All clients of one process: what they do with what arrives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from ..dialects.base import Acknowledged, Delivered, Fetched, Gap, Refused, Step
from . import header
from .client import CATCHING_UP, OPENING, READY
from .frames import BINARY, TEXT, upgrade_request
from .integrity import Streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..dialects.base import Dialect
    from .client import Client
    from .plan import Setup
    from .reactor import Reactor
    from .tally import Tally

_BROKEN: Final = (ValueError, KeyError, IndexError, TypeError, msgspec.DecodeError)
"""What decoding a payload of an unexpected form may raise."""


class Crowd:
    """See the module's docstring."""

    def __init__(self, reactor: Reactor, tally: Tally, dialect: Dialect, setup: Setup) -> None:
        self.reactor = reactor
        self.tally = tally
        self.streams = Streams()
        self.clients: dict[int, Client] = {}
        """By the number of the seat."""
        self.foreign = 0
        self.gaps = 0
        self.connected = 0
        """Clients that are ready."""
        self.news = 0
        """Grows with everything that arrives: nothing is to come when it no longer does."""
        self.on_answer: Callable[[Client], None] | None = None
        """Who writes the next message when one was answered: a closed loop."""
        self._dialect = dialect
        self._opcode = TEXT if dialect.text else BINARY
        self._acknowledges = dialect.acknowledges
        self._addresses = [(setup.host, port) for port in setup.ports]
        self._source = setup.source
        self._name = f"{setup.host}:{setup.ports[0]}"
        self._tag = setup.tag
        self._padding = header.padding(setup.text_bytes)
        self._dirty: list[Client] = []
        self._members: dict[int, int] = {}
        self._speakers: set[tuple[int, int]] = set()
        """(room, speaker) of those who write from here."""

    # --- what clients do ----------------------------------------------------------------------

    def connect(self, client: Client) -> None:
        """Begin to connect a client, for the first time or again."""
        try:
            client.connect(self._addresses[client.seat.node], self._source)
        except OSError as error:
            client.close()
            self.on_closed(client, f"no connection: {error.strerror}")
            return
        dialect = self._dialect
        client.upgrade(upgrade_request(self._name, dialect.path, dialect.subprotocol))

    def write(self, client: Client, due: int) -> None:
        """Let a client write a message that is due at this time (microseconds); see `flush`."""
        client.number = number = client.number + 1
        seat = client.seat
        text = header.write(self._tag, seat.speaker, number, due, self._padding)
        if self._acknowledges and client.waiting is not None:
            client.waiting[number] = due
        self._say(client, self._dialect.message(client, number, text))
        self.tally.write(due, time.monotonic_ns() // 1000)

    def flush(self) -> None:
        """Send what has been written since the last time."""
        dirty, self._dirty = self._dirty, []
        for client in dirty:
            client.flush()

    def leave(self, client: Client) -> None:
        """Disconnect a client as soon as it has all its answers."""
        if client.waiting:
            client.leaving = True
            return
        client.leaving = False
        self._gone(client)
        client.close()

    def take_in(self, clients: Iterable[Client]) -> None:
        """Know more clients."""
        for client in clients:
            seat = client.seat
            self.clients[seat.number] = client
            self._members[seat.room_number] = self._members.get(seat.room_number, 0) + 1
            if seat.speaker >= 0:
                self._speakers.add((seat.room_number, seat.speaker))

    # --- what happens to them -----------------------------------------------------------------

    def on_open(self, client: Client) -> None:
        """See `client.Crowd`."""
        self._step(client, self._dialect.begin(client))

    def on_payload(self, client: Client, payload: bytes, now: int) -> None:
        """See `client.Crowd`."""
        try:
            event = self._dialect.receive(client, payload)
        except _BROKEN as error:
            self.tally.error(f"a payload of another form: {type(error).__name__}")
            return
        if isinstance(event, Delivered):
            self._delivered(client, event.text, event.position, now)
        elif isinstance(event, Acknowledged):
            self._acknowledged(client, event.number, event.position, now)
        elif isinstance(event, Step):
            self._step(client, event)
        elif isinstance(event, Gap):
            self.gaps += event.events
            self._say_all(client, event.say)
        elif isinstance(event, Fetched):
            for text, position in event.items:
                self._delivered(client, text, position, now, late=True)
            self._say_all(client, event.say)
        elif isinstance(event, Refused):
            self._refused(client, event)

    def on_closed(self, client: Client, why: str) -> None:
        """See `client.Crowd`."""
        self._gone(client)
        if client.comes_back:
            self.tally.error(f"{why}, and came back")
            self.connect(client)
            return
        self.tally.error(why)
        if client.arrival is not None:
            client.arrival.failed(client)

    # --- inside -------------------------------------------------------------------------------

    def _gone(self, client: Client) -> None:
        if client.was_ready:
            client.was_ready = False
            self.connected -= 1

    def _step(self, client: Client, step: Step) -> None:
        self._say_all(client, step.say)
        if not step.ready or client.state != OPENING:
            return
        self.news += 1
        if client.position and step.head > client.position:
            client.head = step.head
            client.state = CATCHING_UP
            return
        client.position = max(client.position, step.head)
        self._ready(client)

    def _ready(self, client: Client) -> None:
        client.state = READY
        client.was_ready = True
        self.connected += 1
        if client.arrival is not None:
            client.arrival.ready(client)

    def _delivered(
        self, client: Client, text: str, position: int, now: int, *, late: bool = False
    ) -> None:
        self.news += 1
        found = header.read(text, self._tag)
        received = client.received
        if found is None or received is None or found[0] >= len(received):
            self.foreign += 1
            return
        speaker, number, due = found
        seat = client.seat
        if speaker == seat.speaker:
            return  # its own, out of the history
        if not self.streams.arrived(received, seat.number, speaker, number, late=late):
            return
        self._pass(client, position, late=late)
        tally = self.tally
        tally.deliver(due, now)
        if tally.track_last:
            room = seat.room_number
            readers = self._members[room] - ((room, speaker) in self._speakers)
            tally.reached((room, speaker, number), readers, due, now)

    def _acknowledged(self, client: Client, number: int, position: int, now: int) -> None:
        self.news += 1
        due = None if client.waiting is None else client.waiting.pop(number, None)
        if due is None:
            self.tally.error("an answer to what was not asked, or a second one")
            return
        self._pass(client, position, late=False)
        self.tally.acknowledge(due, now)
        self._answered(client)

    def _refused(self, client: Client, event: Refused) -> None:
        self.news += 1
        self.tally.error(event.reason)
        if event.number is None or client.waiting is None:
            return
        if client.waiting.pop(event.number, None) is not None:
            client.refused = [*(client.refused or ()), event.number]
            self._answered(client)

    def _answered(self, client: Client) -> None:
        if client.leaving:
            self.leave(client)
        elif self.on_answer is not None:
            self.on_answer(client)

    def _pass(self, client: Client, position: int, *, late: bool) -> None:
        """Note a position of the room's log: it ascends, but for what was fetched after a gap."""
        if not position:
            return
        if position > client.position:
            client.position = position
        elif not late:
            self.streams.reordered += 1
        if client.state == CATCHING_UP and client.position >= client.head:
            self._ready(client)

    def _say(self, client: Client, payload: bytes) -> None:
        if client.send(payload, self._opcode):
            if not self._dirty:
                self.reactor.after_reading(self.flush)
            self._dirty.append(client)

    def _say_all(self, client: Client, payloads: tuple[bytes, ...]) -> None:
        for payload in payloads:
            self._say(client, payload)
