"""Answers to requests with an Idempotency-Key in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from ..ports.answers import ANSWER_LIFETIME, CLAIM_LIFETIME, Claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ports.answers import Answer


class _Kept(Struct):
    """What is known of one key of a caller."""

    digest: bytes
    claim: str
    claimed_at: int
    answer: Answer | None = None


class MemoryAnswers:
    """See `Answers`."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def claim(self, caller: str, key: str, digest: bytes, claim: str) -> Claim:
        """See `Answers.claim`."""
        await trio.lowlevel.checkpoint()
        now = self._clock_ms()
        kept = self._kept.get((caller, key))
        if kept is None or kept.claimed_at < now - ANSWER_LIFETIME * 1000:
            self._kept[caller, key] = _Kept(digest, claim, now)
            return Claim("mine")
        if kept.digest != digest:
            return Claim("conflict")
        if kept.answer is not None:
            return Claim("answered", kept.answer)
        if kept.claimed_at >= now - CLAIM_LIFETIME * 1000:
            return Claim("in_progress")
        self._kept[caller, key] = _Kept(digest, claim, now)
        return Claim("mine")

    async def finish(self, caller: str, key: str, claim: str, answer: Answer) -> bool:
        """See `Answers.finish`."""
        await trio.lowlevel.checkpoint()
        kept = self._kept.get((caller, key))
        if kept is None or kept.claim != claim or kept.answer is not None:
            return False
        kept.answer = answer
        return True

    async def abandon(self, caller: str, key: str, claim: str) -> None:
        """See `Answers.abandon`."""
        await trio.lowlevel.checkpoint()
        kept = self._kept.get((caller, key))
        if kept is not None and kept.claim == claim and kept.answer is None:
            del self._kept[caller, key]

    async def trim(self) -> int:
        """See `Answers.trim`."""
        await trio.lowlevel.checkpoint()
        oldest = self._clock_ms() - ANSWER_LIFETIME * 1000
        kept = {key: one for key, one in self._kept.items() if one.claimed_at >= oldest}
        removed, self._kept = len(self._kept) - len(kept), kept
        return removed

    def forget(self, caller: str) -> None:
        """Remove everything of a caller who is gone."""
        self._kept = {key: one for key, one in self._kept.items() if key[0] != caller}
