"""Whether users are there: what this node's sessions do, what other nodes tell, who is to know.

It keeps the roster: sessions arrive (`arrivals.py`) and leave, other nodes tell theirs and are
told ours, those who join at once (events are routed by it), everything else in batches. What has
changed is shown to who watches (`watching.py`), and when users were last there is kept
(`last_seen.py`).

Everything between nodes is best effort: who missed something asks for the other's snapshot, and
asks again until it has come whole (`neighbours.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Protocol

import trio
from msgspec import Struct

from chat4all_storage.ports.errors import InDoubt, StorageError

from ..webhooks.events import Presence
from .acquaintances import acquaintances_of
from .arrivals import Arriving
from .carrier import RosterChanges, RosterWanted
from .last_seen import LastSeen
from .neighbours import Neighbours
from .roster import Status
from .watching import STATUS_NAMES, Shown, StatusName, Watcher, Watching

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from chat4all_storage.ports.directory import Arrivals
    from chat4all_storage.storage import Storage

    from ..config import Settings
    from ..fanout import LocalReaders
    from .carrier import Carrier, RosterSnapshot, UserState
    from .roster import Overtaken, Roster


class Attendant(Watcher, Protocol):
    """A session, as it is present itself."""

    birth: int
    """Given when it arrives; tells it from other sessions of its device."""

    @property
    def device(self) -> str:
        """The device it is on."""
        ...

    @property
    def over(self) -> bool:
        """Whether it is closing."""
        ...


class UserPresence(Struct, frozen=True):
    """What one user may know of another."""

    user: str
    status: StatusName
    last_seen: int | None
    """In milliseconds since the epoch, of somebody who is not there."""
    devices: int


class PresenceStatistics(Struct, frozen=True):
    """A snapshot of the presence of a node."""

    users: int
    """With sessions on this node."""
    users_elsewhere: int
    nodes: int
    """Other nodes that have told anything."""
    incomplete: int
    """Those whose snapshot is awaited."""
    watched: int
    """Watched users, once for each session that watches them."""
    last_seen: int
    """Users of whom it is in memory when they were last there."""


class Presences:
    """The presence of all users, on one node."""

    def __init__(
        self,
        *,
        settings: Settings,
        storage: Storage,
        roster: Roster,
        local: LocalReaders,
        carrier: Carrier,
        clock: Callable[[], float],
    ) -> None:
        """`clock` tells the seconds since the epoch."""
        self._settings = settings
        self._directory = storage.directory
        self._stores = storage.shards.all
        self._roster = roster
        self._local = local
        self._carrier = carrier
        self._clock = clock
        self._arriving = Arriving(storage.directory)
        self._last_seen = LastSeen(storage.directory, settings.last_seen_kept)
        self.watching = Watching(settings, roster, self._last_seen, self._stores, wake=self._wake)
        self._neighbours = Neighbours()
        self._stirred = trio.Event()
        self._hurried = trio.Event()

    # --- for sessions -------------------------------------------------------------------------

    async def arrive(self, session: Attendant, *, away: bool) -> None:
        """The session is there, and other nodes are told; nothing happens if it is over already.

        While the directory does not answer, this node's clock dates the session, and the user
        looks invisible until the directory has told.
        """
        arrivals = await self._arriving.of(session.user)
        if session.over:
            return
        session.birth = self._roster.arrive(
            session.user,
            session.device,
            arrivals.read_at or int(self._clock() * 1_000_000),
            away=away,
            invisible=session.user in arrivals.invisible,
            read_at=arrivals.read_at,
        )
        self._changed(session.user)

    def turn(self, session: Attendant, *, away: bool) -> None:
        """Whether nobody is in front of the session."""
        if self._roster.set_away(session.user, session.device, session.birth, away):
            self.watching.touch([session.user])
            if away:
                self._wake()
            else:
                self._hurry()

    async def set_invisible(self, session: Attendant, invisible: bool) -> None:
        """Let others see, or see no more, whether the session's user is there: on any device.

        Raises:
            InDoubt: it may have been set.
            StorageError: the directory failed.
        """
        await self._directory.set_invisible(session.user, invisible)
        # Read back: of two changes at the same time the one that holds is told, by both.
        try:
            arrivals = await self._arriving.ask(session.user)
        except StorageError as error:
            raise InDoubt("the setting is kept, and could not be told") from error
        hidden = session.user in arrivals.invisible
        self._roster.set_invisible(session.user, hidden, arrivals.read_at)
        if hidden:
            self._last_seen.forget(session.user)
        self._changed(session.user)

    def leave(self, session: Attendant) -> None:
        """The session is over."""
        self.watching.forget(session)
        before = self._roster.standing(session.user)
        self._roster.leave(session.user, session.device, session.birth)
        gone = before.devices and not self._roster.standing(session.user).devices
        if gone and not before.invisible:
            self._last_seen.note(session.user, self._now_ms(), write=True)
        self.watching.touch([session.user])
        self._wake()

    def watch(self, session: Attendant, users: Iterable[str]) -> None:
        """See `Watching.watch`."""
        self.watching.watch(session, users)

    # --- for requests from elsewhere ----------------------------------------------------------

    async def of(self, viewer: str, users: Collection[str]) -> list[UserPresence]:
        """What `viewer` may know of these; nobody is told apart from who is no acquaintance.

        A database that does not answer has no acquaintances.
        """
        others = [user for user in users if user != viewer]
        found, _ = await acquaintances_of(self._stores, viewer, others)
        found.add(viewer)
        missing = self._last_seen.unknown([user for user in users if user in found])
        if missing:
            await self._last_seen.look_up(missing)
        presences: list[UserPresence] = []
        for user in users:
            shown = self.watching.visible(user) if user in found else Shown(Status.OFFLINE)
            there = shown.status is not Status.OFFLINE
            devices = self._roster.standing(user).devices if there else 0
            presences.append(
                UserPresence(user, STATUS_NAMES[shown.status], shown.last_seen, devices)
            )
        return presences

    # --- for webhooks: see `WhoIsThere` there -------------------------------------------------

    def listen(self, heard: Callable[[Iterable[str]], None]) -> None:
        """Have `heard`, and nobody else, called when the presence of users may have changed."""
        self.watching.heard = heard

    def shown(self, user: str) -> Presence:
        """What others may see of a user now."""
        shown = self.watching.visible(user)
        return Presence(STATUS_NAMES[shown.status], shown.last_seen)

    async def acquaintances(self, user: str, others: Collection[str]) -> set[str]:
        """Those of others who share a conversation with the user; of what can't be read, none."""
        found, _ = await acquaintances_of(self._stores, user, others)
        return found

    # --- for the cluster: what other nodes tell, and how they come and go ---------------------

    def changed(self, node: str, item: RosterChanges) -> None:
        """A node told changes."""
        if not self._neighbours.has_left(node):
            self._end(self._roster.apply(node, item.users))
            self._note_states(item.users)

    def snapshot_from(self, node: str, part: RosterSnapshot) -> bool:
        """A node told a part of all it has; whether all is known now: the last, and none lost."""
        if self._neighbours.has_left(node):
            return False
        told = self._roster.apply_snapshot(node, part)
        if told.whole:
            self._neighbours.whole(node)
        self._end(told.overtaken)
        self._note_states(part.users)
        self._note_gone(told.gone, self._now_ms())
        return told.whole

    def wanted(self, node: str) -> None:
        """A node lacks our snapshot."""
        self._neighbours.owe(node, self._roster.snapshot())

    def node_joined(self, node: str) -> None:
        """A node is there, perhaps again: it is told all we have, and does the same."""
        self._neighbours.joined(node)
        self.wanted(node)
        self._wake()

    def node_lost(self, node: str) -> None:
        """A node died: its users are expected back, and meanwhile look as if they were there."""
        self._neighbours.lost(node, self._now_ms(), expiry=self._settings.presence_expiry)
        self._roster.lose(node)
        self._wake()

    def node_left(self, node: str) -> None:
        """A node ended as it should: it has told who left it, and nothing it told counts now."""
        self._neighbours.left(node)
        self._note_gone(self._roster.drop(node) | self._roster.bury(node), self._now_ms())

    def missed(self, node: str) -> None:
        """Something that a node told was lost."""
        self._roster.missed(node)
        self._last_seen.doubt()
        if self._neighbours.missed(node, wait=self._settings.presence_interval):
            self._wake()

    def shaken(self) -> None:
        """Anything may have been lost, on either way."""
        for node in self._neighbours.there:
            self.missed(node)

    def _end(self, overtaken: list[Overtaken]) -> None:
        for user, device, birth in overtaken:
            for reader in self._local.of(user):
                if reader.device == device and reader.birth == birth:
                    reader.replaced()

    def _note_states(self, states: list[UserState]) -> None:
        for state in states:
            if state.invisible:
                self._last_seen.forget(state.user)
            elif not state.devices and not self._roster.standing(state.user).devices:
                self._last_seen.note(state.user, self._now_ms(), write=False)
        # It may be for this node to answer, as it has a later session or setting of the user.
        if self.watching.touch([state.user for state in states]) or self._roster.has_untold:
            self._hurry()

    def _note_gone(self, users: dict[str, bool], at: int, *, write: bool = False) -> None:
        """These, of whom some are invisible, are not on a node any more since `at`."""
        for user, invisible in users.items():
            if not invisible and not self._roster.standing(user).devices:
                self._last_seen.note(user, at, write=write)
        if self.watching.touch(users):
            self._hurry()

    def statistics(self) -> PresenceStatistics:
        """How much there is."""
        roster = self._roster.statistics()
        return PresenceStatistics(
            users=roster.here,
            users_elsewhere=roster.elsewhere,
            nodes=roster.nodes,
            incomplete=self._neighbours.incomplete,
            watched=len(self.watching),
            last_seen=len(self._last_seen),
        )

    # --- the task -----------------------------------------------------------------------------

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Tell other nodes and show what changed, until cancelled."""
        await self._last_seen.load()
        # If this part of the node was restarted, the others know of sessions that are gone.
        for part in self._roster.snapshot():
            self._carrier.broadcast(part)
        self._carrier.broadcast(RosterWanted())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._last_seen.run)
            nursery.start_soon(self.watching.run)
            nursery.start_soon(self._keep_telling)
            nursery.start_soon(self._arriving.run, self._hear_of)
            nursery.start_soon(self._neighbours.run, self._carrier)
            task_status.started()
        raise AssertionError("only a cancel or a fault ends the nursery")

    def _hear_of(self, user: str, arrivals: Arrivals) -> None:
        """The directory tells what it could not when the user arrived."""
        self._roster.set_invisible(user, user in arrivals.invisible, arrivals.read_at)
        self._changed(user)

    async def _keep_telling(self) -> NoReturn:
        while True:
            self._stirred, self._hurried = trio.Event(), trio.Event()
            while states := self._roster.take_untold():
                self._carrier.broadcast(RosterChanges(states))
            await self.watching.settle()
            self._look_after_nodes(trio.current_time())
            with trio.move_on_after(self._settings.presence_interval):
                await self._hurried.wait()
            if not (self._neighbours.busy or self.watching.busy):
                await self._stirred.wait()

    def _look_after_nodes(self, now: float) -> None:
        neighbours = self._neighbours
        for node in neighbours.to_ask(now):
            self._carrier.send(node, RosterWanted())
        for node, lost_at in neighbours.expired(now):
            # It can't write when its users were there last; one of those who know does.
            write = all(self._roster.node < other for other in neighbours.there)
            self._note_gone(self._roster.bury(node), lost_at, write=write)

    def _changed(self, user: str) -> None:
        self.watching.touch([user])
        self._hurry()

    def _wake(self) -> None:
        """There is something to do, within the interval."""
        self._stirred.set()

    def _hurry(self) -> None:
        """There is something to do at once."""
        self._stirred.set()
        self._hurried.set()

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
