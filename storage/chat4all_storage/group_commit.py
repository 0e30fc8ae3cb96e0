"""The only way an event is written: one writer per database, one statement per flush.

While a commit is under way the log collects; when it returns, everything collected goes into the
next one. The cost of a commit (the fsync above all) is shared by whatever arrives meanwhile, and
no timer is needed. Answers are given while the next commit is under way, by a task of their own.

What a submitter may rely on: its entries keep their order; each gets exactly one answer, after
its fate is certain. An answer of `Refused` means surely not stored. A commit whose connection
broke is repeated, with the same ids, until the database tells what became of it: until then
there is no answer. Only a stop or a fault of the log leaves entries without one.

A logical shard may move to another database. What the store answers to with `MOVED`, and what
waits here of the same logical shards, is not answered but given back in order (`shard_logs`).
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeAlias, TypeVar

import trio
from msgspec import Struct

from .ports.errors import InDoubt, Rejected, StorageError, Unavailable
from .ports.events import Append, Mark, Outcome, Status
from .ports.logical_shards import logical_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .ports.shard import ShardStore

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_FLUSH_ENTRIES: Final = 1000
MAX_FLUSH_BYTES: Final = 4 * 1024 * 1024
MAX_FLUSH_MARKS: Final = 1000
RETRY_FIRST: Final = 0.05
RETRY_MAX: Final = 1.0
TOLD_AT_ONCE: Final = 128
"""Owners that are given their answers before other tasks get a turn: about 4 ms."""


class Refused(Struct, frozen=True):
    """An append that was surely not stored: for now, or for good (a defect)."""

    error: Unavailable | Rejected


class LogFull(Exception):
    """The log holds as much as it may: nothing was taken."""


Answer: TypeAlias = Outcome | Refused


class Entry(Struct, Generic[T], eq=False):
    """One append on its way, and who wants to know what becomes of it."""

    append: Append
    owner: Callable[[list[tuple[Entry[T], Answer]]], None]
    """Called once per flush with the answers to all of the owner's entries in it, in order.

    It must not raise: that is a fault, and ends the log.
    """
    context: T
    doubtful: bool = False
    """Whether it may have been stored: it is never refused then, only a store can answer it."""
    held_since: float | None = None
    """When it was first held back because its logical shard was on the move."""

    @property
    def shard(self) -> int:
        """The logical shard of its conversation."""
        return logical_shard(self.append.conversation)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return 200 + len(self.append.body or b"") + len(self.append.meta or b"")


class MarkEntry(Struct, eq=False):
    """Watermarks on their way, and who wants to know where they then stand."""

    mark: Mark
    owner: Callable[[Mark], None]

    @property
    def shard(self) -> int:
        """The logical shard of its conversation."""
        return logical_shard(self.mark.conversation)


class Returned(Struct, frozen=True):
    """What a log gives back of logical shards that are not to be written to its database."""

    shards: frozenset[int]
    entries: list[Entry[Any]]
    """In the order in which they were submitted. Nothing of these shards is left in the log."""
    marks: list[MarkEntry]


class LogStatistics(Struct, frozen=True):
    """What a log has done and holds."""

    pending: int
    pending_bytes: int
    commits: int
    stored: int
    retries: int
    largest_flush: int
    available: bool


class ShardLog:
    """Collects appends and marks for one database and commits them in groups."""

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
        self._recalled: set[int] = set()
        self._max_pending = max_pending
        self._max_pending_bytes = max_pending_bytes
        self._patience = patience
        self._drain_timeout = drain_timeout
        self._pending: deque[Entry[Any]] = deque()
        self._pending_bytes = 0
        self._marks: dict[tuple[str, str], MarkEntry] = {}
        self._wakeup = trio.lowlevel.ParkingLot()
        self._untold: deque[Sequence[tuple[Entry[Any], Answer]]] = deque()
        self._told = trio.lowlevel.ParkingLot()
        self._written = False
        """Whether no more answers come."""
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
        if self._stopping:
            raise Unavailable("the log stops")
        if self.down:
            raise Unavailable("the database is out of reach")
        size = entry.size
        if (
            len(self._pending) >= self._max_pending
            or self._pending_bytes + size > self._max_pending_bytes
        ):
            raise LogFull(f"{len(self._pending)} entries of {self._pending_bytes} bytes wait")
        self._take(entry, size)

    def resubmit_nowait(self, entry: Entry[Any]) -> None:
        """Take an entry that another log gave back: it was within bounds there.

        Raises:
            Unavailable: as `submit_nowait`; never for an entry that is doubtful.
        """
        if not entry.doubtful and (self._stopping or self.down):
            raise Unavailable("the database is out of reach")
        self._take(entry, entry.size)

    def _take(self, entry: Entry[Any], size: int) -> None:
        self._pending.append(entry)
        self._pending_bytes += size
        if self._wakeup:
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
        key = (mark.conversation, mark.user)
        if (waiting := self._marks.get(key)) is not None:
            mark = Mark(
                mark.conversation,
                mark.user,
                max(mark.recv, waiting.mark.recv),
                max(mark.read, waiting.mark.read),
            )
        elif self._stopping or len(self._marks) >= self._max_pending:
            return
        self._marks[key] = MarkEntry(mark, owner)
        self._wakeup.unpark()

    async def append(self, append: Append) -> Answer:
        """Submit one append and wait for its answer.

        Raises:
            LogFull, Unavailable: as `submit_nowait`.
        """
        answers: list[Answer] = []
        answered = trio.Event()

        def owner(results: list[tuple[Entry[None], Answer]]) -> None:
            answers.append(results[0][1])
            answered.set()

        self.submit_nowait(Entry(append, owner, None))
        await answered.wait()
        return answers[0]

    @property
    def down(self) -> bool:
        """Whether the database has not answered for longer than the log's patience."""
        since = self._under_way_since if self._failing_since is None else self._failing_since
        return since is not None and trio.current_time() - since > self._patience

    def statistics(self) -> LogStatistics:
        """What the log has done and holds."""
        return LogStatistics(
            pending=len(self._pending),
            pending_bytes=self._pending_bytes,
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
        self._stopping = self._written = False
        self._untold.clear()
        self._failing_since = self._under_way_since = None
        writing = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, writing)
            nursery.start_soon(self._tell)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._stopping = True
                self._wakeup.unpark()
                writing.deadline = trio.current_time() + self._drain_timeout
        raise AssertionError("only a cancel or a fault ends the nursery")

    async def _write(self, scope: trio.CancelScope) -> None:
        try:
            with scope:
                while True:
                    while not (self._pending or self._marks or self._recalled):
                        if self._stopping:
                            return
                        if self._failing_since is not None:
                            break  # find out whether the database is back
                        await self._wakeup.park()
                    await self._flush()
            self._refuse_waiting(Unavailable("the log was stopped"))
        finally:
            self._written = True
            self._told.unpark()

    async def _tell(self) -> None:
        """Give each owner its answers of a flush, in order, in one call."""
        with trio.CancelScope(shield=True):  # `_write` says when this is over
            while True:
                while not self._untold:
                    if self._written:
                        return
                    await self._told.park()
                by_owner = _by_owner(self._untold.popleft())
                for number, (owner, mine) in enumerate(by_owner.items(), 1):
                    owner(mine)
                    if number % TOLD_AT_ONCE == 0:
                        await trio.lowlevel.checkpoint()

    def _answer(self, answers: Sequence[tuple[Entry[Any], Answer]]) -> None:
        """Let the owners have these answers, after those that came before."""
        self._untold.append(answers)
        self._told.unpark()

    def _refuse(self, entries: Collection[Entry[Any]], error: StorageError) -> None:
        """Let the owners know that these were surely not stored; see `refuse`."""
        self._answer(_refusals(entries, error))

    async def _flush(self) -> None:
        entries = self._take_entries()
        marks = self._take_marks()
        self._largest = max(self._largest, len(entries))
        moved = _Moved(set(self._recalled), [], [])
        await self._commit(entries, marks, moved)
        if moved.shards:
            self._give_back(moved)

    def _take_entries(self) -> list[Entry[Any]]:
        """The next flush, in order.

        A flush holds a (conversation, sender, id) once, one edit or deletion of a message, and
        nothing of a conversation after a change of it or its members: so the statement decides
        each entry by what stood before it. Such an entry, and what follows it in its conversation,
        stays in front of the queue, in order.
        """
        taken: list[Entry[Any]] = []
        kept: list[Entry[Any]] = []
        seen: set[tuple[str, str, str | int | None]] = set()
        closed: set[str] = set()
        size = 0
        while (
            self._pending
            and len(taken) < MAX_FLUSH_ENTRIES
            and len(kept) < MAX_FLUSH_ENTRIES
            and size < MAX_FLUSH_BYTES
        ):
            entry = self._pending.popleft()
            append = entry.append
            key = (append.conversation, append.sender, append.id)
            if append.conversation in closed or key in seen:
                closed.add(append.conversation)
                kept.append(entry)
                continue
            if append.kind in ("edit", "delete"):
                target = (append.conversation, "target", append.target)
                if target in seen:
                    closed.add(append.conversation)
                    kept.append(entry)
                    continue
                seen.add(target)
            seen.add(key)
            if append.kind in ("join", "leave", "change"):
                closed.add(append.conversation)
            taken.append(entry)
            size += entry.size
        self._pending.extendleft(reversed(kept))
        self._pending_bytes -= size
        return taken

    def _take_marks(self) -> list[MarkEntry]:
        if len(self._marks) <= MAX_FLUSH_MARKS:
            taken, self._marks = list(self._marks.values()), {}
            return taken
        keys = list(self._marks)[:MAX_FLUSH_MARKS]
        return [self._marks.pop(key) for key in keys]

    async def _commit(
        self, entries: list[Entry[Any]], marks: list[MarkEntry], moved: _Moved
    ) -> None:
        """Commit until the fate of every entry is certain, and give the answers.

        What belongs to shards that have moved is added to `moved`; once something of a shard is in
        there, no more of it is tried, as it would pass what came first.
        """
        in_doubt = any(entry.doubtful for entry in entries)
        delay = RETRY_FIRST
        while True:
            moved.shards |= self._recalled
            entries, marks = moved.sort_out(entries, marks)
            if moved.shards and not (entries or marks):
                return
            self._under_way_since = trio.current_time()
            try:
                result = await self.store.commit(
                    [entry.append for entry in entries], [entry.mark for entry in marks]
                )
                break
            except (InDoubt, Unavailable) as error:
                if isinstance(error, InDoubt):
                    in_doubt = True
                    for entry in entries:
                        entry.doubtful = True
                self._note_failure(error)
                if self.down:
                    self._refuse_waiting(error)
                if not in_doubt and (self.down or self._stopping):
                    self._refuse(entries, error)
                    # What remains to be tried is whether the database is back.
                    entries = []
                    if self._stopping:
                        return
            except Rejected as error:
                self._note_answer()
                if in_doubt and entries:
                    raise  # what an earlier try stored can't be told any more: a fault
                await self._isolate(entries, marks, error, moved)
                return
            await trio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX)
        self._note_answer()
        self._commits += 1
        self._stored += sum(outcome.status == Status.STORED for outcome in result.outcomes)
        decided = list(zip(entries, result.outcomes, strict=True))
        if result.moved:
            moved.shards |= result.moved
            moved.entries += [entry for entry, outcome in decided if outcome.status is Status.MOVED]
            decided = [each for each in decided if each[1].status is not Status.MOVED]
        self._answer(decided)
        for waiting, mark in zip(marks, result.marks, strict=True):
            if mark is not None:
                waiting.owner(mark)
            elif waiting.shard in result.moved:
                moved.marks.append(waiting)

    async def _isolate(
        self, entries: list[Entry[Any]], marks: list[MarkEntry], error: Rejected, moved: _Moved
    ) -> None:
        """Something made the store refuse the whole flush: find it, and store the others."""
        if entries and marks:
            await self._commit(entries, [], moved)
            await self._commit([], marks, moved)
        elif len(entries) == 1:
            logger.error("an append to %s was rejected: %s", entries[0].append.conversation, error)
            self._refuse(entries, error)
        elif entries:
            half = len(entries) // 2
            await self._commit(entries[:half], [], moved)
            await self._commit(entries[half:], [], moved)
        elif len(marks) == 1:
            logger.error("a mark in %s was rejected: %s", marks[0].mark.conversation, error)
        elif marks:
            half = len(marks) // 2
            await self._commit([], marks[:half], moved)
            await self._commit([], marks[half:], moved)

    def _give_back(self, moved: _Moved) -> None:
        """Return what has moved, and what waits here of the same logical shards."""
        self._recalled -= moved.shards
        waiting = list(self._pending)
        marks = list(self._marks.values())
        kept, kept_marks = moved.sort_out(waiting, marks)
        self._pending = deque(kept)
        self._pending_bytes = sum(entry.size for entry in kept)
        self._marks = {(each.mark.conversation, each.mark.user): each for each in kept_marks}
        if self._on_returned is not None:
            returned = Returned(frozenset(moved.shards), moved.entries, moved.marks)
            self._on_returned(self, returned)
        else:
            self._refuse(moved.entries, Unavailable("the shard has moved"))

    def _note_failure(self, error: StorageError) -> None:
        self._retries += 1
        if self._failing_since is None:
            self._failing_since = self._under_way_since
            logger.warning("database %s does not commit: %s", self.store.name, error)

    def _note_answer(self) -> None:
        self._under_way_since = None
        if self._failing_since is not None:
            seconds = trio.current_time() - self._failing_since
            logger.warning("database %s answers again after %.1f s", self.store.name, seconds)
            self._failing_since = None

    def _refuse_waiting(self, error: StorageError) -> None:
        """What waits behind a commit that fails has surely not been stored: say so."""
        waiting = list(self._pending)
        self._pending = deque(entry for entry in waiting if entry.doubtful)
        self._pending_bytes = sum(entry.size for entry in self._pending)
        self._refuse(waiting, error)


