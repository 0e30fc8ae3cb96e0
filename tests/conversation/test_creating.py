"""How conversations come to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_actors.conversation.outside import Refusal
from chat4all_protocol.codec import encode_meta
from chat4all_protocol.frames import Conv, Create, Error
from chat4all_protocol.ids import new_id, private_conversation_id
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.logical_shards import logical_shard

from ..actors.harness import person, running_node
from .scene import Relay

if TYPE_CHECKING:
    from chat4all_storage.ports.shard import Conversation


def roles(conversation: Conversation) -> list[tuple[str, str]]:
    return [(name, info.role) for name, info in conversation.members.items()]


def refused_with(refusal: Refusal, code: str, field: str) -> None:
    """And says why."""
    assert (refusal.code, refusal.field) == (code, field)
    assert refusal.message


async def test_a_new_conversation_reaches_all_members_and_answers_its_creator() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        tablet, carla = await person(node, "ana", "tablet"), await person(node, "carla")
        await ana.say(Create(rid=5, type="group", members=["BOB", "bob", "ana"], title="t"))
        (mine,), (his,), (other,) = (p.outlet.of(Conv) for p in (ana, bob, tablet))
        assert (mine.rid, his.rid, other.rid) == (5, None, None)
        assert (mine.members, mine.title, mine.head) == (["ana", "bob"], "t", 0)
        assert mine.conv == his.conv == other.conv
        assert carla.outlet.of(Conv) == []


async def test_the_same_pair_has_one_private_conversation_whoever_opens_it() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        await bob.say(Create(rid=2, type="private", members=["Ana"]))
        found = {conv.conv for conv in ana.outlet.of(Conv) + bob.outlet.of(Conv)}
        assert found == {private_conversation_id("ana", "bob")}
        assert [conv.rid for conv in bob.outlet.of(Conv)] == [None, 2]


@pytest.mark.parametrize(
    ("frame", "code", "field"),
    [
        (Create(rid=1, type="private", members=[]), "INVALID_PAYLOAD", "members"),
        (Create(rid=1, type="private", members=["ana"]), "INVALID_PAYLOAD", "members"),
        (Create(rid=1, type="private", members=["bob", "carla"]), "INVALID_PAYLOAD", "members"),
        (
            Create(rid=1, type="private", members=["bob"], title="t"),
            "INVALID_PAYLOAD",
            "title",
        ),
        (Create(rid=1, type="group", members=["bob", "zoe"]), "NOT_FOUND", "members"),
        (Create(rid=1, type="group", members=["bob", "carla"]), "TOO_LARGE", "members"),
    ],
)
async def test_what_can_not_be_created_is_refused_with_the_field(
    frame: Create, code: str, field: str
) -> None:
    async with running_node(max_members=2) as node:
        ana = await person(node, "ana")
        await ana.say(frame)
        (error,) = ana.outlet.of(Error)
        assert (error.rid, error.code, error.field) == (1, code, field)
        assert ana.outlet.of(Conv) == []


async def test_a_group_needs_a_member() -> None:
    async with running_node() as node:
        with pytest.raises(Refusal) as refusal:
            await node.conversations.create("group", "shop", [], "t", joins=False)
        refused_with(refusal.value, "INVALID_PAYLOAD", "members")
        assert node.conversations.alive() == []


async def test_a_group_may_have_as_much_as_the_limits_say() -> None:
    metadata = {"key": "value"}
    size = len(encode_meta(metadata))
    async with running_node(max_members=2, max_metadata=size) as node:
        _, made = await node.conversations.create("group", "ana", ["bob"], "t", metadata=metadata)
        assert made
    async with running_node(max_metadata=size - 1) as node:
        with pytest.raises(Refusal) as refusal:
            await node.conversations.create("group", "ana", ["bob"], "t", metadata=metadata)
        refused_with(refusal.value, "TOO_LARGE", "metadata")


async def test_a_group_is_stored_as_it_was_asked_for_and_told_other_nodes() -> None:
    async with running_node() as node:
        node.conversations.relay = relay = Relay()
        id_, metadata = new_id(), {"key": "value"}
        stored, made = await node.conversations.create(
            "group", "ANA", ["bob"], "t", id_=id_, metadata=metadata, trace=b"trace"
        )
        assert made
        assert (stored.id, stored.type, stored.title, stored.created_by) == (
            id_,
            "group",
            "t",
            "ana",
        )
        assert roles(stored) == [("ana", "owner"), ("bob", "member")]
        assert stored.metadata == encode_meta(metadata)
        (store,) = node.conversations.storage.shards.all
        assert isinstance(store, MemoryShard)
        assert store._logs[id_].trace == b"trace"
        assert relay.told == [stored]


async def test_a_pair_has_no_owner() -> None:
    async with running_node() as node:
        stored, _ = await node.conversations.create("private", "bob", ["ana"], None)
        assert roles(stored) == [("ana", "member"), ("bob", "member")]


async def test_a_pair_that_was_there_is_told_nobody() -> None:
    async with running_node() as node:
        node.conversations.relay = relay = Relay()
        there, _ = await node.conversations.create("private", "bob", ["ana"], None)
        found, made = await node.conversations.create("private", "ana", ["bob"], None)
        assert (found, made) == (there, False)
        assert relay.told == [there]


async def test_who_creates_for_others_is_no_member_and_the_first_of_them_owns_it() -> None:
    async with running_node() as node:
        create = node.conversations.create
        stored, _ = await create("group", "shop", ["bob", "ana"], "t", joins=False)
        assert roles(stored) == [("bob", "owner"), ("ana", "member")]
        assert stored.created_by == "shop"
        pair, _ = await create("private", "shop", ["bob", "ana"], None, joins=False)
        assert pair.id == private_conversation_id("ana", "bob")


@pytest.mark.parametrize(
    ("creator", "members", "joins"), [("zoe", ["bob"], True), ("zoe", ["bob", "zoe"], False)]
)
async def test_everybody_in_a_conversation_is_a_user(
    creator: str, members: list[str], joins: bool
) -> None:
    async with running_node() as node:
        with pytest.raises(Refusal) as refusal:
            await node.conversations.create("group", creator, members, "t", joins=joins)
        refused_with(refusal.value, "NOT_FOUND", "members")
        assert node.conversations.alive() == []


async def test_an_id_of_another_group_is_refused() -> None:
    async with running_node() as node:
        create, id_ = node.conversations.create, new_id()
        metadata = {"key": "value"}
        await create("group", "ana", ["bob", "carla"], "t", id_=id_, metadata=metadata)
        _, made = await create("group", "ana", ["carla", "bob"], "t", id_=id_, metadata=metadata)
        assert not made  # the same again
        for creator, members, title, data in (
            ("bob", ["ana", "carla"], "t", metadata),
            ("ana", ["bob"], "t", metadata),
            ("ana", ["bob", "carla"], "another", metadata),
            ("ana", ["bob", "carla"], "t", {"key": "another"}),
            ("ana", ["bob", "carla"], "t", None),
        ):
            with pytest.raises(Refusal) as refusal:
                await create("group", creator, members, title, id_=id_, metadata=data)
            refused_with(refusal.value, "CONFLICT", "id")


async def test_a_new_conversation_knows_its_members() -> None:
    async with running_node() as node:
        await person(node, "ana")
        stored, _ = await node.conversations.create("group", "ana", ["bob"], "t")
        conversation = node.conversations.get(stored.id)
        assert conversation is not None
        assert conversation.members == ["ana", "bob"]


async def test_who_is_to_learn_of_it_later_does_not_enter_a_conversation_now() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        id_ = new_id()
        for who, shard in ((ana, logical_shard(id_) + 1), (bob, logical_shard(id_))):
            who.session.missing = frozenset({shard})
        await node.conversations.create("group", "carla", ["ana", "bob"], "t", id_=id_)
        assert node.conversations.read_by(id_, ana.session) is not None
        assert node.conversations.read_by(id_, bob.session) is None
        assert bob.outlet.of(Conv) == []


async def test_who_reads_a_conversation_is_not_told_of_it_again() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        for _ in range(2):
            await node.conversations.create("private", "ana", ["bob"], None)
        assert [len(p.outlet.of(Conv)) for p in (ana, bob)] == [1, 1]
