"""Frames to one client, who may be slow: what is not passed on is announced.

The outlet (the WebSocket) has the only queue, bounded in bytes. Events beyond the bound are not
queued but remembered as a hole for each conversation, which `gap` announces as soon as the client
has caught up with the queue; until then everything that may be dropped goes the same way.

Invariant: of each conversation that it reads, the client was sent every event up to the
conversation's head, in order, or it is announced as a gap, or held back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_protocol.frames import Gap

from ..wire import framed

if TYPE_CHECKING:
    from chat4all_protocol.frames import Conv, ServerFrame

    from .held import Held
    from .outlet import Outlet
    from .services import Services


class Delivery:
    """The way to one client."""

    __slots__ = ("_gaps", "_gaps_since", "_most", "early", "hears", "held", "outlet", "services")

    def __init__(self, services: Services, outlet: Outlet) -> None:
        self.services = services
        self.outlet = outlet
        self._most = services.settings.max_outbound
        self.hears = False
        """Whether events are for it: it is live, and not closing."""
        self.early: dict[str, Conv] | None = None
        """Memberships that changed while `connect` was being answered."""
        self.held: Held | None = None
        """Events of conversations whose missed events are still being replayed."""
        self._gaps: dict[str, tuple[int, int]] | None = None
        """Events that were not queued, by conversation. Not None: until the queue is empty."""
        self._gaps_since = 0.0

    def send(self, frame: ServerFrame) -> None:
        """Send a frame that answers the client: it is queued, however much is."""
        self.outlet.send_nowait(framed(frame))

    def deliver(self, conversation: str, first: int, last: int, data: bytes) -> None:
        """See `messages.Reader`."""
        if not self.hears:
            return
        if self.held is not None and self.held.take(conversation, first, last, data):
            return
        if self._gaps is not None or not self.outlet.offer(data, self._most):
            self._miss(conversation, first, last)

    def deliver_passing(self, data: bytes) -> None:
        """See `messages.Reader`."""
        self.pass_on(data)

    def pass_on(self, data: bytes) -> bool:
        """Send what may be dropped, unless the client is behind, or not live; whether it was."""
        roomy = (
            self.hears
            and self._gaps is None
            and self.held is None
            and self.outlet.queued < self._most // 2
        )
        if roomy:
            self.outlet.send_nowait(data)
        return roomy

    def missed(self, conversation: str, first: int, last: int) -> None:
        """See `messages.Reader`."""
        if self._gaps is not None:
            self._miss(conversation, first, last)
        elif self.early is None:  # else `resume` says so with `ready`
            self.send(Gap(conv=conversation, from_=first, to=last))

    def drained(self) -> None:
        """The outlet's queue is empty again: say what was not queued."""
        gaps, self._gaps = self._gaps, None
        for id_, (first, last) in (gaps or {}).items():
            self.send(Gap(conv=id_, from_=first, to=last))

    def behind(self, now: float) -> bool:
        """Whether the client has been slow for longer than it may."""
        patience = self.services.settings.slow_timeout
        stalled = self.outlet.stalled_since
        return (stalled is not None and now - stalled > patience) or (
            self._gaps is not None and now - self._gaps_since > patience
        )

    def announce(self, conversation: str) -> None:
        """Say what was missed of this conversation, before something is sent that follows it."""
        if self._gaps is not None and (gap := self._gaps.pop(conversation, None)):
            self.send(Gap(conv=conversation, from_=gap[0], to=gap[1]))

    def forget(self, conversation: str) -> None:
        """What was missed or held back of this conversation is not the client's any more."""
        if self._gaps is not None:
            self._gaps.pop(conversation, None)
        if self.held is not None:
            self.held.drop(conversation)

    def _miss(self, conversation: str, first: int, last: int) -> None:
        if self._gaps is None:
            self._gaps = {}
            self._gaps_since = self.services.heartbeat.now
        known = self._gaps.get(conversation)
        self._gaps[conversation] = (first if known is None else known[0], last)
