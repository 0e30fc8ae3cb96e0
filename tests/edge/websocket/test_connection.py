from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.edge.websocket.connection import MAX_QUEUED_FOR_PONG, WebSocketConnection
from chat4all_actors.rfc6455 import close_frame, ping_frame, pong_frame
from chat4all_protocol.codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_actors.edge.pump import Take
    from chat4all_actors.edge.transport import Transport
    from chat4all_actors.session.session import Session

BINARY, TEXT, CLOSE, PING, PONG = 0x2, 0x1, 0x8, 0x9, 0xA
MAX_MESSAGE = 1024
END = b""


def client_frame(opcode: int, payload: bytes = b"") -> bytes:
    """A whole masked frame of up to 125 bytes."""
    mask = b"\1\2\3\4"
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked


def client_close(code: int | None = None, reason: str = "") -> bytes:
    return client_frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


class FakeTransport:
    """What arrives is put in; what is sent is written down."""

    def __init__(self) -> None:
        self.put, self._arrives = trio.open_memory_channel[bytes](100)
        self.sent: list[bytes] = []
        self.corked = False
        self.queued = 0
        self.stalled_since: float | None = None
        self.finished = 0
        self.rooms: list[int] = []
        self.discarded_after: int | None = None
        self.on_drained: Callable[[], None] | None = None
        self.on_broken: Callable[[], None] | None = None

    def arrive(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.put.send_nowait(chunk)

    def watch(self, *, on_drained: Callable[[], None], on_broken: Callable[[], None]) -> None:
        self.on_drained, self.on_broken = on_drained, on_broken

    async def pour(self, take: Take) -> None:
        going = True
        while going and (data := await self._arrives.receive()):
            answer = take(data)
            going = answer if isinstance(answer, bool) else await answer

    def send_nowait(self, data: bytes) -> None:
        self.sent.append(data)

    def cork(self) -> None:
        self.corked = True

    def uncork(self) -> None:
        self.corked = False

    def discard_queue(self) -> None:
        self.discarded_after = len(self.sent)

    async def room(self, below: int) -> None:
        self.rooms.append(below)
        await trio.lowlevel.checkpoint()

    async def finish(self) -> None:
        self.finished += 1
        await trio.lowlevel.checkpoint()


class FakeSession:
    """Writes down what it is told, and fails where it is told to."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.connection = connection
        self.told: list[object] = []
        self.fails: Exception | None = None

    def start(self) -> None:
        self.told.append("start")
        self.connection.send_nowait(b"hello")

    def touched(self) -> None:
        self.told.append("touched")

    def begin(self, data: bytes) -> Awaitable[None] | None:
        return self.receive(data)

    async def receive(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.told.append(data)
        if self.fails is not None:
            raise self.fails

    def drained(self) -> None:
        self.told.append("drained")

    def ended(self) -> None:
        self.told.append("ended")

    def close(self, code: CloseCode, reason: str, *, discard: bool = False) -> None:
        self.told.append(code)
        self.connection.close(code, reason, discard=discard)

    def close_internal(self) -> None:
        self.close(CloseCode.INTERNAL, "please connect again")

    @property
    def messages(self) -> list[bytes]:
        return [told for told in self.told if isinstance(told, bytes)]


class Stage:
    """A connection between a transport and a session that are fakes."""

    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.scope = trio.CancelScope()
        self.connection = WebSocketConnection(
            cast("Transport", self.transport), MAX_MESSAGE, self.scope.cancel
        )
        self.session = FakeSession(self.connection)

    async def run(self, received: bytes = b"") -> None:
        with self.scope:
            await self.connection.run(cast("Session", self.session), received)

    @property
    def answers(self) -> list[bytes]:
        """What was sent after the greeting."""
        assert self.transport.sent[0] == b"hello"
        return self.transport.sent[1:]


@pytest.fixture
def stage() -> Stage:
    return Stage()


# Messages


async def test_the_greeting_and_a_close_draw_the_cork(stage: Stage) -> None:
    stage.transport.cork()
    stage.transport.arrive(END)
    await stage.run()
    assert not stage.transport.corked
    stage = Stage()
    stage.transport.cork()
    stage.connection.close(3008, "too slow")
    assert not stage.transport.corked


async def test_the_session_starts_gets_its_messages_in_order_and_ends_once(stage: Stage) -> None:
    one, two = client_frame(BINARY, b"one"), client_frame(BINARY, b"two")
    stage.transport.arrive(one + two[:3], two[3:], END)
    await stage.run()
    assert stage.session.told == ["start", "touched", b"one", "touched", b"two", "ended"]
    assert stage.answers == []
    assert stage.transport.finished == 1


async def test_what_came_with_the_handshake_is_read_first(stage: Stage) -> None:
    stage.transport.arrive(client_frame(BINARY, b"two"), END)
    await stage.run(client_frame(BINARY, b"one"))
    assert stage.session.messages == [b"one", b"two"]


async def test_the_next_message_waits_until_the_session_has_dealt_with_the_last(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = trio.Event()
    seen: list[bytes] = []

    async def receive(data: bytes) -> None:
        seen.append(data)
        await go.wait()

    monkeypatch.setattr(stage.session, "receive", receive)
    stage.transport.arrive(client_frame(BINARY, b"one") + client_frame(BINARY, b"two"), END)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.run)
        await wait_all_tasks_blocked()
        assert seen == [b"one"]
        go.set()
    assert seen == [b"one", b"two"]


async def test_the_session_is_told_of_the_drain(stage: Stage) -> None:
    stage.transport.arrive(END)
    await stage.run()
    assert stage.transport.on_drained is not None
    stage.transport.on_drained()
    assert stage.session.told[-1] == "drained"


# Pings


async def test_a_ping_is_answered_with_its_payload_and_a_pong_is_not(stage: Stage) -> None:
    stage.transport.arrive(client_frame(PING, b"a") + client_frame(PONG, b"b"))
    stage.transport.arrive(client_frame(PING), END)
    await stage.run()
    assert stage.answers == [pong_frame(b"a"), pong_frame(b"")]
    assert stage.session.messages == []


async def test_who_pings_but_does_not_read_gets_no_more_pongs(stage: Stage) -> None:
    stage.transport.arrive(client_frame(PING, b"a") * 50, END)
    stage.transport.queued = MAX_QUEUED_FOR_PONG
    await stage.run(client_frame(BINARY, b"one"))
    assert stage.answers == []
    assert stage.session.messages == [b"one"]


# The close handshake


@pytest.mark.parametrize("code", [None, 1000, 1001, 3000, 4999])
async def test_a_close_is_answered_with_its_own_code(stage: Stage, code: int | None) -> None:
    stage.transport.arrive(client_close(code, "" if code is None else "bye"))
    await stage.run()
    assert stage.answers == [close_frame(code)]
    assert stage.transport.finished == 1
    assert stage.session.told.count("ended") == 1


async def test_what_comes_behind_a_close_is_not_read(stage: Stage) -> None:
    stage.transport.arrive(client_close(1000) + client_frame(BINARY, b"late"))
    stage.transport.arrive(client_frame(BINARY, b"later"))
    await stage.run()
    assert stage.session.messages == []


async def test_our_close_waits_for_the_answer_and_is_not_answered_again(stage: Stage) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.run)
        await wait_all_tasks_blocked()
        stage.connection.close(CloseCode.DRAINING, "bye")
        await wait_all_tasks_blocked()
        assert stage.session.told == ["start"]
        stage.transport.arrive(client_close(3001))
    assert stage.answers == [close_frame(3001, "bye")]
    assert stage.session.told == ["start", "touched", "ended"]


async def test_after_a_close_nothing_is_sent(stage: Stage) -> None:
    stage.transport.arrive(client_frame(PING, b"a"), END)
    stage.connection.send_nowait(b"hello")
    stage.connection.close(CloseCode.DRAINING, "bye")
    stage.connection.close(CloseCode.INTERNAL, "again")
    stage.connection.send_nowait(b"event")
    stage.connection.ping()
    await stage.run()
    assert stage.answers == [close_frame(3001, "bye")]


@pytest.mark.parametrize("discard", [True, False])
async def test_a_close_drops_what_is_queued_only_if_told(stage: Stage, discard: bool) -> None:
    stage.connection.send_nowait(b"event")
    stage.connection.close(CloseCode.TOO_SLOW, "too slow", discard=discard)
    assert stage.transport.discarded_after == (1 if discard else None)
    assert stage.transport.sent == [b"event", close_frame(3008, "too slow")]


# Violations


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x82\x01x", CloseCode.PROTOCOL_ERROR),
        (client_frame(TEXT, b"hi"), CloseCode.UNSUPPORTED_DATA),
        (client_close(1005), CloseCode.PROTOCOL_ERROR),
        (client_frame(CLOSE, b"\x03\xe8\xff"), CloseCode.INVALID_DATA),
        (b"\x82\xfe\x04\x01", CloseCode.TOO_BIG),
    ],
    ids=["unmasked", "text", "close code", "close reason", "too big"],
)
async def test_a_violation_closes_with_its_code_after_what_was_whole(
    stage: Stage, data: bytes, code: CloseCode
) -> None:
    stage.transport.arrive(client_frame(BINARY, b"one") + data + client_frame(BINARY, b"two"))
    await stage.run()
    assert stage.session.told == ["start", "touched", b"one", code, "ended"]
    (answer,) = stage.answers
    assert answer[0] == 0x80 | CLOSE
    assert int.from_bytes(answer[2:4], "big") == code
    assert stage.transport.finished == 1


# Faults


async def test_a_fault_of_the_session_closes_for_now_and_goes_to_the_supervisor(
    stage: Stage,
) -> None:
    stage.session.fails = RuntimeError("a defect")
    stage.transport.arrive(client_frame(BINARY, b"one") + client_frame(BINARY, b"two"))
    with pytest.raises(RuntimeError, match="a defect"):
        await stage.run()
    assert stage.session.messages == [b"one"]
    assert stage.answers == [close_frame(CloseCode.INTERNAL, "please connect again")]
    assert stage.session.told.count("ended") == 1


async def test_a_fault_at_the_start_ends_the_session_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(stage.session, "start", start)
    with pytest.raises(RuntimeError, match="a defect"):
        await stage.run()
    assert stage.session.told == [CloseCode.INTERNAL, "ended"]


@pytest.mark.parametrize("ending", ["abort", "broken"])
async def test_a_connection_that_is_cut_ends_its_session_once(stage: Stage, ending: str) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.run)
        await wait_all_tasks_blocked()
        assert stage.transport.on_broken is not None
        end = stage.connection.abort if ending == "abort" else stage.transport.on_broken
        end()
    assert stage.scope.cancelled_caught
    assert stage.session.told == ["start", "ended"]
    assert stage.answers == []


# As an outlet


async def test_the_session_sees_the_queue_of_the_transport(stage: Stage) -> None:
    stage.transport.queued, stage.transport.stalled_since = 5, 7.0
    assert (stage.connection.queued, stage.connection.stalled_since) == (5, 7.0)
    await stage.connection.room(9)
    assert stage.transport.rooms == [9]


def test_the_session_can_ping(stage: Stage) -> None:
    stage.connection.ping()
    assert stage.transport.sent == [ping_frame()]
