"""What requests with an Idempotency-Key were answered: the port."""

from __future__ import annotations

from typing import Final, Literal, Protocol

from msgspec import Struct

ANSWER_LIFETIME: Final = 24 * 60 * 60.0
"""Seconds for which an answer is given again to a repeated request."""

CLAIM_LIFETIME: Final = 60.0
"""Seconds after which a request that was never answered may be done by another."""


def registration_scope(username: str) -> str:
    """Among whom the Idempotency-Key of a registration is unique: nobody is known yet."""
    return f"register:{username.lower()}"


class Answer(Struct, frozen=True):
    """What a request was answered."""

    status: int
    body: bytes


class Claim(Struct, frozen=True):
    """What is known of a request's Idempotency-Key."""

    state: Literal["mine", "answered", "in_progress", "conflict"]
    """`mine`: do it, then `finish` or `abandon`. `conflict`: the key was used otherwise."""
    answer: Answer | None = None


class Answers(Protocol):
    """What requests with an Idempotency-Key were answered."""

    async def claim(self, caller: str, key: str, digest: bytes, claim: str) -> Claim:
        """Ask whether this request is to be done, under a claim (a UUID) of its own.

        `digest` tells a repeated request from another one with the same key.
        """
        ...

    async def finish(self, caller: str, key: str, claim: str, answer: Answer) -> bool:
        """Keep the answer; False when the claim was another's by now, whose answer counts."""
        ...

    async def abandon(self, caller: str, key: str, claim: str) -> None:
        """Nothing was done: let the next one try."""
        ...

    async def trim(self) -> int:
        """Remove answers that are too old to be given again, a bounded number at once."""
        ...
