"""A user's session: one connection, from its `hello` to its end.

What the client sends is handled in `resume` (the `connect`) and `requests` (everything after).
What comes back goes to the outlet (the WebSocket), which has the only queue, bounded in bytes:
beyond the bound events are not queued but remembered as a hole, which `gap` announces as soon as
the client has caught up with the queue.

Invariant: of each conversation it reads, the session has passed on, announced as a gap or holds
back every event up to the conversation's head, in order.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from chat4all_protocol.codes import CloseCode
from chat4all_protocol.connection import Refusal, ServerConnection, State
from chat4all_protocol.frames import (
    Connect,
    Gap,
    Reconnect,
    Sent,
)
from chat4all_protocol.ids import new_id

from ..limits.limits import MESSAGES
from ..wire import framed
from . import requests, resume
from .services import greeting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from chat4all_protocol.frames import Conv, Error, ServerFrame

    from ..accounts.tokens import Identity
    from ..fanout import Passing
    from ..messages import Post
    from .outlet import Outlet
    from .services import Services

logger = logging.getLogger(__name__)


class Session:
    """One connection's state: a `Reader` of conversations and the `Origin` of its posts."""

    __slots__ = (
        "_acted",
        "_closing",
        "_deadline",
        "_finishing",
        "_gaps",
        "_gaps_since",
        "_hears",
        "_idle",
        "_inflight",
        "_most",
        "_moving",
        "_progress",
        "_seen",
        "_unanswered",
        "background",
        "birth",
        "connection",
        "conversations",
        "departures",
        "device",
        "early",
        "expires_at",
        "held",
        "id",
        "issued_at",
        "login",
        "missing",
        "outlet",
        "services",
        "user",
        "user_id",
    )

    def __init__(self, services: Services, outlet: Outlet) -> None:
        self.id = new_id()
        self.user = ""
        self.user_id = ""
        self.device = ""
        self.birth = 0
        """See `fanout.Reader`."""
        self.background = False
        """Nobody is in front of the device, as the client says."""
        self.expires_at = float("inf")
        """When the token ends, in seconds since the epoch."""
        self.issued_at = 0
        """When the token was made, likewise."""
        self.login: str | None = None
        """The login that the token belongs to."""
        self.services = services
        self.outlet = outlet
        self.connection = ServerConnection(services.settings.max_frame)
        self.conversations: list[str] = []
        """Those it has entered, perhaps left since."""
        self.early: dict[str, Conv] | None = None
        """Memberships that changed while `connect` was being answered."""
        self.missing: frozenset[int] = frozenset()
        """See `fanout.Reader`."""
        self.departures: set[str] | None = None
        """While conversations are being read that come late: those that the user left meanwhile."""
        self.held: resume.Held | None = None
        """Events of conversations whose missed events are still being replayed."""
        self._gaps: dict[str, tuple[int, int]] | None = None
        """Events that were not queued, by conversation. Not None: until the queue is empty."""
        self._gaps_since = 0.0
        self._inflight = 0
        self._progress: trio.lowlevel.ParkingLot | None = None
        self._seen = services.heartbeat.now
        self._unanswered = 0
        """1 since a ping was sent, 2 since its answer was due; 0 when something came."""
        self._acted = self._seen
        """When the user last did anything."""
        self._idle = False
        self._closing = False
        self._hears = False
        """Whether events are for it: it is live, and not closing."""
        self._most = services.settings.max_outbound
        self._moving: int | None = None
        """The client was told to connect elsewhere, in so many milliseconds."""
        self._finishing = False
        self._deadline: float | None = self._seen + services.settings.connect_timeout
        """For `connect` to come or, when closing, for the other side to close."""

    # --- for the connection -------------------------------------------------------------------

    def start(self) -> None:
        """Greet the client."""
        self.services.heartbeat.add(self)
        self.send(greeting(self.services))

    def touched(self) -> None:
        """Something came from the client."""
        self._seen = self.services.heartbeat.now
        self._unanswered = 0

    async def receive(self, data: bytes) -> None:
        """Act on one message; returns when the next may be read."""
        if (wait := self.begin(data)) is not None:
            await wait

    def begin(self, data: bytes) -> Awaitable[None] | None:
        """Act on one message; returns what has to be awaited before the next is read.

        Nearly always that is nothing: the message was acted on, without a switch of tasks.
        """
        if self._closing or self._finishing:
            return None
        wait: Awaitable[None] | None = None
        frame = self.connection.receive(data)
        if isinstance(frame, Refusal):
            self.send(frame.error)
            if frame.close is not None:
                self.close(frame.close, frame.error.message)
        elif isinstance(frame, Connect):
            self._deadline = None
            wait = resume.connect(self, frame)
        else:
            wait = requests.handle(self, frame)
        if wait is None and not self._pressed:
            return None
        return self._settle(wait)

    @property
    def _pressed(self) -> bool:
        """Whether the client has to wait with what it wants next."""
        settings = self.services.settings
        return self._inflight >= settings.max_inflight or self.outlet.queued > settings.max_outbound

    async def _settle(self, wait: Awaitable[None] | None) -> None:
        if wait is not None:
            await wait
        settings = self.services.settings
        while self._inflight >= settings.max_inflight:
            if self._progress is None:
                self._progress = trio.lowlevel.ParkingLot()
            await self._progress.park()
        if self.outlet.queued > settings.max_outbound:
            # Answers are never dropped, so a client that does not take them gets no more of them.
            await self.outlet.room(settings.max_outbound)

    def drained(self) -> None:
        """The outlet's queue is empty again: say what was not queued."""
        gaps, self._gaps = self._gaps, None
        for id_, (first, last) in (gaps or {}).items():
            self.send(Gap(conv=id_, from_=first, to=last))

    def ended(self) -> None:
        """The connection is gone."""
        self._closing = True
        self._hears = False
        self.services.heartbeat.remove(self)
        self.services.local.remove(self)
        self.services.presence.leave(self)
        entered, self.conversations = self.conversations, []
        for id_ in entered:
            self.services.conversations.leave(id_, self)

    # --- for resume and requests --------------------------------------------------------------

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int(self.services.wall_clock() * 1000)

    def send(self, frame: ServerFrame) -> None:
        """Send a frame that answers the client."""
        self.outlet.send_nowait(framed(frame))

    def identify(self, identity: Identity, device: str) -> None:
        """The client has shown who it is."""
        self.user = identity.username
        self.user_id = identity.user_id
        self.device = device
        self.show(identity)
        self.services.limits.watch(MESSAGES, self.user)

    def show(self, identity: Identity) -> None:
        """The client has shown a token that counts."""
        self.expires_at = identity.expires_at
        self.issued_at = identity.issued_at
        self.login = identity.login

    @property
    def over(self) -> bool:
        """Whether it is closing, or closed."""
        return self._closing

    def acted(self) -> None:
        """The client sent something that shows that its user is there."""
        self._acted = self.services.heartbeat.now
        if self._idle:
            self._turn(idle=False)

    def put_in_background(self, background: bool) -> None:
        """Whether nobody is in front of the device, as the client says."""
        self.background = background
        self._turn(idle=self._idle)

    def _turn(self, *, idle: bool) -> None:
        self._idle = idle
        self.services.presence.turn(self, away=idle or self.background)

    def went_live(self) -> None:
        """`ready` was sent."""
        self.connection.went_live()
        self._hears = not self._closing
        self.early = None
        # What follows waits for this client alone, who may be slow.
        self.services.resumes.leave(self)
        self.services.heartbeat.calm(self)
        if self._moving is not None:
            self.send(Reconnect(after_ms=self._moving))

    def close(self, code: CloseCode, reason: str, *, discard: bool = False) -> None:
        """End the connection; the client learns the code if it still listens."""
        if self._closing:
            return
        self._closing = True
        self._hears = False
        self._deadline = self.services.heartbeat.now + self.services.settings.close_timeout
        self.services.heartbeat.hurry(self)
        self.outlet.close(code, reason, discard=discard)

    def drain(self, after_ms: int) -> None:
        """Ask the client to connect elsewhere; the session is served as before.

        One that has not begun to `connect` is closed: it loses nothing by that.
        """
        if self._closing:
            return
        self._moving = after_ms
        if self.connection.state is State.LIVE:
            self.send(Reconnect(after_ms=after_ms))
        elif self.connection.state is State.OPENED:
            self.finish()

    def finish(self) -> None:
        """Read no more from the client, and end when what it sent has been answered."""
        self._finishing = True
        if not self._inflight:
            self.close(CloseCode.DRAINING, "this node is stopping")

    # --- as a `Pulse` -------------------------------------------------------------------------

    def beat(self, now: float) -> None:
        """Look after the time-outs."""
        settings = self.services.settings
        if self._deadline is not None and now >= self._deadline:
            if self._closing:
                self.outlet.abort()
            else:
                self.close(CloseCode.NO_CONNECT, "no connect in time")
            return
        if self._closing:
            return
        stalled = self.outlet.stalled_since
        if (stalled is not None and now - stalled > settings.slow_timeout) or (
            self._gaps is not None and now - self._gaps_since > settings.slow_timeout
        ):
            self.close(CloseCode.TOO_SLOW, "too slow", discard=True)
        elif self.services.wall_clock() >= self.expires_at:
            self.close(CloseCode.TOKEN_EXPIRED, "the token has expired")
        elif now - self._acted >= settings.away_after and not self._idle:
            self._turn(idle=True)
        elif now - self._seen >= settings.heartbeat:
            # Visits may come late: nobody is given up who was not asked before. On a busy node the
            # answer may lie in the socket when it is due: it has until the next visit to be read.
            if not self._unanswered:
                self._unanswered = 1
                self.outlet.ping()
            elif now - self._seen >= settings.heartbeat + settings.heartbeat_grace:
                if self._unanswered == 1:
                    self._unanswered = 2
                else:
                    self.close(CloseCode.NO_HEARTBEAT, "no sign of life")

    # --- as a `Reader` ------------------------------------------------------------------------

    def deliver(self, conversation: str, first: int, last: int, data: bytes) -> None:
        """See `fanout.Reader`."""
        if not self._hears:
            return
        if self.held is not None and self.held.take(conversation, first, last, data):
            return
        if self._gaps is not None or not self.outlet.offer(data, self._most):
            self._miss(conversation, first, last)

    def deliver_own(self, conversation: str, events: Sequence[Passing]) -> None:
        """See `fanout.Reader`."""
        if self._gaps is not None or self.outlet.queued:
            for event in events:
                if event.post is not None and event.post.origin is self:
                    self.stored(event.post, event.seq, event.ts, dup=event.dup)
                else:
                    self.deliver(conversation, event.seq, event.seq, event.data)
            return
        parts: list[bytes] = []
        answered = 0
        for event in events:
            if event.post is not None and event.post.origin is self:
                answered += 1
                parts.append(framed(_sent(event.post, event.seq, event.ts, event.dup)))
            else:
                parts.append(event.data)
        self.outlet.send_nowait(b"".join(parts))
        for _ in range(answered):
            self._answered()

    def deliver_passing(self, data: bytes) -> None:
        """See `fanout.Reader`."""
        self._send_passing(data)

    def deliver_presence(self, data: bytes) -> bool:
        """See `watching.Watcher`."""
        return self._closing or self._send_passing(data)

    def _send_passing(self, data: bytes) -> bool:
        live = self.connection.state is State.LIVE and self._gaps is None and self.held is None
        roomy = live and self.outlet.queued < self.services.settings.max_outbound // 2
        if roomy:
            self.outlet.send_nowait(data)
        return roomy

    def entered(self, frame: Conv) -> None:
        """See `fanout.Reader`."""
        self.conversations.append(frame.conv)
        if self.early is not None:
            self.early[frame.conv] = frame
        else:
            self.send(frame)
            self.services.presence.watching.met(self, frame.members)

    def met(self, user: str) -> None:
        """See `fanout.Reader`."""
        self.services.presence.watching.met(self, [user])

    def parted(self, user: str) -> None:
        """See `fanout.Reader`."""
        self.services.presence.watching.parted(self, user)

    def missed(self, conversation: str, first: int, last: int) -> None:
        """See `fanout.Reader`."""
        if self._gaps is not None:
            self._miss(conversation, first, last)
        elif self.early is None:  # else `resume` says so with `ready`
            self.send(Gap(conv=conversation, from_=first, to=last))

    def left(self, frame: Conv) -> None:
        """See `fanout.Reader`."""
        if self.departures is not None:
            self.departures.add(frame.conv)
        if self.early is not None:
            self.early[frame.conv] = frame
            return
        if self._gaps is not None:
            self._gaps.pop(frame.conv, None)  # what it missed there is not its any more
        if self.held is not None:
            self.held.drop(frame.conv)
        self.send(frame)
        self.services.presence.watching.parted(self)

    @property
    def closing(self) -> bool:
        """See `latecomers.Latecomer`."""
        return self._closing

    def introduced(self, conv: Conv, gap: Gap | None) -> None:
        """See `latecomers.Latecomer`."""
        self.conversations.append(conv.conv)
        self.send(conv)
        if gap is not None:
            self.send(gap)

    def replaced(self) -> None:
        """See `fanout.Reader`."""
        if self._moving is not None:
            self.close(CloseCode.DRAINING, "moved")  # as it was told to
        else:
            self.close(CloseCode.REPLACED, "the same device connected again")

    def revoked(self, valid_from: int) -> None:
        """See `fanout.Reader`."""
        if self.issued_at < valid_from:
            self.close(CloseCode.REVOKED, "the token was revoked")

    def logged_out(self, login: str) -> None:
        """See `fanout.Reader`."""
        if self.login == login:
            self.close(CloseCode.REVOKED, "the login has ended")

    def close_internal(self) -> None:
        """See `fanout.Reader`."""
        self.close(CloseCode.INTERNAL, "please connect again")

    def _miss(self, conversation: str, first: int, last: int) -> None:
        if self._gaps is None:
            self._gaps = {}
            self._gaps_since = self.services.heartbeat.now
        known = self._gaps.get(conversation)
        self._gaps[conversation] = (first if known is None else known[0], last)

    # --- as an `Origin` -----------------------------------------------------------------------

    def posted(self) -> None:
        """A request is on its way, and will be answered by one of the following."""
        self._inflight += 1

    def stored(self, post: Post, seq: int, ts: int, *, dup: bool) -> None:
        """See `messages.Origin`."""
        if self._gaps is not None and (gap := self._gaps.pop(post.append.conversation, None)):
            self.send(Gap(conv=post.append.conversation, from_=gap[0], to=gap[1]))
        self.send(_sent(post, seq, ts, dup))
        self._answered()

    def refused(self, post: Post, error: Error) -> None:
        """See `messages.Origin`."""
        self.send(error)
        self._answered()

    def lost(self, post: Post) -> None:
        """See `messages.Origin`."""
        self.close_internal()
        self._answered()

    def _answered(self) -> None:
        self._inflight -= 1
        if self._progress is not None:
            self._progress.unpark_all()
        if self._finishing and not self._inflight:
            self.close(CloseCode.DRAINING, "this node is stopping")


def _sent(post: Post, seq: int, ts: int, dup: bool) -> Sent:
    append = post.append
    return Sent(rid=post.rid, conv=append.conversation, id=append.id, seq=seq, ts=ts, dup=dup)
