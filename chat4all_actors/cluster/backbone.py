"""The fast way between nodes: batched entries over the bus, and whether it works.

While an append is under way items collect; when it returns, everything collected goes out, one
entry for each node that has any. Nothing is sent twice: what the bus does not take is dropped, and
so is what waits beyond a bound. The numbers of the entries show the receiver that something is
missing, and the journal has it (`sweeper.py`).

Once a second the node beats: into the list of nodes, and into its own stream. A beat that comes
back proves the whole way, a lost memory of the bus shows by its epoch, and a copy that is older
than what was read by the position.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

import msgspec
import trio
from msgspec import Struct

from chat4all_storage.ports.errors import Unavailable

from .items import Bye, decode_entry, encode_entry, encode_item
from .outboxes import Outboxes
from .peers import SECONDS, Peers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chat4all_storage.ports.bus import Beat, Bus

    from .items import AnyItem

logger = logging.getLogger(__name__)

BEAT: Final = 1 * SECONDS
SILENT: Final = 3 * SECONDS
"""A beat that has not come back for so long: the node does not hear the others either."""
READ_WAIT: Final = 1 * SECONDS
READ_LIMIT: Final = 64
RETRY: Final = 0.25 * SECONDS


class Listener(Protocol):
    """Who acts on what other nodes do. Its methods neither wait nor raise."""

    def arrived(self, sender: str, items: list[AnyItem]) -> None:
        """A node has told these things, in this order."""

    def joined(self, node: str) -> None:
        """A node is there, for the first time or again."""

    def lost(self, node: str) -> None:
        """A node does not beat any more."""

    def left(self, node: str) -> None:
        """A node has ended as it should."""

    def missed(self, node: str) -> None:
        """Something that a node told did not arrive."""

    def shaken(self) -> None:
        """Anything may have been lost, on either way; from now on the bus works again."""


class BackboneStatistics(Struct, frozen=True):
    """What has gone over the backbone; totals since it was made."""

    peers: int
    sent_entries: int
    sent_items: int
    dropped_items: int
    received_entries: int
    trouble: str | None


class Backbone:
    """One node's place on the bus."""

    def __init__(self, name: str, bus: Bus | None) -> None:
        """Without a `bus` nothing is sent, and nobody is heard."""
        self.name = name
        self.peers = Peers(name)
        self.trouble: str | None = None if bus is None else "the backbone is not joined yet"
        """Why other nodes can't be told or heard now; None while all is well."""
        self._bus = bus
        self._listener: Listener | None = None
        self._outboxes = Outboxes(name)
        self._wake = trio.Event()
        self._beats = 0
        self._proof = 0
        """The first beat that proves anything: the next one after a trouble."""
        self._heard_at = trio.current_time()
        self._epoch: str | None = None
        self._position = "0"
        self._sent_entries = self._received = 0

    @property
    def configured(self) -> bool:
        """Whether there is a bus at all."""
        return self._bus is not None

    @property
    def working(self) -> bool:
        """Whether other nodes can be told and heard now."""
        return self._bus is not None and self.trouble is None

    def send_nowait(self, nodes: Iterable[str], item: bytes) -> None:
        """Tell nodes something, soon and in order; dropped while the backbone does not work."""
        if self._bus is None:
            return
        outboxes = self._outboxes
        if self.trouble is None:
            for node in nodes:
                outboxes.put(node, item)
            self._wake.set()
        else:
            for node in nodes:
                outboxes.miss(node)

    def statistics(self) -> BackboneStatistics:
        """What has gone over it."""
        return BackboneStatistics(
            peers=len(self.peers.living),
            sent_entries=self._sent_entries,
            sent_items=self._outboxes.sent_items,
            dropped_items=self._outboxes.dropped_items,
            received_entries=self._received,
            trouble=self.trouble,
        )

    # --- beating and sending ------------------------------------------------------------------

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Beat, and send what there is to send, until cancelled; ready after the first beat."""
        if self._bus is None:
            task_status.started()
            await trio.sleep_forever()
        await self._beat(self._bus)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_beating, self._bus)
            nursery.start_soon(self._keep_sending, self._bus)
            task_status.started()
        raise AssertionError("only a cancel or a fault ends the nursery")

    async def leave(self) -> None:
        """Say good-bye to the others, and be forgotten by the bus; errors change nothing."""
        if self._bus is None:
            return
        entries = self._outboxes.take_entries()
        bye = encode_item(Bye())
        for node in self.peers.living:
            self._outboxes.put(node, bye)
        entries += self._outboxes.take_entries()
        try:
            if entries:
                await self._bus.append(entries)
            await self._bus.remove(self.name)
        except Unavailable as error:
            logger.debug("left without a word: %s", error)

    async def _keep_beating(self, bus: Bus) -> None:
        while True:
            await trio.sleep(BEAT)
            await self._beat(bus)

    async def _beat(self, bus: Bus) -> None:
        self._beats += 1
        read = self._position
        try:
            beat = await bus.beat(self.name, encode_entry(self.name, self._beats, []))
        except Unavailable as error:
            self._fail(str(error))
            return
        now = trio.current_time()
        self._check_memory(beat, read)
        if self.trouble is not None:
            self.peers.excuse(now)
        changes = self.peers.observe(beat.nodes, now)
        if self._listener is not None:
            for node in changes.joined:
                self._listener.joined(node)
            for node in changes.lost:
                logger.warning("node %s is lost", node)
                self._outboxes.drop(node)
                self._listener.lost(node)
        if changes.forgotten:
            await self._forget(bus, changes.forgotten)
        if self._listener is None:
            self._recover()  # nobody reads yet: the beat alone must do
        elif self.trouble is None and now - self._heard_at > SILENT:
            self._fail("what other nodes tell does not arrive")

    def _check_memory(self, beat: Beat, read: str) -> None:
        """See whether the bus still knows what it knew; `read` was read before the beat."""
        lost = self._epoch is not None and beat.epoch != self._epoch
        older = _order(beat.position) <= _order(read)
        self._epoch = beat.epoch
        if lost or older:
            self._position = "0"
            self._fail("the bus has lost what it held")

    async def _forget(self, bus: Bus, forgotten: list[tuple[str, bytes]]) -> None:
        try:
            for node, last in forgotten:
                self._outboxes.close(node)
                if await bus.remove(node, unless=last):
                    logger.info("what the lost node %s had on the bus is removed", node)
        except Unavailable as error:
            self._fail(str(error))

    async def _keep_sending(self, bus: Bus) -> NoReturn:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            if entries := self._outboxes.take_entries():
                try:
                    await bus.append(entries)
                except Unavailable as error:
                    self._fail(str(error))
                else:
                    self._sent_entries += len(entries)

    # --- hearing ------------------------------------------------------------------------------

    async def hear(
        self,
        listener: Listener,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Give what comes to `listener`, until cancelled."""
        self._heard_at = trio.current_time()
        self._listener = listener
        try:
            for node in self.peers.living:
                listener.joined(node)
            task_status.started()
            if self._bus is None:
                await trio.sleep_forever()
            while True:
                await self._hear(self._bus, listener)
        finally:
            self._listener = None

    async def _hear(self, bus: Bus, listener: Listener) -> None:
        position = self._position
        try:
            arrivals = await bus.read(self.name, position, wait=READ_WAIT, limit=READ_LIMIT)
        except Unavailable as error:
            self._fail(str(error))
            await trio.sleep(RETRY)
            return
        for arrival in arrivals:
            if self._position is position:  # not set back meanwhile
                position = self._position = arrival.position
            self._take(arrival.data, listener)
            await trio.lowlevel.checkpoint()

    def _take(self, data: bytes, listener: Listener) -> None:
        try:
            entry = decode_entry(data)
        except msgspec.DecodeError as error:
            logger.error("an entry of another node can't be read: %s", error)
            listener.shaken()
            return
        now = trio.current_time()
        if entry.sender == self.name:
            if entry.number >= self._proof:
                self._heard_at = now - (self._beats - entry.number) * BEAT
                self._recover()
            return
        self._received += 1
        new, missed = self.peers.heard(entry.sender, entry.number, now)
        if new:
            listener.joined(entry.sender)
        if missed:
            listener.missed(entry.sender)
        if entry.items:
            listener.arrived(entry.sender, entry.items)
        if any(isinstance(item, Bye) for item in entry.items) and self.peers.left(entry.sender):
            self._outboxes.close(entry.sender)
            listener.left(entry.sender)

    # --- trouble ------------------------------------------------------------------------------

    def _fail(self, why: str) -> None:
        if self.trouble is None:
            logger.warning("the backbone does not work: %s", why)
            self._outboxes.drop_all()
        self.trouble = why
        self._proof = self._beats + 1

    def _recover(self) -> None:
        if self.trouble is None:
            return
        logger.info("the backbone works: %d other nodes", len(self.peers.living))
        self.trouble = None
        if self._listener is not None:
            self._listener.shaken()


def _order(position: str) -> tuple[int, ...]:
    """Positions compare by their numbers."""
    return tuple(int(part) for part in position.split("-"))
