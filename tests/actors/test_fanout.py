from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.fanout import CHECKPOINT_EVERY, LocalReaders, TooManySessions, fan_out
from chat4all_actors.messages import Passing, Post
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.events import Append

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chat4all_protocol.frames import Conv, Error

CONVERSATION = new_id()


class FakeReader:
    """A session that writes down what it is told."""

    birth = 0
    missing: frozenset[int] = frozenset()

    def __init__(self, user: str = "ana", device: str = "d") -> None:
        self.user = user
        self.device = device
        self.told: list[tuple[object, ...]] = []
        self.on_deliver: Callable[[], None] = lambda: None

    def deliver(self, conversation: str, first: int, last: int, data: bytes) -> None:
        self.told.append((conversation, first, last, data))
        self.on_deliver()

    def deliver_own(self, conversation: str, events: Sequence[Passing]) -> None:
        self.told.append(("own", conversation, [event.seq for event in events]))

    def deliver_passing(self, data: bytes) -> None:
        self.told.append(("passing", data))

    def entered(self, frame: Conv) -> None:
        raise NotImplementedError

    def left(self, frame: Conv) -> None:
        raise NotImplementedError

    def missed(self, conversation: str, first: int, last: int) -> None:
        raise NotImplementedError

    def logged_out(self, login: str) -> None:
        raise NotImplementedError

    def revoked(self, valid_from: int) -> None:
        raise NotImplementedError

    def met(self, user: str) -> None:
        raise NotImplementedError

    def parted(self, user: str) -> None:
        raise NotImplementedError

    def replaced(self) -> None:
        self.told.append(("replaced",))

    def close_internal(self) -> None:
        raise NotImplementedError

    def stored(self, post: Post, seq: int, ts: int, *, dup: bool) -> None:
        self.told.append(("stored", post.rid, seq, ts, dup))

    def refused(self, post: Post, error: Error) -> None:
        raise NotImplementedError

    def lost(self, post: Post) -> None:
        raise NotImplementedError


def post(origin: FakeReader, rid: int = 1) -> Post:
    append = Append(CONVERSATION, origin.user, new_id(), "message", b"", 0)
    return Post(append, rid, origin)


def passing(seq: int, origin: FakeReader | None = None, *, dup: bool = False) -> Passing:
    of = None if origin is None else post(origin, rid=100 + seq)
    return Passing(seq=seq, ts=1000 + seq, data=b"<%d>" % seq, sender="ana", post=of, dup=dup)


# fan_out


async def test_every_reader_gets_the_same_bytes_in_one_call() -> None:
    readers = [FakeReader() for _ in range(3)]
    await fan_out(readers, CONVERSATION, [passing(4), passing(5), passing(6)])
    for reader in readers:
        assert reader.told == [(CONVERSATION, 4, 6, b"<4><5><6>")]
        assert reader.told[0][3] is readers[0].told[0][3]


async def test_a_single_event_is_not_copied() -> None:
    reader, event = FakeReader(), passing(4)
    await fan_out([reader], CONVERSATION, [event])
    assert reader.told == [(CONVERSATION, 4, 4, b"<4>")]
    assert reader.told[0][3] is event.data


async def test_readers_are_served_in_their_order() -> None:
    order: list[int] = []
    readers = [FakeReader() for _ in range(5)]
    for number, reader in enumerate(readers):
        reader.on_deliver = lambda number=number: order.append(number)  # type: ignore[misc]
    await fan_out(readers, CONVERSATION, [passing(1)])
    assert order == [0, 1, 2, 3, 4]


async def test_an_origin_gets_all_events_once_as_its_own() -> None:
    origin, other = FakeReader("ana"), FakeReader("bob")
    events = [passing(1), passing(2, origin), passing(3, origin), passing(4)]
    await fan_out([origin, other], CONVERSATION, events)
    assert origin.told == [("own", CONVERSATION, [1, 2, 3, 4])]
    assert other.told == [(CONVERSATION, 1, 4, b"<1><2><3><4>")]


async def test_each_of_several_origins_gets_its_own() -> None:
    one, two = FakeReader("ana"), FakeReader("bob")
    await fan_out([one, two], CONVERSATION, [passing(1, one), passing(2, two)])
    assert one.told == two.told == [("own", CONVERSATION, [1, 2])]


async def test_an_origin_that_is_no_reader_is_answered_once_for_each_of_its_events() -> None:
    gone, reader = FakeReader("ana"), FakeReader("bob")
    events = [passing(1, gone), passing(2), passing(3, gone, dup=True)]
    await fan_out([reader], CONVERSATION, events)
    assert gone.told == [("stored", 101, 1, 1001, False), ("stored", 103, 3, 1003, True)]
    assert reader.told == [(CONVERSATION, 1, 3, b"<1><2><3>")]


