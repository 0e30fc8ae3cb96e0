"""The directory in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ..ports.audit import SHELL, Actor, user_subject
from ..ports.directory import Arrivals, Notice, User
from ..ports.errors import UsernameTaken
from .audit import MemoryAudit
from .log import wall_clock_ms
from .webhooks import MemoryWebhooks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence


class MemoryDirectory:
    """A `Directory` in memory."""

    def __init__(
        self, placed: Sequence[str] = (), *, clock_ms: Callable[[], int] = wall_clock_ms
    ) -> None:
        self.placed = list(placed)
        """What `placement` answers."""
        self.users: dict[str, User] = {}
        self.reserved: set[str] = set()
        """Names of users who are being erased, in lower case."""
        """By name in lower case."""
        self.emails: dict[str, str | None] = {}
        """By the user's id."""
        self.created_at: dict[str, int] = {}
        """Likewise."""
        self.audit = MemoryAudit(clock_ms)
        self.webhooks = MemoryWebhooks(self.audit, clock_ms)
        self.clock_ms = clock_ms
        self.user_revoked: list[Callable[[User], object]] = []
        """What else is done for a user whose tokens are revoked."""
        self._notices: list[tuple[int, Notice]] = []
        """When each was written, and the notice."""
        self._notice_ids = 0
        self.valid_from: dict[str, int] = {}
        """Since when tokens of these names count, in seconds since the epoch."""
        self._invisible: set[str] = set()
        self._seen: dict[str, int] = {}
        self._read_at = 0

    async def add_user(self, user: User, *, email: str | None = None, actor: Actor = SHELL) -> None:
        """See `Directory.add_user`."""
        await trio.lowlevel.checkpoint()
        if user.username.lower() in self.users or user.username.lower() in self.reserved:
            raise UsernameTaken(user.username)
        self.users[user.username.lower()] = user
        self.emails[user.id] = email
        self.created_at[user.id] = self.clock_ms()
        self.audit.tell("user.added", user_subject(user.id), actor)

    async def find_user(self, username: str) -> User | None:
        """See `Directory.find_user`."""
        await trio.lowlevel.checkpoint()
        return self.users.get(username.lower())

    async def canonical_names(self, usernames: Collection[str]) -> dict[str, str]:
        """See `Directory.canonical_names`."""
        await trio.lowlevel.checkpoint()
        return {
            name: user.username
            for name in usernames
            if (user := self.users.get(name.lower())) is not None
        }

    async def arrivals(self, usernames: Collection[str]) -> Arrivals:
        """See `Directory.arrivals`."""
        await trio.lowlevel.checkpoint()
        self._read_at = max(self._read_at + 1, self.clock_ms() * 1000)
        invisible = frozenset(name for name in usernames if name in self._invisible)
        return Arrivals(self._read_at, invisible)

    async def set_invisible(self, username: str, invisible: bool) -> None:
        """See `Directory.set_invisible`."""
        await trio.lowlevel.checkpoint()
        if not invisible:
            self._invisible.discard(username)
        elif username.lower() in self.users:
            self._invisible.add(username)

    async def note_seen(self, seen: Mapping[str, int]) -> None:
        """See `Directory.note_seen`."""
        await trio.lowlevel.checkpoint()
        for name, at in seen.items():
            if name.lower() in self.users:
                self._seen[name] = max(self._seen.get(name, at), at)

    async def last_seen(self, usernames: Collection[str]) -> dict[str, int]:
        """See `Directory.last_seen`."""
        await trio.lowlevel.checkpoint()
        return {name: at for name, at in self._visibly_seen() if name in usernames}

    async def seen_lately(self, limit: int) -> dict[str, int]:
        """See `Directory.seen_lately`."""
        await trio.lowlevel.checkpoint()
        latest = sorted(self._visibly_seen(), key=lambda one: -one[1])
        return dict(latest[:limit])

    def _visibly_seen(self) -> list[tuple[str, int]]:
        return [one for one in self._seen.items() if one[0] not in self._invisible]

    async def notify(self, body: bytes) -> None:
        """See `Directory.notify`."""
        await trio.lowlevel.checkpoint()
        self._notice_ids += 1
        self._notices.append((self.clock_ms(), Notice(self._notice_ids, body)))

    async def notices_end(self) -> int:
        """See `Directory.notices_end`."""
        await trio.lowlevel.checkpoint()
        return self._notice_ids

    async def notices(self, after: int, missing: Collection[int], *, limit: int) -> list[Notice]:
        """See `Directory.notices`."""
        await trio.lowlevel.checkpoint()
        found = [row for _, row in self._notices if row.id > after or row.id in missing]
        return found[:limit]

    async def trim_notices(self, keep: float) -> int:
        """See `Directory.trim_notices`."""
        await trio.lowlevel.checkpoint()
        before = self.clock_ms() - keep * 1000
        kept = [(at, row) for at, row in self._notices if at >= before]
        removed, self._notices = len(self._notices) - len(kept), kept
        return removed

    async def revoke(self, username: str, *, actor: Actor = SHELL) -> tuple[str, int] | None:
        """See `Directory.revoke`."""
        await trio.lowlevel.checkpoint()
        user = self.users.get(username.lower())
        if user is None:
            return None
        self.revoke_name(user.username)
        for also in self.user_revoked:
            also(user)
        self.audit.tell("user.revoked", user_subject(user.id), actor)
        return user.username, self.valid_from[user.username]

    def remove_user(self, user: User) -> None:
        """Forget a user; tokens of the name count only from the next second on."""
        self.revoke_name(user.username)
        del self.users[user.username.lower()]
        del self.emails[user.id]
        del self.created_at[user.id]
        self._invisible.discard(user.username)
        self._seen.pop(user.username, None)

    def revoke_name(self, name: str) -> None:
        """Tokens of this name count only from the next second on."""
        self.valid_from[name] = self.clock_ms() // 1000 + 1

    async def revocations(self, since: int) -> dict[str, int]:
        """See `Directory.revocations`."""
        await trio.lowlevel.checkpoint()
        return {name: at for name, at in self.valid_from.items() if at > since}

    async def placement(self) -> list[str]:
        """See `Directory.placement`."""
        await trio.lowlevel.checkpoint()
        return list(self.placed)
