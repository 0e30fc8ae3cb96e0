"""The client without I/O: bytes and calls in, bytes and events out.

The shell (`connector.py`) opens a `Link` for each connection, hands in what it receives, sends
what `Link.take` gives, and calls `tick` at `next_time`. Time is a number of seconds that only
grows. Nothing here waits.

At any time at most one link is live. A newer one that becomes live takes its place: what was on
the wire goes out again on the new one with the same ids, and events that both bring pass once.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.connection import ProtocolViolation
from chat4all_protocol.frames import (
    PROTOCOL_VERSION,
    Composing,
    Connect,
    Conv,
    Error,
    FileProgress,
    Gap,
    Hello,
    Msg,
    Ok,
    Page,
    Presence,
    Ready,
    Receipt,
    Reconnect,
    Sent,
    Typing,
    Watch,
)

from .calls import Call, Calls
from .checks import event_of
from .conversations import Conversations
from .events import Connected, Disconnected, Event
from .history import History
from .link import CatchUp, Link, LinkState
from .marks import Marks
from .outbox import Entry, Outbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cursors import Cursors
    from .errors import ClientError
    from .link import Request
    from .options import Options

logger = logging.getLogger(__name__)

TYPING_INTERVAL: Final = 3.0
"""Seconds between two `typing` frames of one conversation."""


class Engine:
    """Everything the client knows."""

    def __init__(
        self, options: Options, cursors: Cursors | None, random: Callable[[], float]
    ) -> None:
        self._options = options
        self.link: Link | None = None
        """The live one."""
        self.error: ClientError | None = None
        """Why the client ended for good."""
        self.conversations = Conversations()
        self.outbox = Outbox(pipeline=options.pipeline, random=random)
        self.history = History(self.conversations, cursors, options.event_buffer)
        self.events: deque[Event] = deque()
        self.connects = 0
        self.background = options.background
        """Nobody is in front of the device."""
        self._calls = Calls(random)
        self._marks = Marks()
        self._watched: list[str] = []
        self._typed: dict[str, float] = {}
        self._rid = 0
        self._handlers: dict[type, Callable[[Link, Any, float], None]] = {
            Hello: self._hello,
            Ready: self._ready,
            Msg: self._event,
            Sent: self._sent,
            Gap: self._gap,
            Page: self._page,
            Conv: self._conv,
            Error: self._refused,
            Reconnect: self._reconnect,
            Receipt: self._receipt,
            Composing: self._passing,
            Presence: self._passing,
            FileProgress: self._passing,
            Ok: self._done,
        }

    # --- connections ----------------------------------------------------------------------------

    def open_link(self, token: str, now: float) -> Link:
        """A new connection is being opened; the live one goes on until it is ready."""
        return Link(token, now)

    def receive(self, link: Link, data: bytes, now: float) -> None:
        """A WebSocket message came.

        Raises:
            ProtocolViolation: the server broke a rule: drop the connection and open another.
        """
        if link.state is LinkState.ENDED:
            return  # replaced; what it still brings comes again on its successor
        frame = link.receive(data, now)
        handler = self._handlers.get(type(frame))
        if handler is not None:
            handler(link, frame, now)
        self._pump(now)

    def ended(self, link: Link, now: float) -> None:
        """The connection is gone."""
        link.state = LinkState.ENDED
        if link is self.link:
            self.link = None
            self._recover(link, now)

    def trouble(self, reason: str, code: int | None, retry_in: float) -> None:
        """There is no connection, and the next attempt is made in `retry_in` seconds."""
        self._tell(Disconnected(reason=reason, code=code, retry_in=retry_in))

    def fail(self, error: ClientError) -> None:
        """The client ends for good; everybody who waits gets `error`."""
        if self.error is not None:
            return
        self.error = error
        link, self.link = self.link, None
        if link is not None:
            link.state = LinkState.ENDED
            for request, _ in link.on_wire.values():
                if isinstance(request, Call):
                    request.done(error)
        self.outbox.fail(error)
        self._calls.fail(error)

    def _recover(self, link: Link, now: float) -> None:
        """Take back what is on the wire of a connection that ended."""
        requests = [request for request, _ in link.on_wire.values()]
        link.on_wire.clear()
        self.outbox.disconnected(now)
        for request in reversed(requests):
            if isinstance(request, Call):
                self._calls.unanswered(request)
            elif isinstance(request, CatchUp):
                self.history.unanswered(request)

    # --- what the application does --------------------------------------------------------------

    def submit(self, entry: Entry, now: float) -> None:
        """Send a message.

        Raises:
            ValueError: its id waits already.
        """
        self.outbox.add(entry)
        self._pump(now)

    def withdraw(self, entry: Entry, now: float) -> bool:
        """Give a message up that was never put on the wire; False if it was."""
        return self.outbox.withdraw(entry, now)

    def call(self, call: Call, now: float) -> None:
        """Ask the server for something."""
        self._calls.add(call)
        self._pump(now)

    def mark_received(self, conv: str, seq: int, now: float) -> None:
        """This device holds everything up to `seq`."""
        self._marks.received(conv, seq)
        self._pump(now)

    def mark_read(self, conv: str, seq: int, now: float) -> None:
        """The user has read up to `seq`."""
        self._marks.read(conv, seq)
        self.conversations.read(conv, seq)
        self._pump(now)

    def typing(self, conv: str, kind: Any, now: float) -> None:
        """The user composes; dropped without a connection, and when it was just told."""
        link = self.link
        if link is None or now < self._typed.get(conv, 0.0):
            return
        self._typed = {key: until for key, until in self._typed.items() if until > now}
        self._typed[conv] = now + TYPING_INTERVAL
        link.send(Typing(conv=conv, kind=kind))

    def watch(self, users: list[str]) -> None:
        """Follow the presence of these users, over reconnects."""
        self._watched = users
        if self.link is not None:
            self.link.send(Watch(users=users))

    def next_event(self, now: float) -> Event | None:
        """The next event for the application, if there is one."""
        if not self.events:
            return None
        event = self.events.popleft()
        if isinstance(event, Msg):
            self.history.taken()
            self._pass(self.history.drain())
            self._pump(now)
        return event

    def handled(self, event: Event, now: float) -> None:
        """The application is done with `event`."""
        if isinstance(event, Msg):
            self.history.handled(event)
            if self._options.acknowledge and event.from_ != self.conversations.user:
                self.mark_received(event.conv, event.seq, now)

    # --- time -----------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._pump(now)

    def silent(self, link: Link, now: float) -> bool:
        """Whether nothing came for so long that the connection must be dead."""
        return not link.beat(now)

    def next_time(self) -> float:
        """When to call `tick`."""
        link = self.link
        if link is None:
            return float("inf")
        times = [link.next_beat(), self._marks.next_time()]
        if link.on_wire:
            times.append(next(iter(link.on_wire.values()))[1])
        if link.has_room:
            times += (self._calls.next_time(), self.history.next_time(), self.outbox.next_time())
        return min(times)

    def flush_marks(self, now: float) -> None:
        """Tell the marks that wait for their interval."""
        if self.link is not None:
            for mark in self._marks.take(now, all_=True):
                self.link.send(mark)

    def _pump(self, now: float) -> None:
        """Put on the wire whatever may go."""
        link = self.link
        if link is None:
            return
        while link.on_wire:
            rid, (request, until) = next(iter(link.on_wire.items()))
            if until > now:
                break
            del link.on_wire[rid]
            self._unanswered(request, now)
        while link.has_room:
            request_ = self._calls.take(now) or self.history.take(now) or self.outbox.take(now)
            if request_ is None:
                break
            self._rid += 1
            link.on_wire[self._rid] = (request_, now + self._options.answer_timeout)
            link.send(request_.with_rid(self._rid))
        for mark in self._marks.take(now):
            link.send(mark)

    def _unanswered(self, request: Request, now: float) -> None:
        if isinstance(request, Entry):
            self.outbox.unanswered(request, now)
        elif isinstance(request, Call):
            self._calls.unanswered(request)
        else:
            self.history.unanswered(request)

    # --- frames ---------------------------------------------------------------------------------

    def _hello(self, link: Link, hello: Hello, now: float) -> None:
        if hello.proto != PROTOCOL_VERSION:
            raise ProtocolViolation(f"protocol version {hello.proto} is not known here")
        link.heartbeat = hello.heartbeat_ms / 1000
        link.inflight = max(1, hello.limits.inflight)
        link.cursors = self.history.cursors()
        connect = Connect(
            token=link.token,
            device=self._options.device,
            cursors=link.cursors or None,
            background=self.background,
        )
        link.rules.connecting(connect)
        link.send(connect)

    def _ready(self, link: Link, ready: Ready, now: float) -> None:
        old, self.link = self.link, link
        if old is not None:
            old.state = LinkState.ENDED
            self._recover(old, now)
        link.state = LinkState.LIVE
        self.connects += 1
        self.conversations.ready(ready)
        self.history.connected(ready, link.cursors)
        self._marks.connected(ready.convs)
        if self._watched:
            link.send(Watch(users=self._watched))
        hello = link.rules.hello
        assert hello is not None  # the rules let `ready` through only after it
        self._tell(Connected(user=ready.user, node=hello.node))

    def _event(self, link: Link, event: Msg, now: float) -> None:
        self._pass(self.history.receive(event))

    def _sent(self, link: Link, sent: Sent, now: float) -> None:
        link.on_wire.pop(sent.rid, None)
        entry = self.outbox.sent(sent, now)
        if entry is None:
            # It answers a request that was repeated. It may be the only one to tell of the event.
            self.history.announce(sent.conv, sent.seq, sent.seq)
            return
        self._pass(self.history.receive(event_of(entry.frame, sent, self.conversations.user)))

    def _gap(self, link: Link, gap: Gap, now: float) -> None:
        self.history.announce(gap.conv, gap.from_, gap.to)

    def _page(self, link: Link, page: Page, now: float) -> None:
        request = self._answered(link, page.rid)
        if isinstance(request, CatchUp):
            self._pass(self.history.page(request, page, now))
        elif isinstance(request, Call):
            request.done(page)

    def _conv(self, link: Link, conv: Conv, now: float) -> None:
        self.conversations.changed(conv)
        if not conv.changed:
            self.history.changed(conv)
        request = self._answered(link, conv.rid)
        if isinstance(request, Call):
            request.done(conv)
        if conv.rid is None:
            self._tell(conv)

    def _done(self, link: Link, ok: Ok, now: float) -> None:
        request = self._answered(link, ok.rid)
        if isinstance(request, Call):
            request.done(ok)

    def _refused(self, link: Link, error: Error, now: float) -> None:
        link.last_error = error.message
        if link.state is LinkState.OPENING:
            link.retry_after = (error.retry_after_ms or 0) / 1000
        request = self._answered(link, error.rid)
        if isinstance(request, Entry):
            self.outbox.refused(request, error, now)
        elif isinstance(request, Call):
            self._calls.refused(request, error, now)
        elif isinstance(request, CatchUp):
            self.history.refused(request, error, now)
        elif link.state is LinkState.LIVE and error.code != ErrorCode.UNKNOWN_FRAME:
            logger.warning("the server refused a frame: %s (%s)", error.message, error.code)

    def _reconnect(self, link: Link, frame: Reconnect, now: float) -> None:
        link.move_at = min(link.move_at, now + frame.after_ms / 1000)

    def _receipt(self, link: Link, receipt: Receipt, now: float) -> None:
        self.conversations.receipt(receipt)
        self._tell(receipt)

    def _passing(self, link: Link, frame: Composing | Presence | FileProgress, now: float) -> None:
        self._tell(frame)

    def _answered(self, link: Link, rid: int | None) -> Request | None:
        request = link.on_wire.pop(rid, None) if rid is not None else None
        return request[0] if request is not None else None

    def _pass(self, events: list[Msg]) -> None:
        """Durable events come to the application, in this order."""
        for event in events:
            self.conversations.happened(event)
            self.events.append(event)

    def _tell(self, event: Event) -> None:
        """Best effort: dropped when the application is far behind."""
        if len(self.events) < 2 * self._options.event_buffer:
            self.events.append(event)
