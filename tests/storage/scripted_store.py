"""A store in memory whose commits take the time and meet the fate that a test gives them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from chat4all_storage.log.entries import Entry
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.errors import InDoubt, Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from chat4all_storage.log.entries import Answer
    from chat4all_storage.log.shard_log import ShardLog
    from chat4all_storage.ports.events import Append, CommitResult, Mark

COMMIT_TIME = 1.0
"""Seconds of a mock clock that a commit takes."""

POISON = b"poison"
"""A body that the store rejects; `POISON_USER`'s marks likewise."""
POISON_USER = "poison"


class Stored(InDoubt):
    """A doubtful commit that was stored; a plain `InDoubt` was not."""


class ScriptedStore(MemoryShard):
    """Commits like `MemoryShard`, unless the script or a lasting failure says otherwise."""

    def __init__(self) -> None:
        super().__init__("scripted")
        self.script: deque[Exception | None] = deque()
        """What becomes of the next commits, one each; `None` is success."""
        self.failure: Exception | None = None
        """What becomes of every commit after that."""
        self.frozen = False
        """Whether commits never return."""
        self.batches: list[list[Append]] = []
        self.mark_batches: list[list[Mark]] = []
        self.returned: set[str] = set()
        """The ids of appends that a commit which returned has decided."""

    async def commit(self, appends: Sequence[Append], marks: Sequence[Mark]) -> CommitResult:
        self.batches.append(list(appends))
        self.mark_batches.append(list(marks))
        failure = self.script.popleft() if self.script else self.failure
        poisoned = any(append.body == POISON for append in appends)
        if failure is None and (poisoned or any(mark.user == POISON_USER for mark in marks)):
            failure = Rejected("poison")
        if failure is None or isinstance(failure, Stored):
            result = await super().commit(appends, marks)
        await trio.sleep_forever() if self.frozen else await trio.sleep(COMMIT_TIME)
        if failure is not None:
            raise failure
        self.returned.update(append.id for append in appends)
        return result

    @property
    def sizes(self) -> list[int]:
        """How many appends each commit had."""
        return [len(batch) for batch in self.batches]


class Inbox:
    """An owner of entries that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[Entry[Any], Answer]]] = []

    def receive(self, answers: list[tuple[Entry[Any], Answer]]) -> None:
        self.calls.append(answers)

    @property
    def answers(self) -> list[Answer]:
        return [answer for call in self.calls for _, answer in call]

    @property
    def appends(self) -> list[Append]:
        """What was answered, in the order of the answers."""
        return [entry.append for call in self.calls for entry, _ in call]


OUT_OF_REACH = Unavailable("out of reach")
IN_DOUBT = InDoubt("the connection broke")
IN_DOUBT_BUT_STORED = Stored("the connection broke")


def submit(log: ShardLog, inbox: Inbox, *appends: Append) -> None:
    for each in appends:
        log.submit_nowait(Entry(each, inbox.receive, None))


async def answer_to(log: ShardLog, append: Append) -> Answer:
    """Submit an append and wait for its answer."""
    answers: list[Answer] = []
    answered = trio.Event()

    def owner(results: list[tuple[Entry[None], Answer]]) -> None:
        answers.append(results[0][1])
        answered.set()

    log.submit_nowait(Entry(append, owner, None))
    await answered.wait()
    return answers[0]


async def settle() -> None:
    """Wait until a log has done everything it can."""
    await trio.sleep(1000)
