"""The way of a write to the database that has its conversation, wherever that moves.

Every database has its `ShardLog`. What a log gives back because its logical shard is on the move,
and what is submitted to that shard meanwhile, is held here in order and submitted again, until
the shard is served somewhere. So a move is a pause to the conversations of one shard, and nothing
at all to the others.

Nothing passes what was submitted before it: when the placement changes, the former log has to
give back what it holds of the shard before anything goes to the new one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Struct, field

from ..log.entries import refuse
from ..log.queue import Queue
from ..ports.errors import Unavailable
from ..ports.logical_shards import logical_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..log.entries import Entry, Returned
    from ..log.shard_log import ShardLog
    from ..ports.events import Mark
    from .shards import Shards

logger = logging.getLogger(__name__)

RETRY: Final = 0.05
"""Seconds between two tries to write to a shard that is on the move."""
MAX_HELD: Final = 20_000
MAX_HELD_BYTES: Final = 64 * 1024 * 1024
"""Of one logical shard: what a log may hold, and a move takes less than a second."""


class _Hold(Struct):
    """What waits for one logical shard to be served again."""

    waiting: Queue = field(default_factory=lambda: Queue(MAX_HELD, MAX_HELD_BYTES))
    recalled_from: ShardLog | None = None
    """The log that has yet to give back what it holds."""


class ShardLogs:
    """The logs of all databases; conversations submit here."""

    def __init__(
        self, shards: Shards, make_log: Callable[..., ShardLog], *, patience: float = 5.0
    ) -> None:
        """Logs made by `make_log(store, on_returned=…)`.

        `patience` is how many seconds an entry waits for its shard before it is refused.
        """
        self.all: Sequence[ShardLog] = [
            make_log(store, on_returned=self._returned) for store in shards.all
        ]
        self._shards = shards
        self._patience = patience
        self._holds: dict[int, _Hold] = {}
        self._wakeup = trio.lowlevel.ParkingLot()
        self._running = False

    # --- for conversations --------------------------------------------------------------------

    def submit_nowait(self, entry: Entry[Any]) -> None:
        """See `ShardLog.submit_nowait`."""
        shard = entry.shard
        hold = self._holds.get(shard)
        if hold is None:
            self.all[self._shards.placement.require(shard)].submit_nowait(entry)
        else:
            hold.waiting.put(entry)
            _stamp(entry)

    def mark_nowait(self, mark: Mark, owner: Callable[[Mark], None]) -> None:
        """See `ShardLog.mark_nowait`."""
        shard = logical_shard(mark.conversation)
        if (hold := self._holds.get(shard)) is not None:
            hold.waiting.put_mark(mark, owner)
            return
        index = self._shards.placement.of(shard)
        if index is not None:
            self.all[index].mark_nowait(mark, owner)

    @property
    def held(self) -> int:
        """Entries that wait for shards on the move."""
        return sum(len(hold.waiting.entries) for hold in self._holds.values())

    # --- holding back -------------------------------------------------------------------------

    def _returned(self, log: ShardLog, returned: Returned) -> None:
        """Called by a log: what it gives back came before anything that is held."""
        if not self._running:
            refuse(returned.entries, Unavailable("the logs stop"))
            return
        for shard in returned.shards:
            hold = self._holds.setdefault(shard, _Hold())
            entries = [entry for entry in returned.entries if entry.shard == shard]
            for entry in entries:
                _stamp(entry)
            hold.waiting.put_in_front(entries, [m for m in returned.marks if m.shard == shard])
            if hold.recalled_from is log:
                hold.recalled_from = None
        self._wakeup.unpark()

    def _moved(self, shard: int, former: int | None) -> None:
        """Called by the placement."""
        hold = self._holds.setdefault(shard, _Hold())
        if former is not None and hold.recalled_from is None:
            hold.recalled_from = self.all[former]
            self.all[former].recall(shard)
        self._wakeup.unpark()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Submit again what is held, until cancelled; what is held then is refused."""
        self._running = True
        try:
            with self._shards.placement.watched(self._moved):
                task_status.started()
                while True:
                    while not self._holds:
                        await self._wakeup.park()
                    await self._shards.refresh()
                    for shard in list(self._holds):
                        self._resubmit(shard)
                    await trio.sleep(RETRY)
        finally:
            self._running = False
            for hold in self._holds.values():
                refuse(hold.waiting.entries, Unavailable("the logs stop"))
            self._holds.clear()

    def _resubmit(self, shard: int) -> None:
        hold = self._holds[shard]
        self._refuse_late(hold)
        index = self._shards.placement.of(shard)
        if hold.recalled_from is not None or (index is None and hold.waiting.entries):
            return
        # Should the shard not be served yet, all of it comes back, in order.
        del self._holds[shard]
        if index is None:
            return
        log = self.all[index]
        for entry in hold.waiting.entries:
            try:
                log.resubmit_nowait(entry)
            except Unavailable as error:
                refuse([entry], error)
        for each in hold.waiting.marks.values():
            log.mark_nowait(each.mark, each.owner)

    def _refuse_late(self, hold: _Hold) -> None:
        """Refuse what has waited long enough and was surely not stored."""
        before = trio.current_time() - self._patience
        if late := hold.waiting.take_certain(held_before=before):
            logger.warning("%d messages have waited in vain for their shard", len(late))
            refuse(late, Unavailable("the shard is on the move"))


def _stamp(entry: Entry[Any]) -> None:
    if entry.held_since is None:
        entry.held_since = trio.current_time()
