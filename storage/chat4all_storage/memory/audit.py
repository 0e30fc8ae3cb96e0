"""The audit log in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ..ports.audit import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..ports.audit import Act, Actor, Detail


class MemoryAudit:
    """See `Audit`."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._entries: list[AuditEntry] = []
        self._ids = 0

    def tell(self, act: Act, subject: str | None, actor: Actor, **details: Detail) -> None:
        """Write what is done, together with it."""
        self._ids += 1
        self._entries.append(
            AuditEntry(
                self._ids,
                self._clock_ms(),
                actor.name,
                act,
                subject,
                actor.address,
                actor.trace,
                details,
            )
        )

    def forget_addresses(self, subject: str) -> None:
        """Nothing tells any more where this subject was."""
        self._entries = [
            AuditEntry(e.id, e.at, e.actor, e.act, e.subject, None, e.trace, e.details)
            if e.subject == subject
            else e
            for e in self._entries
        ]

    async def note(
        self, act: Act, subject: str | None, actor: Actor, details: Mapping[str, Detail]
    ) -> None:
        """See `Audit.note`."""
        await trio.lowlevel.checkpoint()
        self.tell(act, subject, actor, **details)

    async def entries(
        self, subject: str | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """See `Audit.entries`."""
        await trio.lowlevel.checkpoint()
        found = [
            entry
            for entry in reversed(self._entries)
            if (subject is None or entry.subject == subject)
            and (before is None or entry.id < before)
        ]
        return found[:limit]

    async def trim(self, keep: float) -> int:
        """See `Audit.trim`."""
        await trio.lowlevel.checkpoint()
        oldest = self._clock_ms() - keep * 1000
        kept = [entry for entry in self._entries if entry.at >= oldest]
        removed, self._entries = len(self._entries) - len(kept), kept
        return removed
