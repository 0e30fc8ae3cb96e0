"""Answers to requests with an Idempotency-Key on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ports.answers import ANSWER_LIFETIME, CLAIM_LIFETIME, Answer, Claim
from .audit import TRIM_AT_ONCE, trimmed

if TYPE_CHECKING:
    from .connections import Database


class PostgresAnswers:
    """See `Answers`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, caller: str, key: str, digest: bytes, claim: str) -> Claim:
        """See `Answers.claim`."""
        # One that was claimed long ago and never answered, or is too old, counts as none.
        take = """INSERT INTO idempotency AS i (caller, key, digest, claim)
                  VALUES ($1, $2, $3, $4)
                  ON CONFLICT (caller, key) DO UPDATE
                  SET digest = EXCLUDED.digest, claim = EXCLUDED.claim, status = NULL, body = NULL,
                      claimed_at = clock_timestamp()
                  WHERE i.claimed_at < clock_timestamp() - $6 * interval '1 second'
                      OR (i.status IS NULL AND i.digest = EXCLUDED.digest
                          AND i.claimed_at < clock_timestamp() - $5 * interval '1 second')
                  RETURNING true"""
        look = "SELECT digest, status, body FROM idempotency WHERE caller = $1 AND key = $2"

        async def run(connection: Any) -> Claim:
            arguments = (caller, key, digest, claim, CLAIM_LIFETIME, ANSWER_LIFETIME)
            if await connection.fetchval(take, *arguments):
                return Claim("mine")
            row = await connection.fetchrow(look, caller, key)
            if row is None:  # abandoned in between
                return Claim("in_progress")
            if row["digest"] != digest:
                return Claim("conflict")
            if row["status"] is None:
                return Claim("in_progress")
            return Claim("answered", Answer(row["status"], row["body"]))

        return await self._database.write(run)

    async def finish(self, caller: str, key: str, claim: str, answer: Answer) -> bool:
        """See `Answers.finish`."""
        query = """UPDATE idempotency SET status = $4, body = $5
                   WHERE caller = $1 AND key = $2 AND claim = $3 AND status IS NULL
                   RETURNING true"""
        arguments = (caller, key, claim, answer.status, answer.body)
        return bool(
            await self._database.write(lambda connection: connection.fetchval(query, *arguments))
        )

    async def abandon(self, caller: str, key: str, claim: str) -> None:
        """See `Answers.abandon`."""
        query = """DELETE FROM idempotency
                   WHERE caller = $1 AND key = $2 AND claim = $3 AND status IS NULL"""
        await self._database.write(lambda connection: connection.execute(query, caller, key, claim))

    async def trim(self) -> int:
        """See `Answers.trim`."""
        query = f"""DELETE FROM idempotency WHERE (caller, key) IN (
                        SELECT caller, key FROM idempotency
                        WHERE claimed_at < clock_timestamp() - $1 * interval '1 second'
                        ORDER BY claimed_at LIMIT {TRIM_AT_ONCE} FOR UPDATE SKIP LOCKED)"""
        return await trimmed(self._database, query, ANSWER_LIFETIME)