async def test_an_origin_is_answered_even_when_nobody_reads() -> None:
    gone = FakeReader()
    await fan_out([], CONVERSATION, [passing(1, gone)])
    assert gone.told == [("stored", 101, 1, 1001, False)]


async def test_who_leaves_or_enters_meanwhile_changes_nothing_for_these_events() -> None:
    readers = [FakeReader() for _ in range(3)]
    present = list(readers)
    late = FakeReader()

    def change() -> None:
        present.remove(readers[1])
        present.append(late)

    readers[0].on_deliver = change
    await fan_out(present, CONVERSATION, [passing(1)])
    assert [len(reader.told) for reader in readers] == [1, 1, 1]
    assert late.told == []


class Turns(trio.abc.Instrument):
    """Writes down how many readers were served whenever a task gets its next turn."""

    def __init__(self, readers: Sequence[FakeReader]) -> None:
        self.task = trio.lowlevel.current_task()
        self.served: list[int] = []
        self._readers = readers

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.served.append(sum(len(reader.told) for reader in self._readers))


@pytest.mark.parametrize(
    ("readers", "served"),
    [
        (CHECKPOINT_EVERY - 1, []),
        (CHECKPOINT_EVERY, [CHECKPOINT_EVERY]),
        (3 * CHECKPOINT_EVERY + 5, [count * CHECKPOINT_EVERY for count in (1, 2, 3)]),
    ],
)
async def test_others_get_a_turn_after_so_many_sends(readers: int, served: list[int]) -> None:
    present = [FakeReader() for _ in range(readers)]
    turns = Turns(present)
    trio.lowlevel.add_instrument(turns)
    await fan_out(present, CONVERSATION, [passing(1)])
    trio.lowlevel.remove_instrument(turns)
    assert turns.served == served


# LocalReaders


def test_a_user_has_a_session_on_each_device() -> None:
    local = LocalReaders()
    phone, laptop = FakeReader("ana", "phone"), FakeReader("ana", "laptop")
    other = FakeReader("bob", "phone")
    for reader in (phone, laptop, other):
        local.add(reader)
    assert local.of("ana") == [phone, laptop]
    assert local.of("bob") == [other]
    assert local.of("eve") == []
    assert list(local) == [phone, laptop, other]
    assert len(local) == 3
    assert phone.told == laptop.told == other.told == []


def test_a_user_is_told_something_on_every_device() -> None:
    local = LocalReaders()
    phone, laptop = FakeReader("ana", "phone"), FakeReader("ana", "laptop")
    other = FakeReader("bob", "phone")
    for reader in (phone, laptop, other):
        local.add(reader)
    local.tell("ana", b"news")
    local.tell("eve", b"news")
    assert phone.told == laptop.told == [("passing", b"news")]
    assert other.told == []


def test_the_same_device_replaces_its_session_and_tells_it() -> None:
    local = LocalReaders(max_per_user=1)
    former, latter = FakeReader(), FakeReader()
    local.add(former)
    local.add(latter)
    assert former.told == [("replaced",)]
    assert latter.told == []
    assert local.of("ana") == [latter]


def test_the_end_of_a_session_that_was_replaced_leaves_the_new_one() -> None:
    local = LocalReaders()
    former, latter = FakeReader(), FakeReader()
    local.add(former)
    local.add(latter)
    local.remove(former)
    assert local.of("ana") == [latter]


def test_one_that_ends_as_soon_as_it_is_replaced_leaves_the_new_one() -> None:
    local = LocalReaders()

    class Hasty(FakeReader):
        def replaced(self) -> None:
            local.remove(self)

    local.add(Hasty())
    latter = FakeReader()
    local.add(latter)
    assert local.of("ana") == [latter]


def test_a_user_has_no_more_devices_than_allowed() -> None:
    local = LocalReaders(max_per_user=2)
    kept = [FakeReader("ana", "1"), FakeReader("ana", "2")]
    for reader in kept:
        local.add(reader)
    with pytest.raises(TooManySessions, match="2"):
        local.add(FakeReader("ana", "3"))
    assert local.of("ana") == kept
    assert kept[0].told == kept[1].told == []
    local.add(FakeReader("bob", "3"))  # another user's do not count
    local.remove(kept[0])
    local.add(FakeReader("ana", "3"))
    assert [reader.device for reader in local.of("ana")] == ["2", "3"]


def test_nothing_is_left_of_a_user_without_sessions() -> None:
    local = LocalReaders()
    reader = FakeReader()
    local.add(reader)
    local.remove(reader)
    local.remove(reader)
    assert len(local) == 0
    assert list(local) == local.of("ana") == []
    assert not local._by_user


def test_sessions_may_end_while_one_goes_through_them() -> None:
    local = LocalReaders()
    readers = [FakeReader(user, device) for user in ("ana", "bob") for device in ("1", "2")]
    for reader in readers:
        local.add(reader)
    for present in local:
        local.remove(present)
    assert len(local) == 0
