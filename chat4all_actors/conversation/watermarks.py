"""The watermarks of one conversation's members, from the client that raises them to the receipts.

A member's marks are written at most once an interval, and told when they are written, so that no
reader sees a watermark fall after a crash. In a private conversation the other side is told at
once. In a group receipts are collected for an interval and go to those alone whom they concern:
who sent what was received or read, and who is looking at the conversation right now.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import trio
from msgspec import Struct
from msgspec.structs import replace

from chat4all_protocol.frames import Receipt
from chat4all_storage.ports.events import Mark

from ..kernel import ActorStopped
from ..messages import MarkDue, Marked, MarkRead, ReceiptsDue, Risen
from ..wire import framed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ..messages import Reader, RisenElsewhere, ToConversation
    from .surroundings import Surroundings

MINUTES: Final = 60.0
VIEWING: Final = 2 * MINUTES
"""So long after it did something there a session counts as looking at a conversation."""
RECENT: Final = 200
"""Events of which a conversation remembers who sent them."""


class Room(Protocol):
    """The conversation, as its watermarks see it."""

    id: str
    head: int
    private: bool
    senders: list[str] | None
    """Who sent the last events, up to the head."""
    surroundings: Surroundings

    @property
    def readers(self) -> Collection[Reader]:
        """The sessions that read it here."""
        ...

    @property
    def members(self) -> Sequence[str] | None:
        """Names, where they are known."""
        ...

    def reply_nowait(self, message: ToConversation) -> None:
        """Put a message into the conversation's own mailbox."""


class _Marking(Struct, eq=False):
    """A user's watermarks on their way to the log, at most one write per interval."""

    recv: int
    read: int
    by: Reader
    waiting: bool = False
    """Whether they have risen since they were last written."""


