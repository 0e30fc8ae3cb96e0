"""Who is compared: ours and the others, what each does for a message, and what is on disk then."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Scenario = Literal["echo", "chat", "fanout", "connect"]
SCENARIOS: Final[tuple[Scenario, ...]] = ("echo", "chat", "fanout", "connect")

Package = Literal["ours", "python", "npm", "debian"]
"""Where a server comes from: what we are installed with, or what has to be installed."""

NOTHING: Final = "nothing kept"
COMMITTED: Final = "on disk before the acknowledgement"

OURS: Final = "chat4all"
_DIALECTS: Final = "chat4all_bench.peers.dialects"


class Peer(Struct, frozen=True):
    """One server of the comparison."""

    name: str
    title: str
    does: str
    """For a message of `chat` and `fanout`."""
    durability: str
    """What is kept of it when its writer knows: a class, so that like is compared with like."""
    package: Package
    program: tuple[str, ...]
    """The script in `servers/`, with its arguments; empty for what is started otherwise."""
    distribution: str
    """Whose version is told."""
    room: str
    """The dialect of `chat`, `fanout` and `connect`."""
    echo: str | None
    """That of `echo`; None for who has nothing like it."""

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """Those that it can run."""
        return SCENARIOS if self.echo else tuple(each for each in SCENARIOS if each != "echo")

    def kept(self, scenario: Scenario) -> str:
        """What is kept of a message in this scenario; of an echo nobody keeps anything."""
        return self.durability if scenario in ("chat", "fanout") else NOTHING

    def dialect(self, scenario: Scenario) -> str:
        """The one of a scenario, as `generator.plan.Setup` takes it."""
        return self.echo if scenario == "echo" and self.echo else self.room


def _plain(
    name: str, title: str, does: str, package: Package, *program: str, distribution: str
) -> Peer:
    room, echo = f"{_DIALECTS}.plain:Room", f"{_DIALECTS}.plain:Echo"
    return Peer(name, title, does, NOTHING, package, program, distribution, room, echo)


def _socketio(
    name: str, title: str, does: str, package: Package, program: str, distribution: str
) -> Peer:
    room, echo = f"{_DIALECTS}.socketio:Room", f"{_DIALECTS}.socketio:Echo"
    return Peer(name, title, does, NOTHING, package, (program,), distribution, room, echo)


PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer(
            OURS,
            "chat4all: one node, embedded PostgreSQL and Redis",
            "checks membership, commits to PostgreSQL, answers `sent`, delivers `msg` to members",
            COMMITTED,
            "ours",
            (),
            "chat4all",
            "chat4all_bench.dialects.chat4all:Chat4all",
            f"{_DIALECTS}.ours:Echo",
        ),
        _plain(
            "bare",
            "sockets without WebSocket logic (one epoll in Python): the floor",
            "a loop of `socket.send` with one frame for all",
            "ours",
            "bare_server.py",
            distribution="",
        ),
        _plain(
            "websockets",
            "websockets on asyncio",
            "`broadcast` to the room, the writer included",
            "ours",
            "websockets_server.py",
            distribution="websockets",
        ),
        _plain(
            "websockets-uvloop",
            "websockets on uvloop",
            "`broadcast` to the room, the writer included",
            "ours",
            "websockets_server.py",
            "--uvloop",
            distribution="websockets",
        ),
        _plain(
            "trio-websocket",
            "trio-websocket",
            "a loop of `send_message` over the room, the writer included",
            "ours",
            "trio_websocket_server.py",
            distribution="trio-websocket",
        ),
        _socketio(
            "python-socketio",
            "python-socketio on uvicorn and uvloop",
            "`emit` to the room's others, acknowledged when their queues have it",
            "python",
            "python_socketio_server.py",
            "python-socketio",
        ),
        _plain(
            "ws",
            "ws on Node",
            "a loop over the room, the writer included, who share one frame",
            "npm",
            "ws_server.js",
            distribution="ws",
        ),
        _socketio(
            "socket.io",
            "socket.io on Node",
            "`emit` to the room's others, acknowledged when it was written to them",
            "npm",
            "socketio_server.js",
            "socket.io",
        ),
        Peer(
            "ejabberd",
            "ejabberd with its archive (mod_mam) in PostgreSQL",
            "MUC room: commits a row to PostgreSQL, then tells the members, the writer included",
            COMMITTED,
            "debian",
            (),
            "ejabberd",
            f"{_DIALECTS}.xmpp:Room",
            None,
        ),
    )
}
