"""Who is connected where: the devices of this node's users, and the users of the other nodes.

A node keeps the devices of its own sessions (some 190 bytes each), tells the other nodes what
changed, and remembers of them only what it needs: on which nodes a user is, how many devices it
has there and whether somebody is in front of one. A user of another node costs two entries of a
dict and its name (some 140 bytes); its devices are looked at when they are told, and not kept.

What is told of a user is its whole state on the teller's node, so it may be told again and needs
no order but that of one teller. Two nodes that both have a session of the same device settle it
between themselves: the later birth wins, and who has the later one tells it again.

Nothing here waits, sends or knows the time.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from .carrier import RosterSnapshot, UserState
from .whereabouts import Whereabouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK: Final = 500
"""Users of one item, at most: some 30 KB."""
_MAX_DEVICES: Final = 63
"""A greater number is remembered as this: a record stays one of Python's shared small integers."""
_ACTIVE: Final = 1
_INVISIBLE: Final = 2
_DEVICES_SHIFT: Final = 2


class Status(IntEnum):
    """Whether a user is there: greater is more so."""

    OFFLINE = 0
    AWAY = 1
    ONLINE = 2


class Overtaken(NamedTuple):
    """A session of this node whose device has connected to another node later."""

    user: str
    device: str
    birth: int


class Told(NamedTuple):
    """What came of a part of a snapshot."""

    overtaken: list[Overtaken]
    gone: dict[str, bool]
    """Users who are not there any more though no state says so; whether invisible."""
    whole: bool
    """It was the last part, and none was missed."""


class Standing(Struct, frozen=True, gc=False):
    """A user, over all nodes."""

    status: Status
    devices: int
    invisible: bool


class RosterStatistics(Struct, frozen=True):
    """A snapshot of a roster."""

    here: int
    """Users of this node."""
    elsewhere: int
    """Users of other nodes."""
    nodes: int
    """Other nodes."""
    untold: int
    """Users of this node whose change the others have not been told."""


class _Device(Struct, gc=False):
    name: str
    birth: int
    away: bool


class _Here(Struct):
    """A user of this node; without devices until that has been told."""

    devices: tuple[_Device, ...]
    """Nearly always one: a dict would take 130 bytes more."""
    invisible: bool
    read_at: int

    @property
    def active(self) -> bool:
        return not all(device.away for device in self.devices)

    def get(self, name: str) -> _Device | None:
        """The device of that name."""
        return next((device for device in self.devices if device.name == name), None)

    def put(self, device: _Device) -> None:
        """A device, in the place of the former one of its name."""
        self.drop(device.name)
        self.devices = (*self.devices, device)

    def drop(self, name: str) -> None:
        """The device of that name is gone."""
        self.devices = tuple([device for device in self.devices if device.name != name])


