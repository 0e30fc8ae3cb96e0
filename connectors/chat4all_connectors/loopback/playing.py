"""A stage's door: a Unix socket at which other processes play its people.

Its directory is made for its owner alone, and so is the socket. Of several processes with the same
account the last one that opens its door has it; the others see that, and close theirs. Whoever
plays can't stop the account: what fails there ends one connection.
"""

from __future__ import annotations

import logging
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec
import trio

from . import cues
from .chats import Unknown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from .stage import Stage

logger = logging.getLogger(__name__)

LOOK: Final = 1.0
"""Seconds between looks whether the door is still ours."""
LONGEST_PATH: Final = 100
"""Bytes of the path of a socket: systems take 104 or 108."""
CHUNK: Final = 64 * 1024
"""Bytes that are read at once."""
BEHIND: Final = 64
"""Players who may wait to be let in."""


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """An address for a socket at this path, which may be longer than addresses can be.

    Raises:
        OSError: there is no such directory, or no way round.
    """
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


async def lines_of(stream: trio.abc.ReceiveStream, longest: int) -> AsyncGenerator[bytearray, None]:
    """What comes, a line each.

    Raises:
        ValueError: a line has more than so many bytes.
    """
    buffer = bytearray()
    while chunk := await stream.receive_some(CHUNK):
        begun = len(buffer)
        buffer += chunk
        while (end := buffer.find(b"\n", begun)) >= 0:
            yield buffer[:end]
            del buffer[: end + 1]
            begun = 0
        if len(buffer) > longest:
            raise ValueError(f"a line has at most {longest} bytes")


