"""Logins in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec import Struct
from msgspec.structs import replace

from ..ports.audit import user_subject
from ..ports.logins import ENDED_OVERLAP_MS, REVOCATION_LIFETIME, EndedLogin, Login
from .profiles import user_by_id

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..ports.audit import Act, Actor
    from ..ports.directory import User
    from ..ports.logins import NewLogin
    from .directory import MemoryDirectory


class _Row(Struct):
    """One login."""

    login: Login
    """`rotated_ago` and `alive` are worked out when it is read."""
    rotated_at: int | None = None
    ended: bool = False


class MemoryLogins:
    """See `Logins`."""

    def __init__(self, directory: MemoryDirectory) -> None:
        self._directory = directory
        self._rows: dict[str, _Row] = {}
        self._ended: dict[str, EndedLogin] = {}
        directory.user_revoked.append(lambda user: self.end_now(user.id))

    def _user(self, user_id: str) -> User | None:
        return user_by_id(self._directory, user_id)

    def _view(self, row: _Row) -> Login:
        now = self._directory.clock_ms()
        ago = None if row.rotated_at is None else (now - row.rotated_at) / 1000
        return replace(
            row.login, rotated_ago=ago, alive=not row.ended and row.login.expires_at > now
        )

    def _alive(self, user_id: str) -> list[Login]:
        found = [self._view(row) for row in self._rows.values() if row.login.user_id == user_id]
        found = [login for login in found if login.alive]
        return sorted(found, key=lambda login: (-login.last_used_at, login.id))

    def end_now(
        self, user_id: str, *, only: Collection[str] | None = None, keep: str | None = None
    ) -> list[EndedLogin]:
        """End logins at once."""
        done: list[EndedLogin] = []
        for id_, row in self._rows.items():
            if row.login.user_id != user_id or row.ended or id_ == keep:
                continue
            if only is None or id_ in only:
                row.ended = True
                ended = EndedLogin(id_, row.login.username, self._directory.clock_ms())
                self._ended[id_] = ended
                done.append(ended)
        return done

    def forget(self, user_id: str) -> None:
        """Remove everything of a user who is gone."""
        self._rows = {id_: row for id_, row in self._rows.items() if row.login.user_id != user_id}

    async def open(
        self, login: NewLogin, password_hash: bytes, most: int, actor: Actor
    ) -> list[EndedLogin] | None:
        """See `Logins.open`."""
        await trio.lowlevel.checkpoint()
        user = self._user(login.user_id)
        if user is None or user.password_hash != password_hash:
            return None
        beyond = self._alive(user.id)[most - 1 :]
        now = self._directory.clock_ms()
        self._rows[login.id] = _Row(
            Login(
                id=login.id,
                user_id=user.id,
                username=user.username,
                device=login.device,
                address=login.address,
                user_agent=login.user_agent,
                created_at=now,
                last_used_at=now,
                expires_at=now + int(login.lifetime * 1000),
                salt=login.salt,
                generation=1,
                token_hash=login.token_hash,
                previous_hash=None,
                rotated_ago=None,
                alive=True,
            )
        )
        self._directory.audit.tell("login.opened", user_subject(user.id), actor, login=login.id)
        return self.end_now(user.id, only=[each.id for each in beyond])

    async def find(self, login: str) -> Login | None:
        """See `Logins.find`."""
        await trio.lowlevel.checkpoint()
        row = self._rows.get(login)
        return None if row is None else self._view(row)

    async def rotate(
        self, login: str, token_hash: bytes, successor: bytes, lifetime: float, actor: Actor
    ) -> bool:
        """See `Logins.rotate`."""
        await trio.lowlevel.checkpoint()
        row = self._rows.get(login)
        if row is None or not self._view(row).alive or row.login.token_hash != token_hash:
            return False
        now = self._directory.clock_ms()
        row.rotated_at = now
        row.login = replace(
            row.login,
            previous_hash=token_hash,
            token_hash=successor,
            generation=row.login.generation + 1,
            last_used_at=now,
            expires_at=now + int(lifetime * 1000),
        )
        subject = user_subject(row.login.user_id)
        self._directory.audit.tell("token.refreshed", subject, actor, login=login)
        return True

    async def of(self, user_id: str) -> list[Login]:
        """See `Logins.of`."""
        await trio.lowlevel.checkpoint()
        return self._alive(user_id)

    async def end(
        self,
        user_id: str,
        why: str,
        actor: Actor,
        *,
        only: str | None = None,
        keep: str | None = None,
        act: Act = "login.ended",
    ) -> list[EndedLogin]:
        """See `Logins.end`."""
        await trio.lowlevel.checkpoint()
        ended = self.end_now(user_id, only=None if only is None else [only], keep=keep)
        for each in ended:
            self._directory.audit.tell(act, user_subject(user_id), actor, login=each.login, why=why)
        return ended

    async def ended(self, since: int) -> list[EndedLogin]:
        """See `Logins.ended`."""
        await trio.lowlevel.checkpoint()
        return [each for each in self._ended.values() if each.at > since - ENDED_OVERLAP_MS]

    async def trim(self, keep: float) -> int:
        """See `Logins.trim`."""
        await trio.lowlevel.checkpoint()
        now = self._directory.clock_ms()
        oldest = now - REVOCATION_LIFETIME * 1000
        self._ended = {id_: each for id_, each in self._ended.items() if each.at >= oldest}
        kept = {
            id_: row for id_, row in self._rows.items() if row.login.expires_at >= now - keep * 1000
        }
        removed, self._rows = len(self._rows) - len(kept), kept
        return removed
