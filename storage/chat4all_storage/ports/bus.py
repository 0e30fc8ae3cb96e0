"""How nodes reach each other: the port.

A bus gives every node an inbound stream and knows which nodes beat. It is fast and may vanish at
any moment: whatever it carries can be rebuilt from the databases, and `Beat.epoch` tells that it
has lost its memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence


class Arrival(Struct, frozen=True, gc=False):
    """An entry of an inbound stream."""

    position: str
    """Read on after this one."""
    data: bytes


class Beat(Struct, frozen=True):
    """What a beat found."""

    epoch: str
    """Changes when the bus lost what it held."""
    position: str
    """Of the entry that the beat put into the node's own stream."""
    nodes: dict[str, bytes]
    """The last beat of every node that has not left."""


class Bus(Protocol):
    """Streams and beats. Every method raises `Unavailable` when the bus can't be used in time.

    *Order.* Entries of a stream stay in the order in which `append` returned, and those of one
    call in theirs. *Atomicity.* None: a call that raised may have happened, in part too, and what
    returned may be lost with the memory of the bus. *Delivery.* At most once for who reads on from
    where it was; a stream holds a bounded number of entries, and the oldest go first, whether they
    were read or not.
    """

    async def append(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """Put entries into the inbound streams of these nodes; a node without one gets none.

        A node's first beat makes its stream.
        """
        ...

    async def read(self, node: str, after: str, *, wait: float, limit: int) -> list[Arrival]:
        """The first `limit` entries after this position ("0": all of them).

        Waits `wait` seconds for one at most. Reading takes nothing away.
        """
        ...

    async def beat(self, node: str, data: bytes) -> Beat:
        """Say that the node lives, and put `data` into its own stream.

        The entry is there before the others' beats are looked at.
        """
        ...

    async def remove(self, node: str, unless: bytes | None = None) -> bool:
        """Forget a node and its stream.

        With `unless` only if that is still its last beat, in one step: a node that beats again is
        not removed.
        """
        ...

    async def close(self) -> None:
        """Give up all connections."""
        ...
