"""A desk over memory stores, on a test's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyotp
import trio

from chat4all_actors.accounts.desk import Desk
from chat4all_actors.accounts.logins import Device
from chat4all_actors.config import Settings
from chat4all_storage.ports.audit import Actor, user_subject
from chat4all_storage.storage import Storage, memory_storage

if TYPE_CHECKING:
    from chat4all_actors.accounts.logins import Grant
    from chat4all_storage.ports.directory import User
    from chat4all_storage.ports.logins import EndedLogin

KEY = "a key that only tests use, of 32 bytes and more"
EPOCH = 1_700_000_000.0
PASSWORD = "a password"
ACTOR = Actor("anonymous", "192.0.2.7", b"t" * 16)
DEVICE = Device("phone", "an agent/1.0")


def now() -> float:
    """Seconds since the epoch."""
    return EPOCH + trio.current_time()


class Place:
    """A desk, and what it has told and asked."""

    def __init__(self, storage: Storage | None = None, **settings: object) -> None:
        self.storage = storage or memory_storage(clock_ms=lambda: int(now() * 1000))
        self.ended: list[EndedLogin] = []
        self.counted: list[tuple[str, str]] = []
        self.wait = 0.0
        """What the rate limits say."""
        chosen = Settings(**({"bcrypt_cost": 4} | settings))  # type: ignore[arg-type]
        self.desk = Desk(
            chosen,
            self.storage,
            key=KEY,
            clock=now,
            throttle=self._throttle,
            ended=self.ended.extend,
        )

    def _throttle(self, limit: str, key: str) -> float:
        self.counted.append((limit, key))
        return self.wait

    async def user(self, name: str = "ana") -> User:
        return await self.desk.accounts.add(name, PASSWORD)

    async def login(
        self, name: str = "ana", password: str = PASSWORD, code: str | None = None
    ) -> Grant:
        return await self.desk.logins.login(name, password, code, DEVICE, ACTOR)

    async def refresh(self, grant: Grant) -> Grant:
        assert grant.refresh_token is not None
        return await self.desk.logins.refresh(grant.refresh_token, ACTOR)

    def login_of(self, grant: Grant) -> str:
        login = self.desk.tokens.verify(grant.access_token).login
        assert login is not None
        return login

    async def acts(self, subject: str | None) -> list[str]:
        """What the audit log tells, in order."""
        found = await self.storage.accounts.audit.entries(subject)
        return [entry.act for entry in reversed(found)]

    async def acts_of(self, user: User) -> list[str]:
        return await self.acts(user_subject(user.id))


def code_of(secret: str) -> str:
    """What an authenticator shows now."""
    return pyotp.TOTP(secret).at(int(now()))
