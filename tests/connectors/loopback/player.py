"""Processes that play people on a stage, and what they find at its door."""

from __future__ import annotations

import stat
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import trio

from chat4all_connectors.loopback import cues
from chat4all_connectors.loopback.connector import Loopback
from chat4all_connectors.loopback.cues import Content, Done, Refused
from chat4all_connectors.loopback.playing import lines_of, reachable
from chat4all_connectors.loopback.settings import LoopbackSettings
from chat4all_connectors.outgoing import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from chat4all_connectors.incoming import Event
    from chat4all_connectors.loopback.cues import Act, Answer, Sight


class Player:
    """Another process that plays."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._lines = lines_of(stream, 100_000_000)

    async def see(self) -> Sight | Answer:
        """What comes next."""
        return cues.decode_sight(await anext(self._lines))

    async def until_answered(self) -> list[Sight | Answer]:
        """What comes up to the next answer."""
        seen = [await self.see()]
        while not isinstance(seen[-1], Done | Content | Refused):
            seen.append(await self.see())
        return seen

    async def act(self, *acts: Act) -> list[Sight | Answer]:
        """Do these; the answers, in their order."""
        await self.stream.send_all(b"".join(map(cues.encode, acts)))
        return [(await self.until_answered())[-1] for _ in acts]

    async def over(self) -> None:
        """Wait until it was sent away."""
        with suppress(trio.BrokenResourceError):
            async for _ in self._lines:
                pass

    async def aclose(self) -> None:
        await self._lines.aclose()
        await self.stream.aclose()


@asynccontextmanager
async def account(path: Path, **settings: object) -> AsyncIterator[Loopback]:
    """One whose door is open."""
    made = Loopback(LoopbackSettings(socket=str(path), **settings))  # type: ignore[arg-type]
    await made.connect()
    try:
        yield made
    finally:
        await made.disconnect()


@asynccontextmanager
async def played(path: Path, person: str | None = "ana") -> AsyncIterator[Player]:
    """Somebody who came in as this person."""
    with reachable(path) as address:
        player = Player(await trio.open_unix_socket(address))
    try:
        if person is not None:
            assert await player.act(cues.Enter(person=person)) == [Done()]
        yield player
    finally:
        await player.aclose()


async def events(account: Loopback, cursor: str | None = None) -> list[Event]:
    """What has happened by now."""
    return list((await account.poll(cursor)).events)


def modes(directory: Path) -> dict[str, int]:
    """Who may do what with what is in it, and with itself."""
    found = {".": directory, **{each.name: each for each in directory.iterdir()}}
    return {name: stat.S_IMODE(each.stat().st_mode) for name, each in found.items()}


def taken_away(path: Path, *, for_good: bool = False) -> None:
    """The socket and its directory; for good there is a file in its place."""
    path.unlink()
    path.parent.rmdir()
    if for_good:
        path.parent.write_bytes(b"")


def left(path: Path) -> None:
    """A file that nobody listens at."""
    path.parent.mkdir()
    path.write_bytes(b"")


def text(words: str) -> Message:
    return Message(chat="ana", text=words, reference="ref")
