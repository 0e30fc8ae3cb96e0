"""A correct client as SPEC section 10 describes it, which checks everything it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from msgspec import Struct

from chat4all_protocol.codes import may_reconnect
from chat4all_protocol.connection import ProtocolViolation, State
from chat4all_protocol.frames import (
    Composing,
    Connect,
    Conv,
    Error,
    Fetch,
    Gap,
    Hello,
    Msg,
    Page,
    Ready,
    Receipt,
    Reconnect,
    Send,
    Sent,
    TextBody,
)

from .sim_link import Link

if TYPE_CHECKING:
    from chat4all_protocol.frames import AnyServerFrame

    from .sim_world import World

FETCH = 5
RECONNECT_AFTER = 0.25
RETRY_AFTER = 1.0
NO_ANSWER_AFTER = 10.0


class Message(Struct, eq=False):
    """What somebody wanted to say, and what became of it."""

    conv: str
    id: str
    sender: str
    text: str
    floor: int
    """The highest seq known to have been answered when it was first sent (G5)."""
    unanswered: int = 0
    """Tries without an answer."""
    failed: bool = False
    """Refused for good."""
    seq: int | None = None
    due: float = 0.0
    """When to try again."""


class Device:
    """One device of a user, through all its connections."""

    def __init__(self, world: World, user: str, name: str, home: int) -> None:
        self.world = world
        self.user = user
        self.name = name
        self.home = home
        """The node that it connects to when it can."""
        self.link: Link | None = None
        self.former: list[Link] = []
        """Connections that the current one is to replace."""
        self.offline = False
        """Was told not to come back, or does not want to."""
        self.events: dict[str, dict[int, tuple[str, str]]] = {}
        """What it holds, by conversation and seq: who wrote it, and its id."""
        self.outbox: list[Message] = []
        self._target: dict[str, int] = {}
        """How far each conversation is known to go."""
        self._fetching: dict[str, tuple[int, int, int]] = {}
        """By conversation: the rid, where after, and the head when it was asked."""
        self._requests: dict[int, Message] = {}
        self._pages: dict[int, str] = {}
        self._rid = 0
        self._again_at = 0.0
        self._move_at: float | None = None
        """When to connect elsewhere, as it was told to."""

    def held(self, conv: str) -> int:
        """The last seq held without a hole."""
        events = self.events.get(conv, {})
        return next(seq for seq in range(len(events) + 1) if seq + 1 not in events)

    @property
    def live(self) -> bool:
        return self.link is not None and not self.link.over and self.link.rules.state is State.LIVE

    # --- what it does -------------------------------------------------------------------------

    def connect(self) -> None:
        """Open a connection, in place of the one there may be."""
        node = self.world.open_node(self.home)
        self.offline = False
        self._again_at = trio.current_time() + RECONNECT_AFTER
        self._move_at = None
        if node is None:
            return
        self.former = self.links()
        self._fetching.clear()
        self._pages.clear()
        self.link = Link(self, node)
        self.link.start()

    def drop(self, *, abrupt: bool) -> None:
        """Lose the connection, and stay away."""
        self.offline = True
        if self.link is not None:
            if abrupt:
                self.link.abort()
            else:
                self.link.hang_up()

    def links(self) -> list[Link]:
        """Its connections that are not over."""
        links = [*self.former, *([] if self.link is None else [self.link])]
        return [link for link in links if not link.over]

    def say(self, conv: str, text: str) -> None:
        message = Message(
            conv, self.world.new_message_id(), self.user, text, self.world.answered.get(conv, 0)
        )
        self.world.messages.append(message)
        self.outbox.append(message)
        if self.live:
            self.send(message)

    def send(self, message: Message) -> None:
        assert self.link is not None
        self._rid += 1
        self._requests[self._rid] = message
        message.unanswered += 1
        message.due = trio.current_time() + NO_ANSWER_AFTER
        body = TextBody(message.text)
        self.link.send(Send(rid=self._rid, conv=message.conv, id=message.id, body=body))

    def fetch(self, conv: str) -> None:
        """Read on after what is held, unless that is being done."""
        if not self.live or conv in self._fetching:
            return
        assert self.link is not None
        after = self.held(conv)
        self._rid += 1
        self._fetching[conv] = (self._rid, after, self.world.stored_head(conv))
        self._pages[self._rid] = conv
        self.link.send(Fetch(rid=self._rid, conv=conv, after=after, limit=FETCH))

    def request(self, make: Any, **fields: Any) -> None:
        """Send some other frame."""
        if self.live:
            assert self.link is not None
            self.link.send(make(**fields))

    def next_rid(self) -> int:
        self._rid += 1
        return self._rid

    def poll(self) -> None:
        """Do what time demands: connect again, try again."""
        now = trio.current_time()
        if (self.link is None or self.link.over) and not self.offline and now >= self._again_at:
            self.connect()
        if not self.live:
            return
        if self._move_at is not None and now >= self._move_at:
            self.connect()
            return
        for message in list(self.outbox):
            if now >= message.due:
                self.send(message)
        assert self.link is not None
        for conv, target in self._target.items():
            if conv in self.link.allowed and self.held(conv) < target:
                self.fetch(conv)

    # --- what it is told ----------------------------------------------------------------------

    def link_closed(self, link: Link) -> None:
        if link is self.link:
            self._again_at = trio.current_time() + RECONNECT_AFTER
            self.offline = not may_reconnect(link.closed_with)

    def receive(self, link: Link, payload: bytes) -> None:
        try:
            frame = link.rules.receive(payload)
        except ProtocolViolation as error:
            self.complain(f"G6: {error}")
            return
        if frame is None:
            self.complain("a frame that the protocol does not know")
            return
        self._check_permitted(link, frame)
        if link is not self.link or isinstance(frame, Composing):
            return
        if isinstance(frame, Hello):
            self._hello(link)
        elif isinstance(frame, Ready):
            self._ready(link, frame)
        elif isinstance(frame, Msg):
            self._hold(frame)
            self._reach_for(frame.conv, frame.seq)
        elif isinstance(frame, Gap):
            self._reach_for(frame.conv, frame.to)
        elif isinstance(frame, Sent):
            self._sent(link, frame)
        elif isinstance(frame, Page):
            self._page(frame)
        elif isinstance(frame, Error):
            self._error(frame)
        elif isinstance(frame, Conv) and not frame.left:
            self._reach_for(frame.conv, frame.head)
        elif isinstance(frame, Reconnect):
            self._move_at = trio.current_time() + frame.after_ms / 1000

    def _check_permitted(self, link: Link, frame: AnyServerFrame) -> None:
        """Nothing of a conversation comes to somebody outside (G10)."""
        if isinstance(frame, Ready):
            link.allowed.update(state.conv for state in frame.convs)
        elif isinstance(frame, Conv):
            if frame.left:
                link.allowed.discard(frame.conv)
                link.receipts = {
                    key: at for key, at in link.receipts.items() if key[0] != frame.conv
                }
                if frame.members:
                    self.complain(f"G10: members are told to a former one: {frame}")
            elif frame.rid is None or (self.user in frame.members and frame.details is None):
                link.allowed.add(frame.conv)
            elif not self._may_ask(link, frame.conv):
                self.complain(f"G10: {frame}")
        elif isinstance(frame, Page) or (isinstance(frame, Sent) and not frame.dup):
            if not self._may_ask(link, frame.conv):
                self.complain(f"G10: {frame}")
        elif isinstance(frame, Msg | Gap | Receipt | Composing) and frame.conv not in link.allowed:
            self.complain(f"G10: {frame}")
        if isinstance(frame, Receipt):
            recv, read = link.receipts.get((frame.conv, frame.user), (0, 0))
            # What comes from another node may come late, and changes nothing then.
            if self.world.bus is None and (frame.recv < recv or frame.read < read):
                self.complain(f"G11: {frame} after {recv}, {read}")
            link.receipts[frame.conv, frame.user] = (frame.recv, frame.read)

    def _may_ask(self, link: Link, conv: str) -> bool:
        """Who was added may ask before it is told."""
        return conv in link.allowed or self.world.is_member(conv, self.user)

    def _hello(self, link: Link) -> None:
        cursors = {conv: self.held(conv) for conv in self.events}
        frame = Connect(token=self.world.token(self.user), device=self.name, cursors=cursors)
        link.rules.connecting(frame)
        link.send(frame)

    def _ready(self, link: Link, ready: Ready) -> None:
        for state in ready.convs:
            if state.conv not in self.events:
                self._reach_for(state.conv, state.head)
            else:
                self._target[state.conv] = max(self._target.get(state.conv, 0), state.head)
        for message in list(self.outbox):
            self.send(message)

    def _hold(self, msg: Msg) -> None:
        events = self.events.setdefault(msg.conv, {})
        if events.setdefault(msg.seq, (msg.from_, msg.id)) != (msg.from_, msg.id):
            self.complain(f"G4: {msg} is not what stood there: {events[msg.seq]}")

    def _reach_for(self, conv: str, seq: int) -> None:
        self._target[conv] = max(self._target.get(conv, 0), seq)
        if self.held(conv) < self._target[conv]:
            self.fetch(conv)

    def _sent(self, link: Link, sent: Sent) -> None:
        message = self._requests.pop(sent.rid, None)
        if message is None or (message.conv, message.id) != (sent.conv, sent.id):
            self.complain(f"an answer to nothing: {sent}")
            return
        message.unanswered -= 1
        if message.seq not in (None, sent.seq):
            self.complain(f"G2: stood at {message.seq} before: {sent}")
        message.seq = sent.seq
        answered = self.world.answered
        answered[sent.conv] = max(answered.get(sent.conv, 0), sent.seq)
        if message in self.outbox:
            self.outbox.remove(message)
        if not sent.dup:
            if sent.rid < link.last_rid.get(sent.conv, 0):
                self.complain(f"G5: an earlier request was stored later: {sent}")
            link.last_rid[sent.conv] = sent.rid
        if sent.seq <= self.world.stored_head(sent.conv):
            self.events.setdefault(sent.conv, {}).setdefault(sent.seq, (self.user, sent.id))
        else:
            self.complain(f"G1: not stored: {sent}")
        self._reach_for(sent.conv, sent.seq)

    def _page(self, page: Page) -> None:
        conv = self._pages.pop(page.rid, None)
        if conv != page.conv or self._fetching.get(conv, (None,))[0] != page.rid:
            self.complain(f"an answer to nothing: {page}")
            return
        _, after, head = self._fetching.pop(conv)
        if [msg.seq for msg in page.items] != list(range(after + 1, after + 1 + len(page.items))):
            self.complain(f"G8: not what was asked for after {after}: {page}")
        if not page.more and after + len(page.items) < head:
            self.complain(f"G8: less than there is ({head}) after {after}: {page}")
        for msg in page.items:
            self._hold(msg)
        if page.items and self.held(conv) < self._target.get(conv, 0):
            self.fetch(conv)

    def _error(self, error: Error) -> None:
        if error.rid is None:
            return
        if (conv := self._pages.pop(error.rid, None)) is not None:
            self._fetching.pop(conv, None)
            return
        if (message := self._requests.pop(error.rid, None)) is None:
            return
        message.unanswered -= 1
        if error.temporary:
            message.due = trio.current_time() + RETRY_AFTER
        else:
            message.failed = True
            if message in self.outbox:
                self.outbox.remove(message)

    def complain(self, text: str) -> None:
        self.world.complain(f"{self.user}/{self.name}: {text}")
