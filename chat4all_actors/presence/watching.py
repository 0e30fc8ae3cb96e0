"""Who watches whose presence, and what they have been shown.

A session is shown the presence of users who share a conversation with its user, and of nobody
else: those look like users who never were there. A private conversation is known from its id, the
members of a group from one query for each database; either is kept with the watch until one of
the two leaves a conversation of both.

All sessions of a node are shown the same of a user: what is more at once, what is less only when
it has lasted (a phone that changes from one network to another is not gone). The newest counts:
a session that is behind is shown it when it has caught up.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Literal, NoReturn, Protocol, TypeAlias

import trio
from msgspec import Struct, field

from chat4all_protocol.frames import Presence
from chat4all_protocol.ids import private_conversation_id

from ..fanout import CHECKPOINT_EVERY
from ..limits.gcra import RateLimiter
from ..wire import framed
from .acquaintances import acquaintances_of
from .roster import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from chat4all_storage.ports.shard import ShardStore

    from ..config import Settings
    from .last_seen import LastSeen
    from .roster import Roster

LOOKUPS: Final = 4
"""Watches whose acquaintances are asked for at the same time."""
LOOKUP_AGAIN: Final = 5.0
"""Seconds until a database is asked again that did not answer."""
LOOKUPS_PER_MINUTE: Final = 60
LOOKUP_BURST: Final = 20


class Watcher(Protocol):
    """A session, as it watches."""

    @property
    def user(self) -> str:
        """The name of its user."""
        ...

    @property
    def conversations(self) -> Collection[str]:
        """Those that it has entered, and perhaps left since."""
        ...

    def deliver_presence(self, data: bytes) -> bool:
        """Frames of presences; False if they must wait, since it is behind."""
        ...


class Shown(Struct, frozen=True, gc=False):
    """A user's presence, as others see it."""

    status: Status
    last_seen: int | None = None


_NOWHERE: Final = Shown(Status.OFFLINE)
StatusName: TypeAlias = Literal["online", "away", "offline"]
STATUS_NAMES: Final[dict[Status, StatusName]] = {
    Status.OFFLINE: "offline",
    Status.AWAY: "away",
    Status.ONLINE: "online",
}


class TooManyWatched(Exception):
    """The sessions of this node watch as many users as they may."""


class _Watch(Struct, eq=False):
    watcher: Watcher
    users: dict[str, bool | None]
    """Whether each is an acquaintance; None: not known (any more)."""
    owed: dict[str, None] = field(default_factory=dict)
    """Those whose presence could not be shown."""


class _Watched(Struct, eq=False):
    shown: Shown
    watches: dict[_Watch, None] = field(default_factory=dict)
    due: float | None = None
    """When less may be shown than was."""


