"""Reading who the members of living conversations are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.conversation.members import AT_ONCE, RETRY, MemberReader
from chat4all_actors.kernel import ActorStopped, Pool
from chat4all_actors.messages import MembersRead
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from chat4all_actors.conversation.actor import ConversationActor
    from chat4all_actors.messages import ToConversation
    from chat4all_storage.sharding.shards import Shards


class Room:
    """A conversation that asks."""

    def __init__(self) -> None:
        self.id = new_id()
        self.told: list[ToConversation] = []

    def reply_nowait(self, message: ToConversation) -> None:
        self.told.append(message)


class Stores:
    """Answers when it is told to `go`; `failures` come before answers."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.go = trio.Event()
        self.failures = 0

    async def members(self, conversations: Sequence[str]) -> dict[str, tuple[int, list[str]]]:
        self.asked.append(list(conversations))
        await self.go.wait()
        if self.failures:
            self.failures -= 1
            raise Unavailable("gone")
        return {id_: (7, ["ana", "bob"]) for id_ in conversations}


async def reader_of(stores: Stores, nursery: trio.Nursery) -> MemberReader:
    pool = Pool("conversations")
    await nursery.start(pool.run)
    return MemberReader(cast("Shards", stores), pool)


def ask(reader: MemberReader, *rooms: Room) -> None:
    for room in rooms:
        reader.read(cast("ConversationActor", room))


async def test_a_conversation_is_told_its_members_and_since_when(nursery: trio.Nursery) -> None:
    stores, room = Stores(), Room()
    reader = await reader_of(stores, nursery)
    ask(reader, room)
    stores.go.set()
    await wait_all_tasks_blocked()
    (told,) = cast("list[Any]", room.told)
    assert isinstance(told, MembersRead)
    assert (told.head, told.members) == (7, ["ana", "bob"])


async def test_those_of_a_shard_who_ask_meanwhile_are_read_together(
    nursery: trio.Nursery,
) -> None:
    stores, rooms = Stores(), [Room() for _ in range(4)]
    for room in rooms:
        room.id = room.id[:-2] + "01"  # one logical shard
    reader = await reader_of(stores, nursery)
    ask(reader, rooms[0])
    await wait_all_tasks_blocked()
    ask(reader, *rooms[1:])
    stores.go.set()
    await wait_all_tasks_blocked()
    assert [len(asked) for asked in stores.asked] == [1, 3]
    assert all(len(room.told) == 1 for room in rooms)


async def test_a_shard_that_hangs_keeps_those_of_others_from_nothing(
    nursery: trio.Nursery,
) -> None:
    class Hanging(Stores):
        async def members(self, conversations: Sequence[str]) -> dict[str, tuple[int, list[str]]]:
            if hanging.id in conversations:
                await trio.sleep_forever()
            return await super().members(conversations)

    hanging, other = Room(), Room()
    hanging.id, other.id = hanging.id[:-2] + "01", other.id[:-2] + "02"
    stores = Hanging()
    stores.go.set()
    reader = await reader_of(stores, nursery)
    ask(reader, hanging)
    await wait_all_tasks_blocked()
    ask(reader, other)
    await wait_all_tasks_blocked()
    assert (len(hanging.told), len(other.told)) == (0, 1)


async def test_a_failure_is_not_told_and_the_next_request_reads_again(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    stores, room = Stores(), Room()
    stores.failures = 1
    stores.go.set()
    reader = await reader_of(stores, nursery)
    ask(reader, room)
    await trio.sleep(2 * RETRY)
    assert room.told == []
    ask(reader, room)
    await wait_all_tasks_blocked()
    assert len(room.told) == 1


async def test_who_asks_after_a_failure_is_told_a_while_later(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    stores, room = Stores(), Room()
    stores.failures = 1
    stores.go.set()
    reader = await reader_of(stores, nursery)
    for _ in range(3):
        ask(reader, room)
        await trio.sleep(RETRY / 4)
    assert len(stores.asked) == 1
    await trio.sleep(RETRY / 2)
    assert (len(stores.asked), len(room.told)) == (2, 1)


async def test_nothing_is_read_when_all_conversations_are_being_stopped() -> None:
    stores = Stores()
    reader = MemberReader(cast("Shards", stores), Pool("conversations"))
    ask(reader, Room())
    await wait_all_tasks_blocked()
    assert stores.asked == []


async def test_many_are_read_in_portions(nursery: trio.Nursery) -> None:
    stores, rooms = Stores(), [Room() for _ in range(2 * AT_ONCE + 2)]
    for room in rooms:
        room.id = room.id[:-2] + "01"  # one logical shard
    reader = await reader_of(stores, nursery)
    ask(reader, *rooms)
    stores.go.set()
    await wait_all_tasks_blocked()
    assert [len(asked) for asked in stores.asked] == [AT_ONCE, AT_ONCE, 2]
    assert all(len(room.told) == 1 for room in rooms)


async def test_one_that_has_ended_keeps_the_others_from_nothing(nursery: trio.Nursery) -> None:
    class Ended(Room):
        def reply_nowait(self, message: ToConversation) -> None:
            raise ActorStopped("it has ended")

    stores, rooms = Stores(), [Room(), Ended(), Room()]
    for room in rooms:
        room.id = room.id[:-2] + "01"
    reader = await reader_of(stores, nursery)
    ask(reader, rooms[0])
    await wait_all_tasks_blocked()
    ask(reader, *rooms[1:])
    stores.go.set()
    await wait_all_tasks_blocked()
    assert [len(room.told) for room in rooms] == [1, 0, 1]
    ask(reader, rooms[2])
    await wait_all_tasks_blocked()
    assert len(rooms[2].told) == 2


async def test_one_that_is_unknown_to_the_store_is_told_nothing(nursery: trio.Nursery) -> None:
    class Forgetful(Stores):
        async def members(self, conversations: Sequence[str]) -> dict[str, tuple[int, list[str]]]:
            found = await super().members(conversations)
            return {id_: each for id_, each in found.items() if id_ != unknown.id}

    unknown, known = Room(), Room()
    stores = Forgetful()
    stores.go.set()
    reader = await reader_of(stores, nursery)
    ask(reader, unknown, known)
    await wait_all_tasks_blocked()
    assert (len(unknown.told), len(known.told)) == (0, 1)
