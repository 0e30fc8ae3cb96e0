"""Second factors in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec import Struct, field

from ..ports.audit import user_subject
from ..ports.factors import Attempt, Factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ports.audit import Actor
    from .directory import MemoryDirectory


class _Row(Struct):
    """One user's factor."""

    secret: bytes
    confirmed: bool = False
    last_step: int = 0
    attempts: list[int] = field(default_factory=list)
    """When codes were tried in vain, in milliseconds since the epoch."""
    codes: set[bytes] = field(default_factory=set)

    def view(self) -> Factor:
        return Factor(self.secret, self.confirmed, self.last_step)


class MemoryFactors:
    """See `Factors`."""

    def __init__(self, directory: MemoryDirectory) -> None:
        self._directory = directory
        self._rows: dict[str, _Row] = {}

    def forget(self, user_id: str) -> None:
        """Remove everything of a user who is gone."""
        self._rows.pop(user_id, None)

    async def enrol(self, user_id: str, secret: bytes, actor: Actor) -> bool:
        """See `Factors.enrol`."""
        await trio.lowlevel.checkpoint()
        if all(user.id != user_id for user in self._directory.users.values()):
            return False
        row = self._rows.setdefault(user_id, _Row(secret))
        if row.confirmed:
            return False
        row.secret, row.last_step = secret, 0
        self._directory.audit.tell("totp.enrolled", user_subject(user_id), actor)
        return True

    async def find(self, user_id: str) -> Factor | None:
        """See `Factors.find`."""
        await trio.lowlevel.checkpoint()
        row = self._rows.get(user_id)
        return None if row is None else row.view()

    async def attempt(self, user_id: str, limit: int, window: float) -> Attempt:
        """See `Factors.attempt`."""
        await trio.lowlevel.checkpoint()
        row = self._rows.get(user_id)
        if row is None:
            return Attempt()
        now = self._directory.clock_ms()
        lately = [at for at in row.attempts if at > now - window * 1000]
        if len(lately) >= limit:
            return Attempt(wait=max((lately[0] - now) / 1000 + window, 0.001))
        row.attempts = [*lately, now]
        return Attempt(factor=row.view())

    async def confirm(
        self, user_id: str, secret: bytes, step: int, codes: Sequence[bytes], actor: Actor
    ) -> bool:
        """See `Factors.confirm`."""
        await trio.lowlevel.checkpoint()
        row = self._rows.get(user_id)
        if row is None or row.confirmed or row.secret != secret:
            return False
        row.confirmed, row.last_step, row.codes = True, step, set(codes)
        del row.attempts[-1:]
        self._directory.audit.tell("totp.confirmed", user_subject(user_id), actor)
        return True

    async def accept(self, user_id: str, step: int) -> bool:
        """See `Factors.accept`."""
        await trio.lowlevel.checkpoint()
        row = self._rows.get(user_id)
        if row is None or not row.confirmed or row.last_step >= step:
            return False
        row.last_step = step
        del row.attempts[-1:]
        return True

    async def recover(self, user_id: str, code: bytes, actor: Actor) -> bool:
        """See `Factors.recover`."""
        await trio.lowlevel.checkpoint()
        row = self._rows.get(user_id)
        if row is None or code not in row.codes:
            return False
        row.codes.remove(code)
        del row.attempts[-1:]
        self._directory.audit.tell("totp.recovery_used", user_subject(user_id), actor)
        return True

    async def replace_codes(self, user_id: str, codes: Sequence[bytes], actor: Actor) -> bool:
        """See `Factors.replace_codes`."""
        await trio.lowlevel.checkpoint()
        row = self._rows.get(user_id)
        if row is None or not row.confirmed:
            return False
        row.codes = set(codes)
        self._directory.audit.tell("totp.codes_replaced", user_subject(user_id), actor)
        return True

    async def disable(self, user_id: str, actor: Actor) -> bool:
        """See `Factors.disable`."""
        await trio.lowlevel.checkpoint()
        if self._rows.pop(user_id, None) is None:
            return False
        self._directory.audit.tell("totp.disabled", user_subject(user_id), actor)
        return True
