"""What the conversations of a node work with: the port that `conversations.py` fills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from chat4all_storage.sharding.shard_logs import ShardLogs
    from chat4all_storage.sharding.shards import Shards

    from ..config import Settings
    from ..fanout import LocalReaders
    from ..kernel import Pool, Timers
    from .members import Asking
    from .relay import Relay
    from .signs import Signs


class Alive(Protocol):
    """A conversation, as it is ended."""

    id: str

    @property
    def needed(self) -> bool:
        """Whether there is anything in it that a fresh actor would not know."""
        ...

    def stop(self) -> None:
        """End when what is in hand is done."""


class Surroundings(Protocol):
    """See the module. None of the methods waits or raises."""

    settings: Settings
    logs: ShardLogs
    shards: Shards
    pool: Pool
    timers: Timers[tuple[str, str]]
    """Keys begin with the id of the conversation."""
    local: LocalReaders
    relay: Relay
    signs: Signs

    def read_members(self, conversation: Asking) -> None:
        """Let the conversation be told its members, soon."""

    def release(self, conversation: Alive) -> None:
        """End a conversation that nobody needs."""

    def forget(self, conversation: Alive, seq: int) -> None:
        """A conversation has ended; its events are stored up to `seq` at least."""

    def overtaken(self, id_: str, seq: int) -> None:
        """Events up to `seq` were stored for a conversation that had ended: whoever reads it now
        is to have them.
        """