class _Moved(Struct):
    """What a flush has found not to be written to its database."""

    shards: set[int]
    entries: list[Entry[Any]]
    marks: list[MarkEntry]

    def sort_out(
        self, entries: list[Entry[Any]], marks: list[MarkEntry]
    ) -> tuple[list[Entry[Any]], list[MarkEntry]]:
        """Take what is of the shards; what is not remains."""
        if not self.shards:
            return entries, marks
        self.entries += [entry for entry in entries if entry.shard in self.shards]
        self.marks += [each for each in marks if each.shard in self.shards]
        return (
            [entry for entry in entries if entry.shard not in self.shards],
            [each for each in marks if each.shard not in self.shards],
        )


def refuse(entries: Collection[Entry[Any]], error: StorageError) -> None:
    """Tell the owners that these were surely not stored; of those in doubt nothing can be told."""
    for owner, mine in _by_owner(_refusals(entries, error)).items():
        owner(mine)


def _refusals(
    entries: Collection[Entry[Any]], error: StorageError
) -> list[tuple[Entry[Any], Answer]]:
    if not isinstance(error, Unavailable | Rejected):
        error = Unavailable("the database is out of reach")
    return [(entry, Refused(error)) for entry in entries if not entry.doubtful]


def _by_owner(
    answers: Sequence[tuple[Entry[Any], Answer]],
) -> dict[Any, list[tuple[Entry[Any], Answer]]]:
    by_owner: dict[Any, list[tuple[Entry[Any], Answer]]] = {}
    for each in answers:
        by_owner.setdefault(each[0].owner, []).append(each)
    return by_owner
