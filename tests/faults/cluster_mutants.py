"""Nodes with one defect that only a cluster shows, to prove that its fault run finds it.

python -m tests.faults.cluster_mutants NAME serve ...
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import chat4all_actors.conversation.actor as conversation_module
from chat4all_actors.__main__ import main
from chat4all_actors.cluster.backbone import Backbone
from chat4all_actors.cluster.sweeper import Sweeper
from chat4all_actors.fanout import LocalReaders, fan_out, fan_out_nowait
from chat4all_storage.ports.events import CommitResult
from chat4all_storage.postgres.shard import PostgresShard
from tests.faults.mutants import patch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from chat4all_actors.messages import Passing, Reader
    from chat4all_storage.ports.events import Append, Mark
    from chat4all_storage.ports.shard import JournalRow


def no_defect() -> None:
    """The same run finds nothing."""


def trust_the_backbone() -> None:
    """Nobody looks into the journal."""

    def nothing(sweeper: Sweeper, rows: list[JournalRow]) -> None:
        """The rows are read, and forgotten."""

    async def compare(sweeper: Sweeper) -> None:
        """Nor are heads compared when rows are missing."""

    patch(Sweeper, "_take", nothing)
    patch(Sweeper, "_compare", compare)


def tell_nobody() -> None:
    """Nor does anybody tell the others anything."""

    def nothing(backbone: Backbone, nodes: Iterable[str], item: bytes) -> None:
        """Dropped."""

    trust_the_backbone()
    patch(Backbone, "send_nowait", nothing)


def tell_everybody() -> None:
    """Every session of the node gets every event."""
    everybody: set[Reader] = set()
    add, remove = LocalReaders.add, LocalReaders.remove

    def adding(local: LocalReaders, reader: Reader) -> None:
        add(local, reader)
        everybody.add(reader)

    def removing(local: LocalReaders, reader: Reader) -> None:
        everybody.discard(reader)
        remove(local, reader)

    async def to_all(
        readers: Collection[Reader], conversation: str, events: Sequence[Passing]
    ) -> None:
        await fan_out({*readers, *everybody}, conversation, events)

    def to_all_nowait(
        readers: Collection[Reader], conversation: str, events: Sequence[Passing]
    ) -> None:
        fan_out_nowait({*readers, *everybody}, conversation, events)

    patch(LocalReaders, "add", adding)
    patch(LocalReaders, "remove", removing)
    patch(conversation_module, "fan_out", to_all)
    patch(conversation_module, "fan_out_nowait", to_all_nowait)


def forget_watermarks() -> None:
    """Watermarks are answered as if they were written."""
    commit = PostgresShard.commit

    async def forgetful(
        store: PostgresShard, appends: Sequence[Append], marks: Sequence[Mark]
    ) -> CommitResult:
        result = await commit(store, appends, []) if appends else CommitResult([], [])
        return CommitResult(result.outcomes, list(marks))

    patch(PostgresShard, "commit", forgetful)


MUTANTS: Final[dict[str, Callable[[], None]]] = {
    mutate.__name__: mutate
    for mutate in (no_defect, trust_the_backbone, tell_nobody, tell_everybody, forget_watermarks)
}

if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    main()
