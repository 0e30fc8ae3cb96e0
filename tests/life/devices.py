"""People's devices: clients of the real server that check every frame against the protocol."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import trio
from trio_websocket import ConnectionClosed, wrap_client_stream

from chat4all_protocol.frames import (
    Connect,
    Conv,
    Create,
    Error,
    Fetch,
    Hello,
    Info,
    Msg,
    Page,
    Ping,
    Pong,
    Ready,
    Send,
    Sent,
    TextBody,
)
from chat4all_protocol.ids import new_id
from tests.support.server import RawClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chat4all_protocol.frames import AnyClientFrame, AnyServerFrame, ConversationType
    from tests.life.processes import ServerProcess

F = TypeVar("F")


class Device(RawClient):
    """One device of one person."""

    def __init__(self, nursery: trio.Nursery, port: int) -> None:
        super().__init__(nursery, f"127.0.0.1:{port}")
        self._port = port
        self._rids = itertools.count(1)
        self._stream: trio.SocketStream | None = None

    async def open(self) -> Hello:
        self._stream = await trio.open_tcp_stream("127.0.0.1", self._port)
        self.socket = await wrap_client_stream(
            self._nursery, self._stream, self._url, "/ws", subprotocols=["chat4all.v1"]
        )
        return await self.expect(Hello)

    async def cut(self) -> None:
        """End the connection without a word."""
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)

    def next_rid(self) -> int:
        return next(self._rids)

    # --- frames -------------------------------------------------------------------------------

    async def send_bytes(self, data: bytes) -> None:
        await self.socket.send_message(data)

    async def expect(self, kind: type[F]) -> F:
        """The next frame, which is one of this kind."""
        frame = await self.receive()
        assert isinstance(frame, kind), frame
        return frame

    async def ask(self, frame: AnyClientFrame, kind: type[F]) -> F:
        """Send, and get the next frame, which answers it."""
        await self.send(frame)
        return await self.expect(kind)

    async def seen(self) -> list[AnyServerFrame]:
        """The frames that came before the answer to a ping sent now."""
        await self.send(Ping(at=self.next_rid()))
        frames: list[AnyServerFrame] = []
        while not isinstance(frame := await self.receive(), Pong):
            frames.append(frame)
        return frames

    async def closed(self) -> int:
        """The code with which the server closes; nothing comes before it."""
        with pytest.raises(ConnectionClosed) as caught:
            await self.socket.get_message()
        reason = caught.value.reason
        assert reason is not None
        code = reason.code
        assert isinstance(code, int)
        return code

    async def present(self, access_token: str, device: str = "device") -> AnyServerFrame:
        """Open, and connect with this token; the answer."""
        await self.open()
        connect = Connect(token=access_token, device=device)
        self.rules.connecting(connect)
        await self.send(connect)
        return await self.receive()

    # --- conversations ------------------------------------------------------------------------

    async def create(
        self, type_: ConversationType, members: Sequence[str], title: str | None = None
    ) -> Conv:
        rid = self.next_rid()
        conv = await self.ask(Create(rid=rid, type=type_, members=list(members), title=title), Conv)
        assert conv.rid == rid
        return conv

    def message(self, conv: str, text: str, **fields: Any) -> Send:
        """A message that nobody has sent yet."""
        fields = {"rid": self.next_rid(), "id": new_id(), **fields}
        return Send(conv=conv, body=TextBody(text), **fields)

    async def say(self, conv: str, text: str, **fields: Any) -> Sent:
        send = self.message(conv, text, **fields)
        sent = await self.ask(send, Sent)
        assert (sent.rid, sent.conv, sent.id) == (send.rid, conv, send.id)
        return sent

    async def refused(self, frame: AnyClientFrame) -> Error:
        """The error that answers a request."""
        error = await self.ask(frame, Error)
        assert error.rid == getattr(frame, "rid", None)
        return error

    async def fetch(self, conv: str, **fields: Any) -> Page:
        rid = self.next_rid()
        page = await self.ask(Fetch(rid=rid, conv=conv, **fields), Page)
        assert (page.rid, page.conv) == (rid, conv)
        return page

    async def info(self, conv: str) -> Conv:
        rid = self.next_rid()
        found = await self.ask(Info(rid=rid, conv=conv), Conv)
        assert found.rid == rid
        return found


class People:
    """Opens devices at one server; they are all cut at the end of the block."""

    def __init__(self, nursery: trio.Nursery, port: int) -> None:
        self._nursery = nursery
        self._port = port
        self.devices: list[Device] = []

    def device(self) -> Device:
        """One that is not open yet."""
        device = Device(self._nursery, self._port)
        self.devices.append(device)
        return device

    async def connect(self, name: str, device: str = "device", **fields: Any) -> Device:
        """A device that is live."""
        client, _ = await self.ready(name, device, **fields)
        return client

    async def ready(self, name: str, device: str = "device", **fields: Any) -> tuple[Device, Ready]:
        """A device that is live, and what it was told."""
        client = self.device()
        ready = await client.connect(name, device, **fields)
        assert ready.user == name
        return client, ready


@asynccontextmanager
async def people(server: ServerProcess) -> AsyncIterator[People]:
    async with trio.open_nursery() as nursery:
        here = People(nursery, server.port)
        try:
            yield here
        finally:
            for device in here.devices:
                await device.cut()
            nursery.cancel_scope.cancel()


def texts(messages: Sequence[AnyServerFrame]) -> list[tuple[int, str, str]]:
    """The seq, the sender and the text of messages."""
    found = []
    for message in messages:
        assert isinstance(message, Msg), message
        assert isinstance(message.body, TextBody)
        found.append((message.seq, message.from_, message.body.text))
    return found
