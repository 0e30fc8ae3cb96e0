"""A channel without a provider: what is sent is on its stage at once."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chat4all_connectors.base import Connector, Health, Identity, Polled
from chat4all_connectors.errors import (
    Misconfigured,
    Moved,
    Refused,
    Transient,
    Unreachable,
    WindowClosed,
)
from chat4all_connectors.outgoing import Accepted

from .chats import SentFile, Unknown
from .playing import Door
from .settings import LoopbackSettings, capabilities
from .stage import US, Stage, set_reaction

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from chat4all_connectors.capabilities import Capabilities
    from chat4all_connectors.incoming import Contact, Media
    from chat4all_connectors.outgoing import FileMessage, Message, TemplateMessage

    from .chats import Chat, Line

PIECE = 64 * 1024
"""Bytes of a download at once."""


class Loopback(Connector):
    """One account, with a stage of its own: `stage` is where its people are played."""

    channel = "loopback"

    def __init__(
        self,
        settings: LoopbackSettings | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is in seconds since the epoch."""
        self._settings = settings or LoopbackSettings()
        self._capabilities = capabilities(self._settings)
        self.stage = Stage(self._settings, clock)
        path = self._settings.socket
        self._door = None if path is None else Door(self.stage, Path(path))
        self._connected = False

    @property
    def capabilities(self) -> Capabilities:
        """Everything."""
        return self._capabilities

    # --- its life

    async def connect(self) -> Identity:
        """Open the stage's door, if it has one; there is nobody to ask."""
        self._usable()
        await self._open_door()
        self._connected = True
        return Identity(id=self.channel, name=self._settings.name)

    async def disconnect(self) -> None:
        """Close its door, and leave the stage as it is."""
        self._connected = False
        if self._door is not None:
            await self._door.close()

    async def health(self) -> Health:
        """Dead when its stage says so; its door is opened again if it was closed from outside."""
        if self.stage.revoked:
            return Health("dead", "the account was revoked on its stage")
        if self._connected:
            try:
                await self._open_door()
            except Misconfigured as error:
                return Health("degraded", error.message)
        return Health("connected")

    # --- what is sent

    async def send_message(self, message: Message) -> Accepted:
        """Put a text on the stage."""
        with self._sending(message.chat):
            return Accepted(
                self.stage.post(
                    message.chat,
                    message.text,
                    reply_to=message.reply_to,
                    reference=message.reference,
                )
            )

    async def send_file(self, message: FileMessage) -> Accepted:
        """Put a file on the stage, where it is kept in memory."""
        content = bytearray()
        async with message.file.open() as pieces:
            async for piece in pieces:
                content += piece
                if len(content) > self._settings.media_max_bytes:
                    raise Refused(f"larger than {self._settings.media_max_bytes} bytes")
        with self._sending(message.chat):
            file = SentFile(
                ref=self.stage.files.keep(bytes(content)),
                kind=message.kind,
                mime=message.file.mime,
                name=message.file.name,
                size=len(content),
            )
            return Accepted(
                self.stage.post(
                    message.chat,
                    message.caption,
                    file=file,
                    reply_to=message.reply_to,
                    reference=message.reference,
                )
            )

    async def send_template(self, message: TemplateMessage) -> Accepted:
        """Put its name and its parameters on the stage: `[hello en] Ana`."""
        text = " ".join([f"[{message.name} {message.language}]", *message.parameters])
        with self._sending(message.chat, at_any_time=True):
            return Accepted(self.stage.post(message.chat, text, reference=message.reference))

    async def edit(self, chat: str, message: str, text: str) -> None:
        """Replace a text on the stage."""
        line = self._line(chat, message)
        if line.sender != US:
            raise Refused("the message is not ours")
        line.text, line.edited = text, True
        self.stage.happened()

    async def delete(self, chat: str, message: str) -> None:
        """Take a message from the stage."""
        scene = self._open(chat)
        try:
            line = scene.line(message)
        except Unknown:
            return
        within = self._settings.delete_within
        if within is not None and self.stage.now() - line.at > within * 1000:
            raise Refused("the message is too old to be deleted")
        scene.lines.remove(line)
        self.stage.happened()

    async def react(self, chat: str, message: str, emoji: str | None) -> None:
        """Show it on the stage."""
        set_reaction(self._line(chat, message), US, emoji)
        self.stage.happened()

    async def typing(self, chat: str, message: str | None) -> None:
        """Show it for 5 s."""
        self._open(chat).typed_at = self.stage.clock()
        self.stage.happened()

    async def mark_read(self, chat: str, message: str) -> None:
        """Show it on the message and those before it."""
        for line in self._open(chat).lines:
            line.read = line.read or line.sender != US
            if line.id == message:
                break
        self.stage.happened()

    async def _open_door(self) -> None:
        if self._door is None:
            return
        try:
            await self._door.open()
        except OSError as error:
            raise Misconfigured(
                f"nobody can play at {self._settings.socket}: {error.strerror or error}"
            ) from error

    def _usable(self) -> None:
        if self.stage.revoked:
            raise Misconfigured("the account was revoked on its stage")

    def _open(self, chat: str) -> Chat:
        """A chat in which something may be shown."""
        self._usable()
        if self._door is not None and not self._connected:
            raise Transient("people are played in another process, or nowhere yet")
        try:
            scene = self.stage.chat(chat)
        except Unknown as error:
            if self._door is None or not self.stage.has_room:
                raise Unreachable(f"there is no {error}") from error
            self.stage.person(chat)
            scene = self.stage.chat(chat)
        if scene.moved_to is not None:
            raise Moved("the chat has another id", chat=scene.moved_to)
        if scene.blocked:
            raise Unreachable("blocked")
        return scene

    def _line(self, chat: str, message: str) -> Line:
        try:
            return self._open(chat).line(message)
        except Unknown as error:
            raise Refused(f"there is no {error}") from error

    @contextmanager
    def _sending(self, chat: str, *, at_any_time: bool = False) -> Iterator[None]:
        """Around what is put on the stage: with what the stage has for the next call that sends."""
        scene = self._open(chat)
        window = self._settings.window
        if window is not None and not at_any_time:
            wrote_at = scene.wrote_at
            if wrote_at is None or self.stage.clock() - wrote_at > window:
                raise WindowClosed("the person has not written for too long")
        fault = self.stage.faults.popleft() if self.stage.faults else None
        if fault is not None and not fault.acted:
            raise fault.error
        yield
        if fault is not None:
            raise fault.error

    # --- what comes in

    @property
    def polls(self) -> bool:
        """There are no webhooks."""
        return True

    async def poll(self, cursor: str | None) -> Polled:
        """Wait for what happens on the stage."""
        return Polled(*await self.stage.feed.after(cursor))

    @asynccontextmanager
    async def download(self, media: Media) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """A file from the stage."""
        try:
            content = self.stage.files.get(media.ref)
        except Unknown as error:
            raise Refused("the file is too long ago, and was given up") from error
        pieces = _pieces(content)
        try:
            yield pieces
        finally:
            await pieces.aclose()

    async def profile(self, contact: str) -> Contact | None:
        """Somebody on the stage."""
        try:
            return self.stage.contact(contact)
        except Unknown:
            return None


async def _pieces(content: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(content), PIECE):
        yield content[start : start + PIECE]