class Roster:
    """The users of all nodes, as one of them knows it."""

    def __init__(self, node: str) -> None:
        self.node = node
        self._here: dict[str, _Here] = {}
        self._untold: dict[str, None] = {}
        self._elsewhere = Whereabouts()
        self.nodes_of = self._elsewhere.nodes_of
        """The other nodes that any of some users has a session on."""

    # --- the sessions of this node ------------------------------------------------------------

    def arrive(
        self, user: str, device: str, birth: int, *, away: bool, invisible: bool, read_at: int
    ) -> int:
        """A session of this node; it takes the place of the former one of its device.

        Returns its birth, which is always later than that of the former.
        """
        here = self._here.get(user)
        if here is None:
            here = self._here[user] = _Here((), invisible, read_at)
        elif read_at > here.read_at:
            here.invisible, here.read_at = invisible, read_at
        former = here.get(device)
        if former is not None:
            birth = max(birth, former.birth + 1)
        here.put(_Device(device, birth, away))
        self._elsewhere.lay(user)
        self._untold[user] = None
        return birth

    def leave(self, user: str, device: str, birth: int) -> None:
        """The session of that birth is over; nothing happens if another took its place."""
        here = self._here.get(user)
        known = here.get(device) if here is not None else None
        if here is not None and known is not None and known.birth == birth:
            here.drop(device)
            self._untold[user] = None

    def set_away(self, user: str, device: str, birth: int, away: bool) -> bool:
        """Whether nobody is in front of the session's device; tells if that is new."""
        here = self._here.get(user)
        known = here.get(device) if here is not None else None
        if known is None or known.birth != birth or known.away is away:
            return False
        known.away = away
        self._untold[user] = None
        return True

    def set_invisible(self, user: str, invisible: bool, read_at: int) -> None:
        """The directory had this setting at `read_at`."""
        here = self._here.get(user)
        if here is not None and read_at > here.read_at:
            here.invisible, here.read_at = invisible, read_at
            self._untold[user] = None

    def is_here(self, user: str) -> bool:
        """Whether this node has a session of the user."""
        here = self._here.get(user)
        return here is not None and bool(here.devices)

    # --- telling ------------------------------------------------------------------------------

    @property
    def has_untold(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self._untold)

    def take_untold(self) -> list[UserState]:
        """The states that changed since the last call, at most `CHUNK`; what is left stays."""
        users = list(islice(self._untold, CHUNK))
        states: list[UserState] = []
        for user in users:
            del self._untold[user]
            here = self._here[user]
            states.append(_state(user, here))
            if not here.devices:
                del self._here[user]
        return states

    def snapshot(self) -> Iterator[RosterSnapshot]:
        """All users of this node, in parts that hold what is true when they are taken."""
        users = list(self._here)
        for start in range(0, max(len(users), 1), CHUNK):
            states = [
                _state(user, here)
                for user in users[start : start + CHUNK]
                if (here := self._here.get(user)) is not None
            ]
            yield RosterSnapshot(states, first=not start, last=start + CHUNK >= len(users))

    # --- being told ---------------------------------------------------------------------------

    def apply(self, node: str, states: Iterable[UserState]) -> list[Overtaken]:
        """What another node told of its users.

        Returns the sessions of this node that are over. They are forgotten here already.
        """
        overtaken: list[Overtaken] = []
        for state in states:
            self._elsewhere.put(node, state.user, _record(state))
            here = self._here.get(state.user)
            if here is not None:
                overtaken += self._settle(node, state, here)
        return overtaken

    def apply_snapshot(self, node: str, part: RosterSnapshot) -> Told:
        """A part of another node's snapshot."""
        ghosts = self._elsewhere.begin(node) if part.first else {}
        overtaken = self.apply(node, part.users)
        gone = self._elsewhere.end(node) if part.last else None
        return Told(overtaken, _invisible(ghosts | (gone or {})), whole=gone is not None)

    def missed(self, node: str) -> None:
        """Something that the node told was lost: what its snapshot lacks now proves nothing."""
        self._elsewhere.missed(node)

    def drop(self, node: str) -> dict[str, bool]:
        """The node is gone, and its users with it: who they are, and whether invisible."""
        return _invisible(self._elsewhere.drop(node))

    def lose(self, node: str) -> None:
        """The node is gone, and its users are expected back: nothing is routed there, but they
        keep their standing until they are seen anywhere, or until `bury`.
        """
        self._elsewhere.lose(node, is_here=self.is_here)

    def bury(self, node: str) -> dict[str, bool]:
        """Those users of a lost node who have not come back, and are gone; whether invisible."""
        return _invisible(self._elsewhere.bury(node))

    def _settle(self, node: str, state: UserState, here: _Here) -> list[Overtaken]:
        """Compare what that node and this one have of the same user."""
        if state.invisible is not here.invisible:
            if state.read_at > here.read_at:
                here.invisible = state.invisible
            # Else the other is told again, and takes ours.
            self._untold[state.user] = None
        here.read_at = max(here.read_at, state.read_at)
        overtaken: list[Overtaken] = []
        for device, birth in state.devices.items():
            known = here.get(device)
            if known is None:
                continue
            if (birth, node) > (known.birth, self.node):
                here.drop(device)
                overtaken.append(Overtaken(state.user, device, known.birth))
            # Else the other session is: its node learns of it by being told again.
            self._untold[state.user] = None
        return overtaken

    # --- asking -------------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """Rises whenever a user appears on another node, and when a node goes."""
        return self._elsewhere.generation

    def standing(self, user: str) -> Standing:
        """The user's standing over all nodes: invisible as soon as one node knows so."""
        devices = flags = 0
        here = self._here.get(user)
        if here is not None and here.devices:
            devices = len(here.devices)
            flags = _ACTIVE * here.active | _INVISIBLE * here.invisible
        for record in self._elsewhere.records(user):
            devices += record >> _DEVICES_SHIFT
            flags |= record
        if not devices:
            return _NOWHERE
        status = Status.ONLINE if flags & _ACTIVE else Status.AWAY
        return Standing(status, devices, bool(flags & _INVISIBLE))

    @property
    def nodes(self) -> frozenset[str]:
        """The other nodes that have told anything."""
        return self._elsewhere.nodes

    def statistics(self) -> RosterStatistics:
        """How many it knows of."""
        return RosterStatistics(
            here=len(self._here),
            elsewhere=len(self._elsewhere),
            nodes=len(self._elsewhere.nodes),
            untold=len(self._untold),
        )


_NOWHERE: Final = Standing(Status.OFFLINE, 0, invisible=False)


def _state(user: str, here: _Here) -> UserState:
    return UserState(
        user=user,
        devices={device.name: device.birth for device in here.devices},
        active=here.active,
        invisible=here.invisible,
        read_at=here.read_at,
    )


def _invisible(records: dict[str, int]) -> dict[str, bool]:
    return {user: bool(record & _INVISIBLE) for user, record in records.items()}


def _record(state: UserState) -> int:
    if not state.devices:
        return 0
    flags = _ACTIVE * state.active | _INVISIBLE * state.invisible
    return min(len(state.devices), _MAX_DEVICES) << _DEVICES_SHIFT | flags
