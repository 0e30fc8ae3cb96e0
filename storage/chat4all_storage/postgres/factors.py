"""Second factors on PostgreSQL: each try and each code is decided by one conditional statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..ports.audit import user_subject
from ..ports.factors import Attempt, Factor
from .audit import tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ports.audit import Actor
    from .connections import Database

_FACTOR: Final = "secret, confirmed_at IS NOT NULL, last_step"
_UNCOUNTED: Final = "attempts = attempts[1:cardinality(attempts) - 1]"
_LATELY: Final = "a > clock_timestamp() - $2 * interval '1 second'"


class PostgresFactors:
    """See `Factors`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enrol(self, user_id: str, secret: bytes, actor: Actor) -> bool:
        """See `Factors.enrol`."""

        async def run(connection: Any) -> bool:
            async with connection.transaction():
                # Tries stay counted: a new secret is no new chance.
                done = await connection.fetchval(
                    """INSERT INTO second_factors (user_id, secret)
                       SELECT id, $2 FROM users WHERE id = $1
                       ON CONFLICT (user_id) DO UPDATE
                       SET secret = EXCLUDED.secret, created_at = clock_timestamp(), last_step = 0
                       WHERE second_factors.confirmed_at IS NULL RETURNING true""",
                    user_id,
                    secret,
                )
                if done:
                    await tell(connection, "totp.enrolled", user_subject(user_id), actor)
                return bool(done)

        return await self._database.write(run)

    async def find(self, user_id: str) -> Factor | None:
        """See `Factors.find`."""
        query = f"SELECT {_FACTOR} FROM second_factors WHERE user_id = $1"
        row = await self._database.read(lambda connection: connection.fetchrow(query, user_id))
        return None if row is None else Factor(*row)

    async def attempt(self, user_id: str, limit: int, window: float) -> Attempt:
        """See `Factors.attempt`."""
        take = f"""UPDATE second_factors SET attempts = array_append(
                       ARRAY(SELECT a FROM unnest(attempts) a WHERE {_LATELY}), clock_timestamp())
                   WHERE user_id = $1
                       AND (SELECT count(*) FROM unnest(attempts) a WHERE {_LATELY}) < $3
                   RETURNING {_FACTOR}"""
        wait = f"""SELECT extract(epoch FROM (SELECT min(a) FROM unnest(attempts) a WHERE {_LATELY})
                       - clock_timestamp())::float8 + $2
                   FROM second_factors WHERE user_id = $1"""

        async def run(connection: Any) -> Attempt:
            row = await connection.fetchrow(take, user_id, window, limit)
            if row is not None:
                return Attempt(factor=Factor(*row))
            left = await connection.fetchrow(wait, user_id, window)
            # None: the oldest try has just become too old.
            return Attempt() if left is None else Attempt(wait=max(left[0] or 0.0, 0.001))

        return await self._database.write(run)

    async def confirm(
        self, user_id: str, secret: bytes, step: int, codes: Sequence[bytes], actor: Actor
    ) -> bool:
        """See `Factors.confirm`."""

        async def run(connection: Any) -> bool:
            async with connection.transaction():
                done = await connection.fetchval(
                    f"""UPDATE second_factors
                        SET confirmed_at = clock_timestamp(), last_step = $3, {_UNCOUNTED}
                        WHERE user_id = $1 AND secret = $2 AND confirmed_at IS NULL
                        RETURNING true""",
                    user_id,
                    secret,
                    step,
                )
                if done:
                    await _set_codes(connection, user_id, codes)
                    await tell(connection, "totp.confirmed", user_subject(user_id), actor)
                return bool(done)

        return await self._database.write(run)

    async def accept(self, user_id: str, step: int) -> bool:
        """See `Factors.accept`."""
        query = f"""UPDATE second_factors SET last_step = $2, {_UNCOUNTED}
                    WHERE user_id = $1 AND confirmed_at IS NOT NULL AND last_step < $2
                    RETURNING true"""
        done = await self._database.write(
            lambda connection: connection.fetchval(query, user_id, step)
        )
        return bool(done)

    async def recover(self, user_id: str, code: bytes, actor: Actor) -> bool:
        """See `Factors.recover`."""

        async def run(connection: Any) -> bool:
            async with connection.transaction():
                done = await connection.fetchval(
                    """DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2
                       RETURNING true""",
                    user_id,
                    code,
                )
                if done:
                    await connection.execute(
                        f"UPDATE second_factors SET {_UNCOUNTED} WHERE user_id = $1", user_id
                    )
                    subject = user_subject(user_id)
                    await tell(connection, "totp.recovery_used", subject, actor)
                return bool(done)

        return await self._database.write(run)

    async def replace_codes(self, user_id: str, codes: Sequence[bytes], actor: Actor) -> bool:
        """See `Factors.replace_codes`."""

        async def run(connection: Any) -> bool:
            async with connection.transaction():
                found = await connection.fetchval(
                    """SELECT true FROM second_factors
                       WHERE user_id = $1 AND confirmed_at IS NOT NULL FOR UPDATE""",
                    user_id,
                )
                if found:
                    await _set_codes(connection, user_id, codes)
                    await tell(connection, "totp.codes_replaced", user_subject(user_id), actor)
                return bool(found)

        return await self._database.write(run)

    async def disable(self, user_id: str, actor: Actor) -> bool:
        """See `Factors.disable`."""

        async def run(connection: Any) -> bool:
            async with connection.transaction():
                done = await connection.fetchval(
                    "DELETE FROM second_factors WHERE user_id = $1 RETURNING true", user_id
                )
                if done:
                    await _set_codes(connection, user_id, [])
                    await tell(connection, "totp.disabled", user_subject(user_id), actor)
                return bool(done)

        return await self._database.write(run)


async def _set_codes(connection: Any, user_id: str, codes: Sequence[bytes]) -> None:
    await connection.execute("DELETE FROM recovery_codes WHERE user_id = $1", user_id)
    await connection.execute(
        "INSERT INTO recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])",
        user_id,
        list(codes),
    )
