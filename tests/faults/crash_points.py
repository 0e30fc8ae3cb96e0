"""The server, which kills itself at a chosen point when it is told to.

    python -m tests.faults.crash_points serve ...

SIGUSR1: the next time that a database has committed something and says so, this is the last thing
that happens. Nobody was told by then: neither who sent it, nor any other node.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from chat4all_actors.__main__ import main
from chat4all_storage.ports import Status
from chat4all_storage.postgres_shard import PostgresShard
from tests.faults.mutants import patch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_storage.ports import Append, CommitResult, Mark


def die_after_commit_when_told() -> None:
    """Arm the next commit at SIGUSR1."""
    commit = PostgresShard.commit
    armed = False

    def arm(*_: object) -> None:
        nonlocal armed
        armed = True

    async def fatal(
        store: PostgresShard, appends: Sequence[Append], marks: Sequence[Mark]
    ) -> CommitResult:
        result = await commit(store, appends, marks)
        if armed and any(outcome.status is Status.STORED for outcome in result.outcomes):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    signal.signal(signal.SIGUSR1, arm)
    patch(PostgresShard, "commit", fatal)


if __name__ == "__main__":
    die_after_commit_when_told()
    main()