class Watching:
    """The watches of one node's sessions."""

    def __init__(
        self,
        settings: Settings,
        roster: Roster,
        last_seen: LastSeen,
        stores: Sequence[ShardStore],
        *,
        wake: Callable[[], None],
    ) -> None:
        """`wake`: there is something for `settle` to do."""
        self._settings = settings
        self._roster = roster
        self._last_seen = last_seen
        self._stores = stores
        self._wake = wake
        self._watches: dict[Watcher, _Watch] = {}
        self._watched: dict[str, _Watched] = {}
        self._size = 0
        self._touched: dict[str, None] = {}
        self._damped: deque[tuple[float, str]] = deque()
        self._owing: dict[_Watch, None] = {}
        self._unknown: dict[_Watch, None] = {}
        """Those with users about whom the stores are to be asked."""
        self._unknown_later: dict[_Watch, float] = {}
        self.heard: Callable[[Sequence[str]], None] = lambda users: None
        """Is told of all users whose presence may have changed."""
        self._lookups = RateLimiter(LOOKUPS_PER_MINUTE, LOOKUP_BURST)
        self._asked = trio.Event()

    def __len__(self) -> int:
        return self._size

    # --- for sessions -------------------------------------------------------------------------

    def watch(self, watcher: Watcher, users: Iterable[str]) -> None:
        """Show these users to `watcher`, now and on each change, in place of all others.

        Raises:
            TooManyWatched: nothing has changed.
        """
        wanted = dict.fromkeys(users)
        former = self._watches.get(watcher)
        size = self._size + len(wanted) - (len(former.users) if former is not None else 0)
        if size > self._settings.max_watched:
            raise TooManyWatched
        known = former.users if former is not None else {}
        self.forget(watcher)
        if not wanted:
            return
        self._size = size
        entered = set(watcher.conversations)
        watch = _Watch(watcher, {})
        for user in wanted:
            acquainted = (
                known.get(user)
                or user == watcher.user
                or private_conversation_id(watcher.user, user) in entered
            )
            watch.users[user] = True if acquainted else None
            if acquainted:
                self._subscribe(watch, user)
        self._watches[watcher] = watch
        self._show(watch, [user for user, acquainted in watch.users.items() if acquainted])
        self._ask(watch)

    def forget(self, watcher: Watcher) -> None:
        """`watcher` watches nobody."""
        watch = self._watches.pop(watcher, None)
        if watch is None:
            return
        self._size -= len(watch.users)
        for user, acquainted in watch.users.items():
            if acquainted:
                self._unsubscribe(watch, user)
        watch.users = {}
        self._owing.pop(watch, None)
        self._unknown.pop(watch, None)
        self._unknown_later.pop(watch, None)

    def met(self, watcher: Watcher, users: Iterable[str]) -> None:
        """The watcher's user shares a conversation with these."""
        watch = self._watches.get(watcher)
        if watch is None:
            return
        new = [user for user in users if watch.users.get(user, True) is not True]
        for user in new:
            watch.users[user] = True
            self._subscribe(watch, user)
        self._show(watch, new)

    def parted(self, watcher: Watcher, user: str | None = None) -> None:
        """The watcher's user and this one (None: anybody) share one conversation less.

        Nothing is shown until it is known whether there is another.
        """
        watch = self._watches.get(watcher)
        if watch is None:
            return
        for name in list(watch.users) if user is None else [user]:
            if watch.users.get(name) and name != watcher.user:
                watch.users[name] = None
                self._unsubscribe(watch, name)
        self._ask(watch)

    # --- what is shown ------------------------------------------------------------------------

    def touch(self, users: Iterable[str]) -> bool:
        """The presence of these may have changed: whether any of them is watched."""
        self.heard(users := list(users))
        touched = [user for user in users if user in self._watched]
        self._touched.update(dict.fromkeys(touched))
        return bool(touched)

    def visible(self, user: str) -> Shown:
        """What acquaintances may see of the user at this moment."""
        standing = self._roster.standing(user)
        if standing.invisible:
            return _NOWHERE
        if standing.status is not Status.OFFLINE:
            return Shown(standing.status)
        return Shown(Status.OFFLINE, self._last_seen.of(user))

    @property
    def busy(self) -> bool:
        """Whether `settle` has anything to do, now or later."""
        return bool(self._touched or self._damped or self._owing or self._unknown_later)

    async def settle(self) -> None:
        """Show what has changed, what has lasted, and what could not be shown before."""
        now = trio.current_time()
        touched, self._touched = self._touched, {}
        for user in touched:
            if (watched := self._watched.get(user)) is not None:
                await self._consider(user, watched, now)
        while self._damped and self._damped[0][0] <= now:
            due, user = self._damped.popleft()
            watched = self._watched.get(user)
            if watched is not None and watched.due == due:
                await self._change(user, watched, self.visible(user))
        for watch in list(self._owing):
            owed, watch.owed = list(watch.owed), {}
            del self._owing[watch]
            self._show(watch, owed)
        for watch in [watch for watch, due in self._unknown_later.items() if due <= now]:
            del self._unknown_later[watch]
            self._ask(watch)

    async def _consider(self, user: str, watched: _Watched, now: float) -> None:
        shown = self.visible(user)
        # An own wish to be seen no more is no flap.
        fell = shown.status < watched.shown.status and not self._roster.standing(user).invisible
        if not fell:
            await self._change(user, watched, shown)
        elif watched.due is None:
            watched.due = now + self._settings.presence_damping
            self._damped.append((watched.due, user))

    async def _change(self, user: str, watched: _Watched, shown: Shown) -> None:
        watched.due = None
        if shown == watched.shown:
            return
        watched.shown = shown
        data = _frame(user, shown)
        for count, watch in enumerate(list(watched.watches), 1):
            # Who has been forgotten meanwhile, or was shown more since, is left alone.
            if watch in watched.watches and watched.shown is shown:
                self._deliver(watch, [user], data)
            if not count % CHECKPOINT_EVERY:
                await trio.lowlevel.checkpoint()

    def _show(self, watch: _Watch, users: Collection[str]) -> None:
        """Show each of these as it is shown to others, and strangers as nobody."""
        if users:
            data = [
                _frame(user, self._watched[user].shown if watch.users.get(user) else _NOWHERE)
                for user in users
            ]
            self._deliver(watch, users, b"".join(data))

    def _deliver(self, watch: _Watch, users: Iterable[str], data: bytes) -> None:
        if not watch.watcher.deliver_presence(data):
            watch.owed.update(dict.fromkeys(users))
            self._owing[watch] = None
            self._wake()

    def _subscribe(self, watch: _Watch, user: str) -> None:
        watched = self._watched.get(user)
        if watched is None:
            watched = self._watched[user] = _Watched(self.visible(user))
        watched.watches[watch] = None

    def _unsubscribe(self, watch: _Watch, user: str) -> None:
        watched = self._watched[user]
        del watched.watches[watch]
        watch.owed.pop(user, None)
        if not watched.watches:
            del self._watched[user]

    # --- acquaintances ------------------------------------------------------------------------

    def _ask(self, watch: _Watch) -> None:
        """Have the stores asked about everything that memory does not tell."""
        if not (None in watch.users.values() or self._never_seen(watch)):
            return
        wait = self._lookups.take(watch.watcher.user)
        if wait:
            self._ask_later(watch, wait)
        else:
            self._unknown[watch] = None
            self._asked.set()

    def _ask_later(self, watch: _Watch, wait: float) -> None:
        self._unknown_later.setdefault(watch, trio.current_time() + wait)
        self._wake()

    def _never_seen(self, watch: _Watch) -> list[str]:
        """Acquaintances who are not there, of whom the directory may know when they were."""
        absent = [
            user
            for user, acquainted in watch.users.items()
            if acquainted and self._watched[user].shown == _NOWHERE
        ]
        return self._last_seen.unknown(absent)

    async def run(self) -> NoReturn:
        """Find out who is acquainted, until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(LOOKUPS):
                nursery.start_soon(self._keep_looking_up)
        raise AssertionError("only a cancel or a fault ends the nursery")

    async def _keep_looking_up(self) -> None:
        while True:
            while not self._unknown:
                self._asked = trio.Event()
                await self._asked.wait()
            watch = next(iter(self._unknown))
            del self._unknown[watch]
            await self._look_up(watch)

    async def _look_up(self, watch: _Watch) -> None:
        asked = [user for user, acquainted in watch.users.items() if acquainted is None]
        found: set[str] = set()
        failed = False
        if asked:
            found, failed = await acquaintances_of(self._stores, watch.watcher.user, asked)
        missing = self._never_seen(watch) + self._last_seen.unknown(found)
        if missing:
            await self._last_seen.look_up(missing)
            if self.touch(missing):
                self._wake()
        # They may have met, or the watch been replaced, meanwhile.
        asked = [user for user in asked if watch.users.get(user, True) is None]
        for user in asked:
            if user in found:
                watch.users[user] = True
                self._subscribe(watch, user)
            elif not failed:
                watch.users[user] = False
        self._show(watch, asked)
        if failed and asked:
            self._ask_later(watch, LOOKUP_AGAIN)


def _frame(user: str, shown: Shown) -> bytes:
    status = STATUS_NAMES[shown.status]
    return framed(Presence(user=user, status=status, last_seen=shown.last_seen))
