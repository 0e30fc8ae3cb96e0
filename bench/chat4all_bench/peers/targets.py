"""The servers of a comparison as targets of the scenarios: ours, and the others."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..measuring.proc import known, with_descendants
from ..result import Target as TargetInfo
from ..targets import servers
from ..targets.target import Person
from .catalogue import OURS
from .starting import started

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..measuring.proc import Known
    from ..targets.target import Room, Target
    from .catalogue import Peer, Scenario
    from .starting import Started

_HOST: Final = "127.0.0.1"


class OtherServer:
    """One of the others. Rooms are there when somebody enters; see `target.Target`."""

    host = _HOST

    def __init__(self, peer: Peer, scenario: Scenario, server: Started) -> None:
        self.info = TargetInfo(peer.name, server.version, peer.title, peer.kept(scenario))
        self.ports: Sequence[int] = [server.port]
        self.dialect = peer.dialect(scenario)
        self._server = server
        self._rooms = 0

    def processes(self) -> list[Known]:
        """See `target.Target`."""
        return known([each for pid in self._server.pids for each in with_descendants(pid)])

    def people(self, names: Sequence[str]) -> list[Person]:
        """See `target.Target`."""
        self._server.add_users(names)
        return [Person(name, "") for name in names]

    def rooms(self, rooms: Sequence[Room]) -> list[str]:
        """See `target.Target`."""
        first, self._rooms = self._rooms, self._rooms + len(rooms)
        return [f"room-{number}" for number in range(first, self._rooms)]


class OurEcho:
    """Our server as an echo: its users log in, and no conversation is needed."""

    def __init__(self, peer: Peer, server: Target) -> None:
        info = server.info
        self.info = TargetInfo(info.name, info.version, info.where, peer.kept("echo"))
        self.host, self.ports = server.host, server.ports
        self.dialect = peer.dialect("echo")
        self._server = server

    def processes(self) -> list[Known]:
        """See `target.Target`."""
        return self._server.processes()

    def people(self, names: Sequence[str]) -> list[Person]:
        """See `target.Target`."""
        return self._server.people(names)

    def rooms(self, rooms: Sequence[Room]) -> list[str]:
        """See `target.Target`."""
        return [f"nowhere-{number}" for number in range(len(rooms))]


@contextmanager
def opened(peer: Peer, scenario: Scenario, home: Path) -> Iterator[Target]:
    """Start a server for a scenario, and stop it afterwards.

    Raises:
        SetupError: what it needs is missing and can't be brought, or it does not start.
    """
    if peer.name == OURS:
        with servers.started("") as ours:
            yield OurEcho(peer, ours) if scenario == "echo" else ours
        return
    with tempfile.TemporaryDirectory(prefix="chat4all-bench-") as directory:
        # A database that does not run as root must be able to reach its files.
        Path(directory).chmod(0o711)
        with started(peer, home, Path(directory)) as server:
            yield OtherServer(peer, scenario, server)
