"""A client of the wire protocol, made from its specification and nothing of the server's code.

It keeps what a correct client keeps (SPEC section 10): an outbox in order and, per conversation,
up to where it holds everything. It notes everything it does and sees in the history. Where a
correct client would drop a connection because the server broke a rule, this one goes on: whether
rules were broken is for the checker to say.
"""

from __future__ import annotations

import uuid
from collections import deque
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Final

import msgpack  # type: ignore[import-untyped]
import trio
from trio_websocket import ConnectionClosed, HandshakeError, wrap_client_stream

from tests.faults.history import Event, Fetched

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from trio_websocket import WebSocketConnection

    from tests.faults.history import Attempt, History, Operation, Session
    from tests.faults.progress import Progress

OPEN_TIMEOUT: Final = 5.0
"""Seconds from connecting to `ready`, after which a client tries again."""
ANSWER_TIMEOUT: Final = 10.0
"""Seconds without an answer after which a message is sent again in the same session."""
MARK_EVERY: Final = 25
"""Events after which a client says up to where it holds them."""

MAX_FRAME: Final = 4 * 1024 * 1024
SMALL_BUFFER: Final = 4 * 1024
LARGE_BUFFER: Final = 128 * 1024


class _NotNow(Exception):
    """`connect` was answered with an error."""


class Pending:
    """A message in the outbox."""

    def __init__(self, operation: Operation, *, reply_to: int | None = None) -> None:
        self.operation = operation
        self.reply_to = reply_to
        self.attempt: Attempt | None = None
        """The attempt of this session that waits for its answer."""
        self.due = 0.0
        """Not to be sent before."""


