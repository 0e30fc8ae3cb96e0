"""Second factors: the port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .audit import Actor


class Factor(Struct, frozen=True):
    """A user's TOTP secret, as it is stored."""

    secret: bytes
    """Encrypted."""
    confirmed: bool
    last_step: int
    """The last time step whose code was accepted; 0 for none."""


class Attempt(Struct, frozen=True):
    """Leave to try one code, or how long to wait for it."""

    wait: float = 0.0
    """Seconds; above 0 nothing may be tried."""
    factor: Factor | None = None
    """None: the user has none, or has to wait."""


class Factors(Protocol):
    """Second factors: one TOTP secret a user, and recovery codes."""

    async def enrol(self, user_id: str, secret: bytes, actor: Actor) -> bool:
        """Set a secret that is to be confirmed; False when a confirmed one is there."""
        ...

    async def find(self, user_id: str) -> Factor | None:
        """The user's secret, confirmed or not."""
        ...

    async def attempt(self, user_id: str, limit: int, window: float) -> Attempt:
        """Count one try of a code, at most `limit` in any `window` seconds over all nodes."""
        ...

    async def confirm(
        self, user_id: str, secret: bytes, step: int, codes: Sequence[bytes], actor: Actor
    ) -> bool:
        """Let the secret count from now on, with these hashes of recovery codes.

        The step is used up, and the try not counted. False when this secret was confirmed before,
        or is gone.
        """
        ...

    async def accept(self, user_id: str, step: int) -> bool:
        """Use up the code of a time step; False when it, or a later one, was used before.

        A try that succeeds is not counted.
        """
        ...

    async def recover(self, user_id: str, code: bytes, actor: Actor) -> bool:
        """Use up the recovery code of this hash; False when there is none. As `accept`."""
        ...

    async def replace_codes(self, user_id: str, codes: Sequence[bytes], actor: Actor) -> bool:
        """Let only these recovery codes count; False without a confirmed secret."""
        ...

    async def disable(self, user_id: str, actor: Actor) -> bool:
        """Remove the secret and all recovery codes; False when there was none."""
        ...
