"""Collects what is to be written to one database, and commits it in groups.

While a commit is under way the log collects; when it returns, everything collected goes into the
next one. The cost of a commit (the fsync above all) is shared by whatever arrives meanwhile, and
no timer is needed. Answers are given while the next commit is under way (`telling.py`).

What a submitter may rely on: its entries keep their order; each gets exactly one answer, after
its fate is certain. An answer of `Refused` means surely not stored. A commit whose connection
broke is repeated, with the same ids, until the database tells what became of it: until then
there is no answer. Only a stop or a fault of the log leaves entries without one.

A logical shard may move to another database. What the store answers to with `MOVED`, and what
waits here of the same logical shards, is not answered but given back in order (`shard_logs`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NoReturn

import trio
from msgspec import Struct

from ..ports.errors import InDoubt, Rejected, Unavailable
from ..ports.events import Status
from .entries import Returned, refusals
from .queue import Queue
from .telling import Telling

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ports.errors import StorageError
    from ..ports.events import CommitResult, Mark
    from ..ports.shard import ShardStore
    from .entries import Entry, MarkEntry

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
RETRY_FIRST: Final = 0.05 * SECONDS
RETRY_MAX: Final = 1 * SECONDS
_MOVED, _STORED = Status.MOVED, Status.STORED


class LogStatistics(Struct, frozen=True):
    """What a log has done and holds."""

    pending: int
    pending_bytes: int
    commits: int
    stored: int
    retries: int
    largest_flush: int
    available: bool


class _Flush(Struct):
    """What is committed at once."""

    entries: list[Entry[Any]]
    marks: list[MarkEntry]
    returned: Returned
    """What of it is not to be written here. Once something of a logical shard is in there, no more
    of that shard is tried, as it would pass what came first."""

    def set_aside(self) -> None:
        """Leave out what is of the shards in `returned`."""
        if self.returned.shards:
            self.entries, self.marks = self.returned.sort_out(self.entries, self.marks)

    def parts(self) -> list[_Flush]:
        """The same as smaller flushes, in order; none if there is one thing in it."""
        entries, marks = self.entries, self.marks
        if entries and marks:
            return [self._part(entries, []), self._part([], marks)]
        half = max(len(entries), len(marks)) // 2
        if not half:
            return []
        return [self._part(entries[:half], marks[:half]), self._part(entries[half:], marks[half:])]

    def _part(self, entries: list[Entry[Any]], marks: list[MarkEntry]) -> _Flush:
        return _Flush(entries, marks, self.returned)


class ShardLog:
    """The log of one database."""

    def __init__(
        self,
        store: ShardStore,
        *,
        max_pending: int = 20_000,
        max_pending_bytes: int = 64 * 1024 * 1024,
        patience: float = 5.0,
        drain_timeout: float = 5.0,
        on_returned: Callable[[ShardLog, Returned], None] | None = None,
    ) -> None:
        """A log over `store`.

        `patience` is how many seconds a commit that surely stored nothing is tried again before
        its entries, and those that wait behind it, are refused; `drain_timeout` is for how many
        seconds a stop still writes what was taken before. `on_returned` takes what is given back;
        without it, that is refused.
        """
        self.store = store
        self._on_returned = on_returned
        self._patience = patience
        self._drain_timeout = drain_timeout
        self._queue = Queue(max_pending, max_pending_bytes)
        self._recalled: set[int] = set()
        self._wakeup = trio.lowlevel.ParkingLot()
        self._telling = Telling()
        self._failing_since: float | None = None
        """When the first of the commits began that have failed since the last answer."""
        self._under_way_since: float | None = None
        self._stopping = False
        self._commits = self._stored = self._retries = self._largest = 0

    # --- for submitters -----------------------------------------------------------------------

    def submit_nowait(self, entry: Entry[Any]) -> None:
        """Take `entry` into the next flush.

        Raises:
            LogFull: too much is waiting.
            Unavailable: the database has been out of reach for longer than the log's patience, or
                the log stops.
        """
        if self._stopping or self.down:
            raise self._unavailable()
        self._queue.put(entry)
        if self._wakeup:
            self._wakeup.unpark()

    def resubmit_nowait(self, entry: Entry[Any]) -> None:
        """Take an entry that another log gave back: it was within bounds there.

        Raises:
            Unavailable: as `submit_nowait`; never for an entry that is doubtful.
        """
        if not entry.doubtful and (self._stopping or self.down):
            raise self._unavailable()
        self._queue.put_again(entry)
        self._wakeup.unpark()

    def recall(self, shard: int) -> None:
        """Give back what is here of a logical shard; at once, or when a commit under way is over.

        `on_returned` is called even if there is nothing: the shard has left this log then.
        """
        self._recalled.add(shard)
        self._wakeup.unpark()

    def mark_nowait(self, mark: Mark, owner: Callable[[Mark], None]) -> None:
        """Raise a member's watermarks with the next flush; `owner` learns where they then stand.

        A later mark of the same member takes the place of one that still waits. Marks are best
        effort: when too many wait, the log stops, or the person is no member, they are dropped.
        """
        if not self._stopping:
            self._queue.put_mark(mark, owner)
            self._wakeup.unpark()

    @property
    def down(self) -> bool:
        """Whether the database has not answered for longer than the log's patience."""
        since = self._under_way_since if self._failing_since is None else self._failing_since
        return since is not None and trio.current_time() - since > self._patience

    def _unavailable(self) -> Unavailable:
        return Unavailable("the log stops" if self._stopping else "the database is out of reach")

    def statistics(self) -> LogStatistics:
        """What the log has done and holds."""
        return LogStatistics(
            pending=len(self._queue.entries),
            pending_bytes=self._queue.size,
            commits=self._commits,
            stored=self._stored,
            retries=self._retries,
            largest_flush=self._largest,
            available=self._failing_since is None,
        )

    # --- the writer ---------------------------------------------------------------------------

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Commit what is submitted, until cancelled; then write what was taken before.

        What could not be written in time is refused then; what is in doubt gets no answer.
        """
        self._stopping = False
        self._failing_since = self._under_way_since = None
        self._telling = Telling()
        writing = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, writing)
            nursery.start_soon(self._telling.run)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._stopping = True
                self._wakeup.unpark()
                writing.deadline = trio.current_time() + self._drain_timeout
        raise AssertionError("only a cancel or a fault ends the nursery")

    async def _write(self, scope: trio.CancelScope) -> None:
        queue = self._queue
        try:
            with scope:
                while True:
                    while not (queue.entries or queue.marks or self._recalled):
                        if self._stopping:
                            return
                        if self._failing_since is not None:
                            break  # find out whether the database is back
                        await self._wakeup.park()
                    await self._flush()
            self._refuse(queue.take_certain(), Unavailable("the log was stopped"))
        finally:
            self._telling.end()

    async def _flush(self) -> None:
        returned = Returned(set(self._recalled), [], [])
        flush = _Flush(self._queue.take_entries(), self._queue.take_marks(), returned)
        self._largest = max(self._largest, len(flush.entries))
        await self._commit(flush)
        if returned.shards:
            self._recalled -= returned.shards
            self._queue.give_back(returned)
            if self._on_returned is not None:
                self._on_returned(self, returned)
            else:
                self._refuse(returned.entries, Unavailable("the shard has moved"))

    async def _commit(self, flush: _Flush) -> None:
        """Commit until the fate of every entry is certain, and give the answers."""
        delay = RETRY_FIRST
        while True:
            flush.returned.shards |= self._recalled
            flush.set_aside()
            if flush.returned.shards and not (flush.entries or flush.marks):
                return
            self._under_way_since = trio.current_time()
            try:
                result = await self.store.commit(
                    [entry.append for entry in flush.entries], [each.mark for each in flush.marks]
                )
            except (InDoubt, Unavailable) as error:
                self._bear(flush, error)
                if self._stopping and not flush.entries:
                    return
            except Rejected as error:
                self._note_answer()
                if any(entry.doubtful for entry in flush.entries):
                    raise  # what an earlier try stored can't be told any more: a fault
                await self._isolate(flush, error)
                return
            else:
                self._note_answer()
                self._give_answers(flush, result)
                return
            await trio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX)

    def _give_answers(self, flush: _Flush, result: CommitResult) -> None:
        self._commits += 1
        returned, moved = flush.returned, result.moved
        decided = list(zip(flush.entries, result.outcomes, strict=True))
        if moved:
            returned.shards |= moved
            returned.entries += [each for each, outcome in decided if outcome.status is _MOVED]
            decided = [each for each in decided if each[1].status is not _MOVED]
        self._stored += sum(outcome.status is _STORED for _, outcome in decided)
        self._telling.tell_nowait(decided)
        for waiting, mark in zip(flush.marks, result.marks, strict=True):
            if mark is not None:
                waiting.owner(mark)
            elif waiting.shard in moved:
                returned.marks.append(waiting)

    # --- when it fails ------------------------------------------------------------------------

    def _bear(self, flush: _Flush, error: InDoubt | Unavailable) -> None:
        """A commit has failed: refuse what surely was not stored, once it is time to."""
        if isinstance(error, InDoubt):
            for entry in flush.entries:
                entry.doubtful = True
        self._retries += 1
        if self._failing_since is None:
            self._failing_since = self._under_way_since
            logger.warning("database %s does not commit: %s", self.store.name, error)
        if self.down:
            # What waits behind a commit that fails has surely not been stored: say so.
            self._refuse(self._queue.take_certain(), error)
        in_doubt = any(entry.doubtful for entry in flush.entries)
        if not in_doubt and (self.down or self._stopping):
            self._refuse(flush.entries, error)
            flush.entries = []  # what remains to be tried is whether the database is back

    async def _isolate(self, flush: _Flush, error: Rejected) -> None:
        """Something made the store refuse the whole flush: find it, and store the others."""
        for part in (parts := flush.parts()):
            await self._commit(part)
        if parts:
            return
        for entry in flush.entries:
            logger.error("an append to %s was rejected: %s", entry.append.conversation, error)
        for each in flush.marks:
            logger.error("a mark in %s was rejected: %s", each.mark.conversation, error)
        self._refuse(flush.entries, error)

    def _refuse(self, entries: list[Entry[Any]], error: StorageError) -> None:
        """Let the owners know, after what they are told before, that these were not stored."""
        self._telling.tell_nowait(refusals(entries, error))

    def _note_answer(self) -> None:
        self._under_way_since = None
        if self._failing_since is not None:
            seconds = trio.current_time() - self._failing_since
            logger.warning("database %s answers again after %.1f s", self.store.name, seconds)
            self._failing_since = None