class Client:
    """One device of one user."""

    def __init__(
        self,
        history: History,
        rng: random.Random,
        *,
        port: int,
        user: str,
        device: str,
        token: str,
        conversations: Sequence[str],
        progress: Progress,
    ) -> None:
        self.user = user
        self.device = device
        self.held = dict.fromkeys(conversations, 0)
        self.outbox: deque[Pending] = deque()
        self.stay_away: Callable[[], bool] = lambda: False
        """While it is true, the client does not connect again."""
        self._history = history
        self._rng = rng
        self._port = port
        self._token = token
        self._progress = progress
        self._ahead: dict[str, set[int]] = {conversation: set() for conversation in conversations}
        self._reading = trio.Event()
        self._reading.set()
        self._wake = trio.Event()
        self._reset()

    def _reset(self) -> None:
        self.session: Session | None = None
        self._stream: trio.SocketStream | None = None
        self._rid = 0
        self._sends: dict[int, tuple[Pending, Attempt]] = {}
        self._fetches: dict[int, tuple[str, int, int, float]] = {}
        self._fetching: dict[str, int] = {}
        self._unmarked = 0
        for pending in self.outbox:
            pending.attempt = None
            pending.due = 0.0

    # --- for the workload and the faults ------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Messages that were sent in this session and not answered."""
        return len(self._sends)

    def put(self, conversation: str, text: str, *, reply_to: int | None = None) -> Pending:
        """Put a new message into the outbox."""
        operation = self._history.begin(conversation, self.user, str(uuid.uuid4()), text)
        pending = Pending(operation, reply_to=reply_to)
        self._enqueue(pending)
        return pending

    def repeat(self, pending: Pending) -> None:
        """Send a message once more under its id, whatever has become of it."""
        self._enqueue(Pending(pending.operation, reply_to=pending.reply_to))

    def cut(self) -> None:
        """Break the connection at once, as a network does."""
        if self._stream is not None:
            with suppress(OSError):  # it just broke by itself
                self._stream.socket.shutdown(trio.socket.SHUT_RDWR)

    def pause(self) -> None:
        """Read nothing until `unpause`, and let the kernel keep little."""
        self._reading = trio.Event()
        self._buffer(SMALL_BUFFER)

    def unpause(self) -> None:
        """Read again."""
        self._buffer(LARGE_BUFFER)
        self._reading.set()

    def _buffer(self, size: int) -> None:
        with suppress(OSError):  # closed just now
            if self._stream is not None:
                option = trio.socket.SO_RCVBUF
                self._stream.setsockopt(trio.socket.SOL_SOCKET, option, size)

    def _enqueue(self, pending: Pending) -> None:
        self.outbox.append(pending)
        self._wake.set()

    # --- connections --------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, again and again."""
        while True:
            if not self.stay_away():
                with suppress(OSError):
                    await self._connection()
                self._reset()
            await trio.sleep(self._rng.uniform(0.01, 0.06))

    async def _connection(self) -> None:
        with trio.move_on_after(OPEN_TIMEOUT) as patience:
            with trio.socket.socket() as connected:
                await connected.connect(("127.0.0.1", self._port))
                await self._converse(trio.SocketStream(connected), patience)

    async def _converse(self, stream: trio.SocketStream, patience: trio.CancelScope) -> None:
        async with trio.open_nursery() as nursery:
            with suppress(HandshakeError, ConnectionClosed, _NotNow):
                socket = await wrap_client_stream(
                    nursery,
                    stream,
                    "127.0.0.1",
                    "/ws",
                    subprotocols=["chat4all.v1"],
                    max_message_size=MAX_FRAME,
                )
                starts = await self._handshake(socket)
                patience.deadline = inf
                self._stream = stream
                self.session = self._history.open(self.user, self.device, starts)
                nursery.start_soon(self._pump, socket)
                await self._receive(socket, self.session)
            nursery.cancel_scope.cancel()

    async def _handshake(self, socket: WebSocketConnection) -> dict[str, int]:
        """From `hello` to `ready`; where each conversation starts."""
        assert (await self._next(socket))["t"] == "hello"
        cursors = dict(self.held)
        connect = {"t": "connect", "token": self._token, "device": self.device, "cursors": cursors}
        await socket.send_message(msgpack.packb(connect))
        ready = await self._next(socket)
        if ready["t"] == "error":
            raise _NotNow(ready["code"])
        assert ready["t"] == "ready", ready
        heads = {state["conv"]: state["head"] for state in ready["convs"]}
        return {conv: min(head, cursors.get(conv, head)) for conv, head in heads.items()}

    async def _next(self, socket: WebSocketConnection) -> dict[str, Any]:
        message = await socket.get_message()
        frame: dict[str, Any] = msgpack.unpackb(message)
        return frame

    # --- sending ------------------------------------------------------------------------------

    async def _pump(self, socket: WebSocketConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                self._wake = trio.Event()
                while (frame := self._next_request()) is not None:
                    await socket.send_message(msgpack.packb(frame))
                dues = [pending.due for pending in self.outbox if pending.due]
                self._progress.changed()
                with trio.move_on_at(min(dues, default=inf)):
                    await self._wake.wait()

    def _next_request(self) -> dict[str, Any] | None:
        """The next frame to send now. Messages of a conversation do not overtake each other."""
        assert self.session is not None
        for conversation, upto in self._fetching.items():
            if upto > self.held[conversation] and not any(
                fetch[0] == conversation for fetch in self._fetches.values()
            ):
                return self._fetch(conversation)
        if self._unmarked >= MARK_EVERY:
            self._unmarked = 0
            conversation = self._rng.choice(list(self.held))
            kind = self._rng.choice(["recv", "read"])
            return {"t": kind, "conv": conversation, "seq": self.held[conversation]}
        now = trio.current_time()
        waiting: set[str] = set()
        for pending in self.outbox:
            operation = pending.operation
            if operation.conversation in waiting:
                continue
            if pending.due > now:
                if pending.attempt is None:
                    waiting.add(operation.conversation)
                continue
            self._rid += 1
            attempt = pending.attempt = self._history.send(operation, self.session)
            pending.due = now + ANSWER_TIMEOUT
            self._sends[self._rid] = (pending, attempt)
            frame = {
                "t": "send",
                "rid": self._rid,
                "conv": operation.conversation,
                "id": operation.id,
                "body": {"type": "text", "text": operation.text},
            }
            return frame if pending.reply_to is None else frame | {"reply_to": pending.reply_to}
        return None

    def _fetch(self, conversation: str) -> dict[str, Any]:
        self._rid += 1
        after, limit = self.held[conversation], self._rng.randint(1, 100)
        self._fetches[self._rid] = (conversation, after, limit, trio.current_time())
        return {
            "t": "fetch",
            "rid": self._rid,
            "conv": conversation,
            "after": after,
            "limit": limit,
        }

    # --- receiving ----------------------------------------------------------------------------

    async def _receive(self, socket: WebSocketConnection, session: Session) -> None:
        while True:
            await self._reading.wait()
            frame = await self._next(socket)
            kind = frame["t"]
            if kind == "msg":
                event = event_of(frame)
                self._history.push(session, frame["conv"], event)
                self._hold(frame["conv"], event.seq)
            elif kind == "sent":
                self._sent(session, frame)
            elif kind == "gap":
                conversation, last = frame["conv"], frame["to"]
                self._history.announce(session, conversation, frame["from"], last)
                self._fetching[conversation] = max(self._fetching.get(conversation, 0), last)
                self._wake.set()
            elif kind == "page":
                self._page(frame)
            elif kind == "error":
                self._error(frame)
            self._progress.changed()

    def _hold(self, conversation: str, seq: int) -> None:
        held, ahead = self.held[conversation], self._ahead[conversation]
        if seq <= held:
            return
        ahead.add(seq)
        while held + 1 in ahead:
            held += 1
            ahead.discard(held)
        self.held[conversation] = held
        self._unmarked += 1
        if self._unmarked >= MARK_EVERY:
            self._wake.set()

    def _sent(self, session: Session, frame: dict[str, Any]) -> None:
        pending, attempt = self._sends.pop(frame["rid"])
        operation = pending.operation
        assert (frame["conv"], frame["id"]) == (operation.conversation, operation.id)
        seq, ts, dup = frame["seq"], frame["ts"], frame["dup"]
        self._history.acknowledge(session, operation, attempt, seq=seq, ts=ts, dup=dup)
        self._done(pending)
        self._progress.acknowledged(attempt, operation.conversation)
        self._hold(operation.conversation, seq)

    def _error(self, frame: dict[str, Any]) -> None:
        rid = frame.get("rid")
        again = trio.current_time() + frame.get("retry_after_ms", 500) / 1000
        if rid in self._sends:
            pending, attempt = self._sends.pop(rid)
            self._history.refuse(attempt, frame["code"])
            if not frame["temporary"]:
                self._done(pending)
            else:
                pending.attempt, pending.due = None, again
        elif rid in self._fetches:
            self.cut()  # at the next connect the gap is announced again
        else:
            raise AssertionError(f"an error that answers nothing: {frame}")
        self._wake.set()

    def _done(self, pending: Pending) -> None:
        if pending in self.outbox:  # else an earlier attempt was answered meanwhile
            self.outbox.remove(pending)

    def _page(self, frame: dict[str, Any]) -> None:
        conversation, after, limit, sent = self._fetches.pop(frame["rid"])
        events = [event_of(item) for item in frame["items"]]
        page = Fetched(
            user=self.user,
            device=self.device,
            conversation=conversation,
            after=after,
            before=None,
            limit=limit,
            sent=sent,
            answered=trio.current_time(),
            events=events,
            more=frame["more"],
        )
        self._history.page(page)
        for event in events:
            self._hold(conversation, event.seq)
        if self.held[conversation] >= self._fetching[conversation]:
            del self._fetching[conversation]
        self._wake.set()


def event_of(frame: dict[str, Any]) -> Event:
    """The event in a `msg`."""
    return Event(frame["seq"], frame["id"], frame["from"], frame["body"]["text"], frame["ts"])