class Watermarks:
    """See the module. Made when the first mark comes, dropped with the conversation."""

    __slots__ = ("_due", "_marking", "_room", "_told", "_viewers")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._marking: dict[str, _Marking] = {}
        self._due: dict[str, tuple[Risen, Reader | None]] = {}
        """Receipts of a group that wait for the end of the interval."""
        self._told: dict[str, tuple[int, int]] = {}
        """The `recv` and `read` of each member that were written here last."""
        self._viewers: dict[Reader, float] = {}
        """When they last did something there."""

    @property
    def busy(self) -> bool:
        """Whether anything is on its way."""
        return bool(self._marking or self._due)

    def view(self, reader: Reader) -> None:
        """A session has done something in this conversation."""
        self._viewers[reader] = trio.current_time()
        if len(self._viewers) > len(self._room.readers):
            self._look_round()  # else sessions that have ended would gather here

    def receive(self, message: MarkRead | MarkDue | Marked | ReceiptsDue | RisenElsewhere) -> None:
        """Handle what concerns watermarks."""
        if isinstance(message, MarkRead):
            self.mark(message)
        elif isinstance(message, Marked):
            self.written(message.mark)
        elif isinstance(message, MarkDue):
            self.mark_due(message.user)
        elif isinstance(message, ReceiptsDue):
            self.receipts_due()
        else:
            self.told(message.risen)

    # --- from the clients to the log ----------------------------------------------------------

    def mark(self, wish: MarkRead) -> None:
        """A reader holds and has read more, or says so again."""
        room, reader = self._room, wish.reader
        if reader not in room.readers:
            return
        if wish.read:
            self.view(reader)
        read = min(wish.read, room.head)
        recv = min(max(wish.recv, read), room.head)
        marking = self._marking.get(reader.user)
        if marking is None:
            self._marking[reader.user] = _Marking(recv, read, reader)
            self._write(reader.user)
        elif recv > marking.recv or read > marking.read:
            marking.recv = max(marking.recv, recv)
            marking.read = max(marking.read, read)
            marking.by = reader
            marking.waiting = True

    def mark_due(self, user: str) -> None:
        """The interval of this user is over."""
        if (marking := self._marking.get(user)) is None:
            return
        if marking.waiting:
            self._write(user)
        else:
            del self._marking[user]

    def _write(self, user: str) -> None:
        room = self._room
        marking = self._marking[user]
        marking.waiting = False
        room.surroundings.logs.mark_nowait(
            Mark(room.id, user, marking.recv, marking.read), self._on_written
        )
        interval = room.surroundings.settings.mark_interval
        room.surroundings.timers.set((room.id, user), interval, self._on_mark_due, user)

    def _on_written(self, mark: Mark) -> None:
        """Called by the log."""
        self._tell_room(Marked(mark))

    def _on_mark_due(self, user: str) -> None:
        """Called by the timers."""
        self._tell_room(MarkDue(user))

    def _tell_room(self, message: Marked | MarkDue | ReceiptsDue) -> None:
        with suppress(ActorStopped):  # who reads it later finds in the store what stands
            self._room.reply_nowait(message)

    # --- from the log to the readers ----------------------------------------------------------

    def written(self, mark: Mark) -> None:
        """A member's watermarks now stand there."""
        room = self._room
        room.surroundings.signs.has_read(room.id, mark.user, mark.read)
        marking = self._marking.get(mark.user)
        by = marking.by if marking is not None else None
        risen = Risen(mark.user, mark.recv, mark.read, *self._told.get(mark.user, (0, 0)))
        self._told[mark.user] = (mark.recv, mark.read)
        if room.private:
            self._tell_all(risen, by)
            room.surroundings.relay.marks(room, [risen])
            return
        if not self._due:
            interval = room.surroundings.settings.receipt_interval
            room.surroundings.timers.set((room.id, ":receipts"), interval, self._on_receipts_due)
        if (waiting := self._due.get(mark.user)) is not None:
            before = waiting[0]
            risen = replace(risen, recv_before=before.recv_before, read_before=before.read_before)
        self._due[mark.user] = (risen, by)

    def _on_receipts_due(self) -> None:
        """Called by the timers."""
        self._tell_room(ReceiptsDue())

    def receipts_due(self) -> None:
        """Tell whom it concerns what was collected."""
        due, self._due = self._due, {}
        self._tell_concerned(due.values())
        self._room.surroundings.relay.marks(self._room, [risen for risen, _ in due.values()])

    def told(self, risen: Sequence[Risen]) -> None:
        """Members of other nodes have marks that were written, and collected, there."""
        if self._room.private:
            for one in risen:
                self._tell_all(one, None)
        else:
            self._tell_concerned([(one, None) for one in risen])

    def _tell_all(self, risen: Risen, by: Reader | None) -> None:
        data = self._receipt(risen)
        for reader in self._room.readers:
            if reader is not by:
                reader.deliver_passing(data)

    def _tell_concerned(self, due: Iterable[tuple[Risen, Reader | None]]) -> None:
        """Senders and viewers get all their receipts of the interval in one send."""
        room = self._room
        self._look_round()
        parts: dict[Reader, list[bytes]] = {}
        for risen, by in due:
            data = self._receipt(risen)
            told = set(self._viewers)
            for sender in self._senders(risen):
                told.update(r for r in room.surroundings.local.of(sender) if r in room.readers)
            told.update(r for r in room.surroundings.local.of(risen.user) if r in room.readers)
            if by is not None:
                told.discard(by)
            for reader in told:
                parts.setdefault(reader, []).append(data)
        for reader, receipts in parts.items():
            reader.deliver_passing(b"".join(receipts))

    def _look_round(self) -> None:
        """See who is still looking."""
        until, readers = trio.current_time() - VIEWING, self._room.readers
        self._viewers = {
            reader: at for reader, at in self._viewers.items() if at > until and reader in readers
        }

    def _senders(self, risen: Risen) -> set[str]:
        """Who sent what the member has received or read since, as far as is known."""
        senders, head = self._room.senders or [], self._room.head
        oldest = head - len(senders)
        concerned: set[str] = set()
        for before, now in ((risen.recv_before, risen.recv), (risen.read_before, risen.read)):
            concerned.update(senders[max(before - oldest, 0) : max(now - oldest, 0)])
        return concerned

    def _receipt(self, risen: Risen) -> bytes:
        return framed(
            Receipt(conv=self._room.id, user=risen.user, recv=risen.recv, read=risen.read)
        )
