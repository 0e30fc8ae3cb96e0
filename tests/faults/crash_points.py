"""The server, which kills itself at a chosen point when it is told to.

    python -m tests.faults.crash_points serve ...

SIGUSR1: the next time that a database has committed something and says so, this is the last thing
that happens. Nobody was told by then: neither who sent it, nor any other node.

SIGUSR2: the next time that other nodes are to be told of an event, this is the last thing that
happens. Who sent it was answered by then, and who reads it on this node has it.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from chat4all_actors.__main__ import main
from chat4all_actors.cluster.items import Events, decode_entry
from chat4all_actors.cluster.outboxes import Outboxes
from chat4all_storage.ports.events import Status
from chat4all_storage.postgres.shard import PostgresShard
from tests.faults.mutants import patch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_storage.ports.events import Append, CommitResult, Mark

_armed: set[int] = set()


def _arm(number: int, _: object) -> None:
    _armed.add(number)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after_commit_when_told() -> None:
    """Arm the next commit at SIGUSR1."""
    commit = PostgresShard.commit

    async def fatal(
        store: PostgresShard, appends: Sequence[Append], marks: Sequence[Mark]
    ) -> CommitResult:
        result = await commit(store, appends, marks)
        if signal.SIGUSR1 in _armed and any(o.status is Status.STORED for o in result.outcomes):
            _die()
        return result

    signal.signal(signal.SIGUSR1, _arm)
    patch(PostgresShard, "commit", fatal)


def die_before_telling_when_told() -> None:
    """Arm the next entry with an event at SIGUSR2."""
    take = Outboxes.take_entries

    def fatal(outboxes: Outboxes) -> list[tuple[str, bytes]]:
        entries = take(outboxes)
        if signal.SIGUSR2 in _armed and any(
            isinstance(item, Events) for _, data in entries for item in decode_entry(data).items
        ):
            _die()
        return entries

    signal.signal(signal.SIGUSR2, _arm)
    patch(Outboxes, "take_entries", fatal)


if __name__ == "__main__":
    die_after_commit_when_told()
    die_before_telling_when_told()
    main()
