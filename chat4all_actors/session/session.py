"""A user's session: one connection, from its `hello` to its end.

What the client sends is handled in `resume` (the `connect`) and `requests` (everything after).
What comes back goes through `delivery`; what ends it stands in `lifetime`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_protocol.codes import CloseCode
from chat4all_protocol.connection import Refusal, ServerConnection, State
from chat4all_protocol.frames import PROTOCOL_VERSION, Connect, Hello, Limits, Reconnect, Sent
from chat4all_protocol.ids import new_id

from ..wire import framed
from . import requests, resume
from .lifetime import Lifetime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from chat4all_protocol.frames import Conv, Error

    from ..messages import Passing, Post
    from .outlet import Outlet
    from .services import Services


class Session(Lifetime):
    """One connection's state: a `Reader` of conversations and the `Origin` of its posts."""

    __slots__ = (
        "_finishing",
        "_inflight",
        "_progress",
        "connection",
        "departures",
        "id",
        "missing",
    )

    def __init__(self, services: Services, outlet: Outlet) -> None:
        super().__init__(services, outlet)
        self.id = new_id()
        self.connection = ServerConnection(services.settings.max_frame)
        self.missing: frozenset[int] = frozenset()
        """See `messages.Reader`."""
        self.departures: set[str] | None = None
        """While conversations are being read that come late: those that the user left meanwhile."""
        self._inflight = 0
        """Requests that will be answered."""
        self._progress: trio.lowlevel.ParkingLot | None = None
        self._finishing = False

    # --- for the connection -------------------------------------------------------------------

    def start(self) -> None:
        """Greet the client."""
        self.services.heartbeat.add(self)
        self.send(_hello(self.services))

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
        settings = self.services.settings
        if (
            wait is None
            and self._inflight < settings.max_inflight
            and self.outlet.queued <= settings.max_outbound
        ):
            return None
        return self._settle(wait)

    async def _settle(self, wait: Awaitable[None] | None) -> None:
        """Wait until the client may go on with what it wants next."""
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

    def ended(self) -> None:
        """The connection is gone."""
        self._stop()
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

    def went_live(self) -> None:
        """`ready` was sent."""
        self.connection.went_live()
        self.hears = not self._closing
        self.early = None
        # What follows waits for this client alone, who may be slow.
        self.services.resumes.leave(self)
        self.services.heartbeat.calm(self)
        if self._moving is not None:
            self.send(Reconnect(after_ms=self._moving))

    # --- for a drain --------------------------------------------------------------------------

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

    # --- as a `Reader` ------------------------------------------------------------------------

    def deliver_own(self, conversation: str, events: Sequence[Passing]) -> None:
        """See `messages.Reader`."""
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

    def entered(self, frame: Conv) -> None:
        """See `messages.Reader`."""
        self.conversations.append(frame.conv)
        if self.early is not None:
            self.early[frame.conv] = frame
        else:
            self.send(frame)
            self.services.presence.watching.met(self, frame.members)

    def left(self, frame: Conv) -> None:
        """See `messages.Reader`."""
        if self.departures is not None:
            self.departures.add(frame.conv)
        if self.early is not None:
            self.early[frame.conv] = frame
            return
        self.forget(frame.conv)
        self.send(frame)
        self.services.presence.watching.parted(self)

    def met(self, user: str) -> None:
        """See `messages.Reader`."""
        self.services.presence.watching.met(self, [user])

    def parted(self, user: str) -> None:
        """See `messages.Reader`."""
        self.services.presence.watching.parted(self, user)

    # --- as an `Origin` -----------------------------------------------------------------------

    def posted(self) -> None:
        """A request is on its way, and will be answered by one of the following."""
        self._inflight += 1

    def stored(self, post: Post, seq: int, ts: int, *, dup: bool) -> None:
        """See `messages.Origin`."""
        self.announce(post.append.conversation)
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
        if self._finishing:
            self.finish()


def _sent(post: Post, seq: int, ts: int, dup: bool) -> Sent:
    append = post.append
    return Sent(rid=post.rid, conv=append.conversation, id=append.id, seq=seq, ts=ts, dup=dup)


def _hello(services: Services) -> Hello:
    """The first frame of a connection."""
    settings = services.settings
    return Hello(
        proto=PROTOCOL_VERSION,
        node=services.node_id,
        now=int(services.wall_clock() * 1000),
        heartbeat_ms=int(settings.heartbeat * 1000),
        limits=Limits(
            frame=settings.max_frame,
            text=settings.max_text,
            inflight=settings.max_inflight,
            rate=settings.rate_messages_per_minute,
        ),
    )