class Door:
    """The door of one stage."""

    def __init__(self, stage: Stage, path: Path) -> None:
        """Closed at first."""
        self._stage = stage
        self._path = path
        self._mark: tuple[int, int] | None = None
        """By which its socket is known."""
        self._players = 0
        self._scope = trio.CancelScope()
        self._closed = trio.Event()
        self._closed.set()

    async def open(self) -> None:
        """Let players in, unless it is open already.

        Raises:
            OSError: there can be no socket at the path.
        """
        if not self._closed.is_set() and self._ours():
            return
        await self.close()
        listener = await self._listen()
        self._scope, self._closed = trio.CancelScope(), trio.Event()
        # Whoever opens it has no nursery to give; all of it ends with `close`.
        trio.lowlevel.spawn_system_task(self._serve, listener)

    async def close(self) -> None:
        """Send all players away."""
        self._scope.cancel()
        await self._closed.wait()

    async def _listen(self) -> trio.SocketListener:
        """At another path first, so that nobody finds it before it is ready."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unready = self._path.with_name(f".{secrets.token_hex(4)}")
        listening = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
        try:
            with reachable(unready) as address:
                await listening.bind(address)
            unready.chmod(0o600)
            listening.listen(BEHIND)
            self._mark = _mark(unready)
            unready.replace(self._path)
        except BaseException:
            listening.close()
            unready.unlink(missing_ok=True)
            raise
        return trio.SocketListener(listening)

    def _ours(self) -> bool:
        return self._mark is not None and _mark(self._path) == self._mark

    async def _serve(self, listener: trio.SocketListener) -> None:
        scope, closed = self._scope, self._closed
        try:
            with scope:
                async with listener, trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch, scope)
                    await trio.serve_listeners(self._let_in, [listener], handler_nursery=nursery)
        except Exception:
            logger.exception("nobody can play on %s any more", self._path)
        finally:
            if self._ours():
                self._path.unlink()
            closed.set()

    async def _watch(self, scope: trio.CancelScope) -> None:
        while True:
            await trio.sleep(LOOK)
            if not self._ours():
                scope.cancel()

    async def _let_in(self, stream: trio.SocketStream) -> None:
        self._players += 1
        full = self._players > self._stage.settings.players
        try:
            async with stream:
                await Player(self._stage, stream).play(full=full)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # whoever played has gone
        except* Exception:
            logger.exception("a player of %s was sent away", self._path)
        finally:
            self._players -= 1


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


class Player:
    """A connection, and the person who is played over it."""

    def __init__(self, stage: Stage, stream: trio.SocketStream) -> None:
        self._stage = stage
        self._stream = stream
        self._sending = trio.StrictFIFOLock()
        self._shown: dict[str, bytes] = {}
        """Messages by their ids, as they were shown."""
        self._typing = False

    async def play(self, *, full: bool) -> None:
        """Until it ends; not at all if there are too many.

        Raises:
            BrokenResourceError, ClosedResourceError: whoever plays has gone.
        """
        if full:
            await self._tell(cues.Refused(reason="too many play already"))
            return
        longest = cues.LONGEST_TEXT + self._stage.settings.media_max_bytes * 4 // 3
        acts = lines_of(self._stream, longest)
        try:
            async with trio.open_nursery() as nursery:
                person: str | None = None
                async for line in acts:
                    act = await self._read(line)
                    if act is None:
                        continue
                    if isinstance(act, cues.Enter) == (person is not None):
                        await self._tell(cues.Refused(reason="begin with enter, and that once"))
                    elif isinstance(act, cues.Enter):
                        person = act.person
                        self._enter(act)
                        await self._show(person)
                        await self._tell(cues.Done())
                        nursery.start_soon(self._keep_showing, person)
                    else:
                        assert person is not None
                        await self._tell(self._do(person, act))
                nursery.cancel_scope.cancel()
        except* ValueError as error:
            await self._tell(cues.Refused(reason=str(error.exceptions[0])))
        finally:
            await acts.aclose()

    async def _read(self, line: bytearray) -> cues.Act | None:
        try:
            return cues.decode_act(line)
        except (msgspec.DecodeError, RecursionError) as error:
            await self._tell(cues.Refused(reason=str(error)))
            return None

    def _enter(self, act: cues.Enter) -> None:
        try:
            known = self._stage.contact(act.person)
        except Unknown:
            self._stage.person(act.person, act.name)
        else:
            self._stage.person(act.person, act.name or known.name)

    def _do(self, person: str, act: cues.Act) -> cues.Answer:
        stage = self._stage
        try:
            match act:
                case cues.Say(text=text, reply_to=reply_to):
                    return cues.Done(message=stage.say(person, text, reply_to=reply_to))
                case cues.Send():
                    return self._send(person, act)
                case cues.Edit(message=message, text=text):
                    stage.edit(person, message, text)
                case cues.Delete(message=message):
                    stage.delete(person, message)
                case cues.React(message=message, emoji=emoji):
                    stage.react(person, message, emoji)
                case cues.Read():
                    stage.read(person)
                case cues.Block(blocked=blocked):
                    stage.block(person, blocked=blocked)
                case cues.Fetch(message=message):
                    file = stage.chat(person).line(message).file
                    if file is None:
                        return cues.Refused(reason=f"message {message} has no file")
                    return cues.Content(content=stage.files.get(file.ref))
        except Unknown as error:
            return cues.Refused(reason=f"there is no {error}")
        return cues.Done()

    def _send(self, person: str, act: cues.Send) -> cues.Answer:
        most = self._stage.settings.media_max_bytes
        if len(act.content) > most:
            return cues.Refused(reason=f"a file has at most {most} bytes")
        message = self._stage.send(
            person, act.content, kind=act.kind, mime=act.mime, name=act.name, caption=act.caption
        )
        return cues.Done(message=message)

    # --- what she sees

    async def _keep_showing(self, person: str) -> NoReturn:
        stage = self._stage
        while True:
            version = stage.version
            await self._show(person)
            while stage.version == version:
                with trio.move_on_after(LOOK):  # that somebody has stopped to type is no change
                    await stage.changed()
                if self._typing != stage.typing(person):
                    break

    async def _show(self, person: str) -> None:
        """What has changed since it was shown."""
        before, self._shown = self._shown, {}
        sights: list[cues.Sight] = []
        for line in self._stage.lines(person):
            state = self._shown[line.id] = msgspec.msgpack.encode(line)
            if before.pop(line.id, None) != state:
                sights.append(cues.Shown(line=line))
        sights += [cues.Gone(message=message) for message in before]
        if self._typing != self._stage.typing(person):
            self._typing = not self._typing
            sights.append(cues.Typing(typing=self._typing))
        if sights:
            await self._tell(*sights)

    async def _tell(self, *told: cues.Cue) -> None:
        async with self._sending:
            await self._stream.send_all(b"".join(map(cues.encode, told)))
