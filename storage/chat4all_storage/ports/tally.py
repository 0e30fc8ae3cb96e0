"""How nodes keep their rate limits in step: the port.

For each key a tally holds how far all nodes together are ahead, and which nodes had to do with it
lately. It may vanish at any moment: nodes then know what they knew, and take less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS: Final = 1.0

INTEREST: Final = 2 * SECONDS
"""A node has to do with a key for so long after it told or asked of it."""


class Usage(Struct, frozen=True, gc=False):
    """What a node has accepted of one key. All numbers are seconds."""

    key: str
    cost: float
    """What was accepted since the node told last; 0 only asks."""
    known: float
    """The node knows that the key is so far ahead, `cost` included, whatever the tally held."""
    ceiling: float
    """No key gets further ahead than this."""


class Standing(Struct, frozen=True, gc=False):
    """How all nodes together stand with one key."""

    ahead: float
    """Seconds from now until it is at rest."""
    nodes: int
    """Those that had to do with it lately, the asking one included."""


class Tally(Protocol):
    """Every method raises `Unavailable` when the tally can't be used in time."""

    async def exchange(self, node: str, usages: Sequence[Usage]) -> list[Standing]:
        """Add what this node has accepted; how each key stands now, in the same order.

        Each key is changed at once and for itself. An exchange that raised may have happened, in
        part too. A key that is at rest, and that no node has to do with, is forgotten.
        """
        ...

    async def close(self) -> None:
        """Give up all connections."""
        ...
