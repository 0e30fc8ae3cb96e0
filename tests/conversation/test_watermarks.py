"""The watermarks of one conversation: when they are written, and who is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import trio

from chat4all_actors.config import Settings
from chat4all_actors.conversation.signs import Signs
from chat4all_actors.conversation.watermarks import RECENT, VIEWING, Watermarks
from chat4all_actors.fanout import LocalReaders
from chat4all_actors.kernel import ActorStopped, Timers
from chat4all_actors.messages import MarkDue, Marked, MarkRead, ReceiptsDue, Risen
from chat4all_protocol.codec import decode_server
from chat4all_protocol.frames import Receipt
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.events import Mark

from ..actors.test_fanout import FakeReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest
    from trio.testing import MockClock

    from chat4all_actors.conversation.surroundings import Surroundings
    from chat4all_actors.messages import Reader, ToConversation

INTERVAL = 1.0
LATER = INTERVAL + 0.01


class Session(FakeReader):
    """Keeps the receipts that it gets."""

    def __init__(self, user: str, device: str = "phone") -> None:
        super().__init__(user, device)
        self.receipts: list[tuple[str, int, int]] = []
        self.sends = 0

    def deliver_passing(self, data: bytes) -> None:
        self.sends += 1
        while data:
            size = 2 + data[1]
            receipt, data = decode_server(data[2:size]), data[size:]
            assert isinstance(receipt, Receipt)
            self.receipts.append((receipt.user, receipt.recv, receipt.read))


class Log:
    """Writes marks down, and answers when it is told to."""

    def __init__(self) -> None:
        self.written: list[tuple[str, int, int]] = []
        self._answers: list[Callable[[], None]] = []

    def mark_nowait(self, mark: Mark, done: Callable[[Mark], None]) -> None:
        self.written.append((mark.user, mark.recv, mark.read))
        self._answers.append(lambda: done(mark))

    def answer(self) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            answer()


class FakeRoom:
    """A conversation with sessions of some users in it, that hands its mail on at once."""

    members = None

    def __init__(self, *users: str, private: bool, timers: Timers[Any]) -> None:
        self.id = new_id()
        self.private = private
        self.head = 0
        self.senders: list[str] | None = None
        self.readers: set[Reader] = set()
        self.log = Log()
        self.told_others: list[Risen] = []
        self.signs = Signs()
        self._local = LocalReaders()
        self.sessions = {user: self.enter(user) for user in users}
        self.surroundings = cast(
            "Surroundings",
            SimpleNamespace(
                logs=self.log,
                timers=timers,
                local=self._local,
                settings=Settings(mark_interval=INTERVAL, receipt_interval=INTERVAL),
                relay=SimpleNamespace(marks=self._relay),
                signs=self.signs,
            ),
        )
        self.watermarks = Watermarks(self)

    def enter(self, user: str, device: str = "phone") -> Session:
        session = Session(user, device)
        self._local.add(session)
        self.readers.add(session)
        return session

    def pass_events(self, *senders: str) -> None:
        """Events of these have been passed."""
        self.head += len(senders)
        self.senders = [*(self.senders or []), *senders][-RECENT:]

    def _relay(self, room: FakeRoom, risen: Sequence[Risen]) -> None:
        self.told_others += risen

    def reply_nowait(self, message: ToConversation) -> None:
        assert isinstance(message, (Marked, MarkDue, ReceiptsDue))
        self.watermarks.receive(message)

    def mark(self, user: str, recv: int, read: int = 0) -> None:
        """Somebody says how far it has got, and the log writes it."""
        self.watermarks.receive(MarkRead(self.sessions[user], recv, read))
        self.log.answer()

    def lately(self) -> dict[str, list[tuple[str, int, int]]]:
        """The receipts since the last call, of who got any."""
        found = {user: session.receipts for user, session in self.sessions.items()}
        for session in self.sessions.values():
            session.receipts = []
        return {user: receipts for user, receipts in found.items() if receipts}


async def room_of(nursery: trio.Nursery, *users: str, private: bool = False) -> FakeRoom:
    timers: Timers[Any] = Timers("timers")
    await nursery.start(timers.run)
    return FakeRoom(*users, private=private, timers=timers)


# --- to the log -----------------------------------------------------------------------------------


async def test_a_mark_is_cut_at_the_head_and_read_implies_received(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob")
    room.pass_events("ana", "ana", "ana")
    room.mark("ana", recv=99)
    room.mark("bob", recv=1, read=2)
    assert room.log.written == [("ana", 3, 0), ("bob", 2, 2)]


async def test_a_user_is_written_once_in_an_interval_and_then_the_highest(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob")
    room.pass_events(*["ana"] * 9)
    for seq in (1, 5, 3):
        room.mark("bob", seq)
    room.mark("ana", 2)
    assert room.log.written == [("bob", 1, 0), ("ana", 2, 0)]
    await trio.sleep(LATER)
    assert room.log.written[2:] == [("bob", 5, 0)]
    room.mark("bob", 5)  # nothing rises
    await trio.sleep(3 * LATER)
    assert room.log.written[3:] == []
    assert not room.watermarks.busy


async def test_who_does_not_read_the_conversation_changes_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana")
    room.pass_events("ana")
    room.watermarks.mark(MarkRead(Session("eve"), 1, 1))
    assert room.log.written == []
    assert not room.watermarks.busy


async def test_nobody_is_told_before_it_is_written(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob", private=True)
    room.pass_events("ana")
    room.watermarks.mark(MarkRead(room.sessions["bob"], 1, 1))
    await trio.sleep(INTERVAL / 2)
    assert room.lately() == {}
    assert room.told_others == []
    room.log.answer()
    assert room.lately() == {"ana": [("bob", 1, 1)]}
    assert room.told_others == [Risen("bob", 1, 1, 0, 0)]


# --- to the readers: a pair -----------------------------------------------------------------------


async def test_in_a_pair_all_are_told_at_once_but_the_session_that_said_so(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob", private=True)
    room.sessions["bob's laptop"] = room.enter("bob", "laptop")
    room.pass_events("ana")
    room.mark("bob", 1)
    assert room.lately() == {"ana": [("bob", 1, 0)], "bob's laptop": [("bob", 1, 0)]}


async def test_the_session_that_raised_them_last_is_the_one_that_is_not_told(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob", private=True)
    room.sessions["bob's laptop"] = room.enter("bob", "laptop")
    room.pass_events("ana", "ana")
    room.mark("bob", 1)
    room.mark("bob's laptop", 2)
    room.lately()
    await trio.sleep(LATER)
    room.log.answer()
    assert room.lately() == {"ana": [("bob", 2, 0)], "bob": [("bob", 2, 0)]}


async def test_marks_of_other_nodes_are_told_to_all_of_a_pair(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob", private=True)
    room.watermarks.told([Risen("bob", 4, 2, 0, 0)])
    assert room.lately() == {"ana": [("bob", 4, 2)], "bob": [("bob", 4, 2)]}
    assert room.told_others == []  # its own node has told them


# --- to the readers: a group ----------------------------------------------------------------------


async def test_in_a_group_receipts_are_collected_and_told_in_one_send(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob", "carla")
    room.pass_events("ana", "ana")
    room.mark("bob", 1)
    room.mark("carla", 2)
    assert room.lately() == {}
    assert room.watermarks.busy
    await trio.sleep(LATER)
    assert room.lately() == {"ana": [("bob", 1, 0), ("carla", 2, 0)]}
    assert room.sessions["ana"].sends == 1
    assert room.told_others == [Risen("bob", 1, 0, 0, 0), Risen("carla", 2, 0, 0, 0)]


async def test_each_group_has_its_own_interval(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    one = await room_of(nursery, "ana", "bob")
    another = FakeRoom("ana", "bob", private=False, timers=one.surroundings.timers)
    for room in (one, another):
        room.pass_events("ana")
        room.mark("bob", 1)
        await trio.sleep(INTERVAL / 2)
    await trio.sleep(INTERVAL)
    for room in (one, another):
        assert room.lately() == {"ana": [("bob", 1, 0)]}


async def test_of_several_marks_of_an_interval_the_last_is_told_for_all_they_concern(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob", "carla")
    room.pass_events("ana", "carla")
    for seq in (1, 2):
        room.watermarks.written(Mark(room.id, "bob", seq, seq))
    await trio.sleep(LATER)
    assert room.told_others == [Risen("bob", 2, 2, 0, 0)]
    assert room.lately().keys() == {"ana", "bob", "carla"}


async def test_only_who_sent_what_is_new_to_the_member_is_told(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob", "carla")
    room.pass_events("ana")
    room.mark("bob", 1)
    await trio.sleep(3 * LATER)
    assert room.lately() == {"ana": [("bob", 1, 0)]}
    room.pass_events("carla")
    room.mark("bob", 2)
    await trio.sleep(3 * LATER)
    assert room.lately() == {"carla": [("bob", 2, 0)]}
    room.watermarks.told([Risen("bob", 2, 1, 2, 0)])  # ana's has been read
    assert room.lately() == {"ana": [("bob", 2, 1)], "bob": [("bob", 2, 1)]}


async def test_it_remembers_the_senders_of_the_last_events_only(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob", "carla")
    room.pass_events("ana", *["carla"] * RECENT)
    room.watermarks.told([Risen("bob", 1, 0, 0, 0)])
    assert room.lately().keys() == {"bob"}
    room.watermarks.told([Risen("bob", 2, 0, 1, 0)])
    assert room.lately().keys() == {"bob", "carla"}


async def test_who_is_looking_is_told_for_a_while(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob", "carla")
    room.watermarks.view(room.sessions["carla"])
    room.watermarks.told([Risen("bob", 1, 0, 0, 0)])
    assert room.lately().keys() == {"bob", "carla"}
    await trio.sleep(VIEWING)
    room.watermarks.told([Risen("bob", 2, 0, 1, 0)])
    assert room.lately().keys() == {"bob"}


async def test_who_has_left_is_told_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob", "carla")
    room.pass_events("ana")
    room.watermarks.view(room.sessions["carla"])
    room.readers -= {room.sessions["ana"], room.sessions["carla"]}
    room.watermarks.told([Risen("bob", 1, 0, 0, 0)])
    assert room.lately().keys() == {"bob"}


async def test_reading_counts_as_looking_and_receiving_does_not(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    room = await room_of(nursery, "ana", "bob", "carla")
    room.pass_events("ana")
    room.mark("ana", recv=1)
    room.mark("carla", recv=1, read=1)
    await trio.sleep(LATER)
    room.lately()
    room.watermarks.told([Risen("bob", 0, 0, 0, 0)])
    assert room.lately().keys() == {"bob", "carla"}


async def test_sessions_that_have_ended_do_not_gather(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    for private in (True, False):
        room = await room_of(nursery, "ana", "bob", private=private)
        for number in range(10):
            session = room.enter("carla", f"device {number}")
            room.watermarks.view(session)
            room.readers.discard(session)
        assert len(room.watermarks._viewers) <= len(room.readers)


async def test_an_answer_to_a_conversation_that_has_ended_changes_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await room_of(nursery, "ana", "bob", private=True)
    room.pass_events("ana")
    room.watermarks.mark(MarkRead(room.sessions["bob"], 1, 1))

    def ended(message: ToConversation) -> None:
        raise ActorStopped("it has ended")

    monkeypatch.setattr(room, "reply_nowait", ended)
    room.log.answer()
    await trio.sleep(LATER)
    assert room.lately() == {}
