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
from trio_websocket import ConnectionClosed

from tests.faults.line import LARGE_BUFFER, SMALL_BUFFER
from tests.faults.notes import (
    event_of,
    note_claim,
    note_details,
    note_page,
    note_ready,
    note_receipt,
    note_trespass,
)
from tests.faults.opening import NotNow, next_frame, open_session
from tests.faults.outbox import ANSWER_TIMEOUT, Pending

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from trio_websocket import WebSocketConnection

    from tests.faults.history import Attempt, History, Session
    from tests.faults.line import Line
    from tests.faults.opening import Opened
    from tests.faults.progress import Progress

MARK_EVERY: Final = 25
"""Events after which a client says up to where it holds them."""


class Client:
    """One device of one user."""

    def __init__(
        self,
        history: History,
        rng: random.Random,
        *,
        ports: Sequence[int],
        user: str,
        device: str,
        token: str,
        conversations: Sequence[str],
        progress: Progress,
    ) -> None:
        """`ports` are those of the nodes; each connection is to one of them, at random."""
        self.user = user
        self.device = device
        self.held = dict.fromkeys(conversations, 0)
        self.outbox: deque[Pending] = deque()
        self.stay_away: Callable[[], bool] = lambda: False
        """While it is true, the client does not connect again."""
        self._history = history
        self._rng = rng
        self._ports = ports
        self._token = token
        self._progress = progress
        self._ahead: dict[str, set[int]] = {conversation: set() for conversation in conversations}
        self._errands: deque[dict[str, Any]] = deque()
        self._back_off = 0.0
        self._moving: trio.Event | None = None
        """Set when a move to another node has succeeded or failed."""
        self._next: Opened | None = None
        self._reading = trio.Event()
        self._reading.set()
        self._wake = trio.Event()
        self._reset()

    def _reset(self) -> None:
        self.session: Session | None = None
        self._line: Line | None = None
        self._rid = 0
        self._sends: dict[int, tuple[Pending, Attempt]] = {}
        self._fetches: dict[int, tuple[str, int, int, float]] = {}
        self._fetching: dict[str, int] = {}
        self._asked: dict[int, tuple[dict[str, Any], float]] = {}
        self._unmarked = 0
        self._errands.clear()
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

    def ask(self, frame: dict[str, Any]) -> None:
        """Send a request once, if there is a connection; nobody waits for the answer."""
        if self.session is not None:
            self._errands.append(frame)
            self._wake.set()

    def repeat(self, pending: Pending) -> None:
        """Send a message once more under its id, whatever has become of it."""
        self._enqueue(Pending(pending.operation, reply_to=pending.reply_to))

    def cut(self) -> None:
        """Break the connection at once, as a network does."""
        if self._line is not None:
            self._line.cut()

    def pause(self) -> None:
        """Read nothing until `unpause`, and let the kernel keep little."""
        self._reading = trio.Event()
        if self._line is not None:
            self._line.keep(SMALL_BUFFER)
        if self.session is not None:
            self.session.attentive = False

    def unpause(self) -> None:
        """Read again."""
        if self._line is not None:
            self._line.keep(LARGE_BUFFER)
        self._reading.set()

    def _enqueue(self, pending: Pending) -> None:
        self.outbox.append(pending)
        self._wake.set()

    # --- connections --------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, again and again."""
        async with trio.open_nursery() as nursery:
            while True:
                opened = await self._next_session(nursery)
                if opened is not None:
                    await self._live(opened, nursery)
                if self._moving is None:
                    await trio.sleep(self._back_off + self._rng.uniform(0.01, 0.06))

    async def _next_session(self, nursery: trio.Nursery) -> Opened | None:
        """The one to which this client moves, or a new one if it does not stay away."""
        if self._moving is not None:
            await self._moving.wait()
            self._moving = None
            opened, self._next = self._next, None
            return opened
        return None if self.stay_away() else await self._open(nursery)

    async def _open(self, nursery: trio.Nursery) -> Opened | None:
        node = self._rng.randrange(len(self._ports))
        self._back_off = 0.0
        arguments = (self._ports[node], node, self._token, self.device, dict(self.held))
        try:
            return await open_session(nursery, *arguments)
        except NotNow as error:
            self._back_off = error.retry_after
            return None

    async def _move(self, after: float, nursery: trio.Nursery, moved: trio.Event) -> None:
        """Open the next session while this one lasts, as a node that drains asks for."""
        await trio.sleep(after)
        self._next = await self._open(nursery)
        moved.set()
        if self._next is not None:
            self.cut()

    async def _live(self, opened: Opened, nursery: trio.Nursery) -> None:
        """A session from `ready` to its end."""
        self._line = opened.line
        session = self._history.open(self.user, self.device, opened.starts, opened.node)
        self.session = session
        note_ready(self._history, session, opened.ready, opened.asked)
        for conversation, head in opened.heads.items():
            if conversation not in opened.cursors:
                self._history.introduce(session, conversation, head)
                self._learn(conversation, head)
        try:
            async with trio.open_nursery() as talking:
                talking.start_soon(self._pump, opened.socket)
                with suppress(ConnectionClosed):
                    await self._receive(opened.socket, session, nursery)
                talking.cancel_scope.cancel()
        finally:
            session.ended = trio.current_time()
            opened.line.close()
            self._reset()

    def _learn(self, conversation: str, head: int) -> None:
        """There is a conversation, of which events after `head` will come."""
        self.held.setdefault(conversation, 0)
        self._ahead.setdefault(conversation, set())
        if head > self.held[conversation]:
            self._fetching[conversation] = max(self._fetching.get(conversation, 0), head)
            self._wake.set()

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
            seq = self.held[conversation]
            note_claim(self._history, self.user, conversation, seq, read=kind == "read")
            return {"t": kind, "conv": conversation, "seq": seq}
        if self._errands:
            frame = self._errands.popleft()
            if frame["t"] == "typing":
                return frame
            self._rid += 1
            self._asked[self._rid] = (frame, trio.current_time())
            return frame | {"rid": self._rid}
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

    async def _receive(
        self, socket: WebSocketConnection, session: Session, nursery: trio.Nursery
    ) -> None:
        while True:
            await self._reading.wait()
            frame = await next_frame(socket)
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
            elif kind == "conv":
                self._conv(session, frame)
            elif kind == "receipt":
                note_receipt(self._history, session, frame)
            elif kind == "typing":
                session.overheard[frame["conv"]] = kind
            elif kind == "reconnect" and self._moving is None:
                self._moving = trio.Event()
                nursery.start_soon(self._move, frame["after_ms"] / 1000, nursery, self._moving)
            self._progress.changed()

    def _conv(self, session: Session, frame: dict[str, Any]) -> None:
        """A conversation that was created or asked for, by this client or somebody else."""
        request, asked = self._asked.pop(frame.get("rid", 0), ({"t": "create"}, 0.0))
        conversation = frame["conv"]
        if request["t"] == "info":
            if conversation in self.held:
                note_details(self._history, session, frame, asked)
            else:
                note_trespass(self._history, session, request, "conv")
        elif "rid" not in frame or conversation not in self.held:
            self._history.introduce(session, conversation, frame["head"])
            self._learn(conversation, frame["head"])

    def _hold(self, conversation: str, seq: int) -> None:
        if conversation not in self.held:
            return  # nothing that this client should ever have seen
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
        if operation.conversation not in self.held:
            self._history.introduce(session, operation.conversation, seq - 1)
            self._learn(operation.conversation, seq - 1)
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
        elif rid in self._asked:
            assert self.session is not None
            request, _ = self._asked.pop(rid)
            if request.get("conv") not in (None, *self.held):
                note_trespass(self._history, self.session, request, frame["code"])
        elif not frame["temporary"]:
            raise AssertionError(f"an error that answers nothing: {frame}")
        self._wake.set()

    def _done(self, pending: Pending) -> None:
        if pending in self.outbox:  # else an earlier attempt was answered meanwhile
            self.outbox.remove(pending)

    def _page(self, frame: dict[str, Any]) -> None:
        assert self.session is not None
        if (asked := self._asked.pop(frame["rid"], None)) is not None:
            note_trespass(self._history, self.session, asked[0], "page")
            return
        fetch = self._fetches.pop(frame["rid"])
        conversation = fetch[0]
        for event in note_page(self._history, self.session, fetch, frame):
            self._hold(conversation, event.seq)
        if self.held[conversation] >= self._fetching[conversation]:
            del self._fetching[conversation]
        self._wake.set()
