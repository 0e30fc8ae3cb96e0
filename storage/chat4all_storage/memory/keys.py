"""Signing keys in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from ..ports.keys import SigningKey

if TYPE_CHECKING:
    from ..ports.audit import Actor
    from ..ports.keys import Algorithm
    from .directory import MemoryDirectory


class MemoryKeys:
    """See `Keys`."""

    def __init__(self, directory: MemoryDirectory) -> None:
        self._directory = directory
        self._keys: list[SigningKey] = []

    async def all(self) -> list[SigningKey]:
        """See `Keys.all`."""
        await trio.lowlevel.checkpoint()
        now = self._directory.clock_ms()
        self._keys = [key for key in self._keys if key.retires_at is None or key.retires_at > now]
        return sorted(self._keys, key=lambda key: (key.active_from, key.kid))

    async def add(
        self,
        kid: str,
        algorithm: Algorithm,
        secret: bytes,
        actor: Actor,
        *,
        delay: float,
        keep: float,
        only_first: bool = False,
    ) -> bool:
        """See `Keys.add`."""
        known = await self.all()
        if only_first and any(key.algorithm == algorithm for key in known):
            return False
        now = self._directory.clock_ms()
        active_from = now + int(delay * 1000)
        retires_at = active_from + int(keep * 1000)
        self._keys = [
            replace(key, retires_at=retires_at)
            if key.algorithm == algorithm and key.retires_at is None
            else key
            for key in known
        ]
        self._keys.append(SigningKey(kid, algorithm, secret, now, active_from, None))
        self._directory.audit.tell("key.added", f"key:{kid}", actor, algorithm=algorithm)
        return True
