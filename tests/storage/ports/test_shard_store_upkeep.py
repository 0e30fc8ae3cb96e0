"""Retention, export and erasure: what every shard store does with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.codec import decode_body, decode_meta, encode_body
from chat4all_protocol.frames import MemberBody
from chat4all_protocol.ids import new_id, private_conversation_id
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.errors import Moved
from chat4all_storage.ports.events import Status
from chat4all_storage.ports.logical_shards import logical_shard
from chat4all_storage.sharding import everywhere
from chat4all_storage.storage import memory_storage
from tests.storage.builders import (
    append,
    change,
    change_role,
    commit,
    commit_one,
    delete,
    edit,
    events,
    fill,
    join,
    leave,
    mark,
    new_conversation,
    react,
)
from tests.storage.probes import ask

if TYPE_CHECKING:
    from chat4all_storage.ports.shard import ShardStore

HOUR = 3_600_000


# --- retention ------------------------------------------------------------------------------------


async def keeping(store: ShardStore, seconds: int | None, count: int = 3) -> tuple[str, int]:
    """A conversation that keeps messages so long, and when its last one was stored."""
    conversation = await new_conversation(store, "ann", "bob")
    if seconds is not None:
        await commit(store, change(conversation, "ann", retention=seconds))
    await fill(store, conversation, "ann", count)
    return conversation, (await events(store, conversation))[-1].ts


async def bodies(store: ShardStore, conversation: str) -> list[bytes | None]:
    return [event.body for event in await events(store, conversation) if event.kind == "message"]


async def test_messages_are_emptied_when_they_are_too_old(shard_store: ShardStore) -> None:
    kept, _ = await keeping(shard_store, None)
    conversation, last = await keeping(shard_store, 3600)
    assert (await shard_store.expire(100, now=last)).messages == 0
    assert (await shard_store.expire(100, now=last + HOUR)).messages == 3
    assert await bodies(shard_store, conversation) == [None] * 3
    log = await events(shard_store, conversation)
    assert [(event.deleted, event.deleted_at) for event in log[1:]] == [(True, last + HOUR)] * 3
    assert (log[0].kind, log[0].deleted) == ("change", False)
    assert await bodies(shard_store, kept) == [b"hello"] * 3
    assert (await shard_store.expire(100, now=last + 2 * HOUR)).messages == 0


async def test_what_comes_later_is_emptied_later(shard_store: ShardStore) -> None:
    conversation, last = await keeping(shard_store, 3600)
    await shard_store.expire(100, now=last + HOUR)
    await fill(shard_store, conversation, "bob", 2)
    last = (await events(shard_store, conversation))[-1].ts
    assert (await shard_store.expire(100, now=last + 3 * HOUR)).messages == 2
    assert await bodies(shard_store, conversation) == [None] * 5


async def test_the_edits_of_what_is_emptied_are_emptied_with_it(shard_store: ShardStore) -> None:
    conversation, last = await keeping(shard_store, 3600, count=1)
    await commit(shard_store, edit(conversation, "ann", 2, b"better"))
    _, message, edited = await events(shard_store, conversation)
    assert (await shard_store.expire(100, now=last + HOUR)).messages == 1
    _, message, edited = await events(shard_store, conversation)
    assert (message.body, edited.body, edited.deleted) == (None, None, True)
    assert await shard_store.revisions(conversation, 2, "ann") == []
    refused = await commit_one(shard_store, edit(conversation, "ann", 2))
    assert refused.status is Status.TARGET_DELETED


async def test_much_is_emptied_in_bounded_rounds(shard_store: ShardStore) -> None:
    conversation, last = await keeping(shard_store, 0, count=9)
    rounds = []
    while (done := await shard_store.expire(4, now=last + HOUR)).more:
        rounds.append(done.messages)
    assert sum(rounds) + done.messages == 9
    assert max(rounds) <= 4
    assert await bodies(shard_store, conversation) == [None] * 9


async def test_a_shorter_retention_counts_at_once_and_none_keeps_everything(
    shard_store: ShardStore,
) -> None:
    conversation, last = await keeping(shard_store, 3600)
    await shard_store.expire(100, now=last)
    await commit(shard_store, change(conversation, "ann", retention=None))
    assert (await shard_store.expire(100, now=last + 2 * HOUR)).messages == 0
    await commit(shard_store, change(conversation, "ann", retention=60))
    assert (await shard_store.expire(100, now=last + 60_000)).messages == 3


# --- export ---------------------------------------------------------------------------------------


async def test_an_export_has_everything_since_the_member_came() -> None:
    shards = memory_storage(2).shards
    ids = [new_id() for _ in range(5)]
    for id_ in ids:
        await shards.create(id_, "group", None, "ann", {"ann": "owner"})
        await fill(shards.of(id_), id_, "ann", 2)
        await commit(shards.of(id_), join(id_, "ann", "bob"))
        await fill(shards.of(id_), id_, "ann", 3)
    seen: dict[str, list[int]] = {}
    for mine in await everywhere.conversations_of(shards, "bob"):
        after = 0
        while page := await everywhere.export(shards, mine, after, 2):
            seen.setdefault(mine.conversation, []).extend(event.seq for event in page)
            after = page[-1].seq
    assert seen == {id_: [4, 5, 6] for id_ in ids}


# --- erasure --------------------------------------------------------------------------------------

GONE = "erased-7f3a"


async def erase(store: ShardStore, user: str, limit: int = 3) -> int:
    """Erase to the end; how many steps it took."""
    steps = 1
    while not await store.erase_user(user, GONE, limit):
        steps += 1
        assert steps < 100
    return steps


async def everything(store: ShardStore, database: str | None) -> str:
    """All that a store holds, as text, but for the ids in its journal, which lasts minutes."""
    if database is None:
        assert isinstance(store, MemoryShard)
        names = [name for _, row in store._journal for _, name in row.joined]
        return repr([store._logs, names])
    tables = ("conversations", "members", "events", "revisions", "erasures")
    queries = [f"SELECT to_jsonb(t)::text FROM {table} t" for table in tables]
    queries.append("SELECT joined_users::text FROM journal WHERE joined_users IS NOT NULL")
    rows = [await ask(database, query) for query in queries]
    return json.dumps([row[0] for found in rows for row in found])


def shows(text: str, word: str) -> bool:
    """Whether a word is in there, as text or as the bytes of some column."""
    return word in text or word.encode().hex() in text


async def test_nothing_of_an_erased_user_remains(
    shard_store: ShardStore, database_or_memory: str | None
) -> None:
    group = await new_conversation(shard_store, "ann", "zed", "bob")
    private = await new_conversation(
        shard_store, "zed", "bob", type="private", id=private_conversation_id("zed", "bob")
    )
    former = await new_conversation(shard_store, "ann", "zed")
    own = await new_conversation(shard_store, "zed")
    for conversation in (group, private, former, own):
        for number in range(5):
            words = f"zebra {number}".encode()
            await commit(shard_store, append(conversation, "zed", words, meta=words))
        await commit(shard_store, edit(conversation, "zed", 1, b"zebra again"))
    await fill(shard_store, private, "bob", 4)
    await commit(shard_store, edit(private, "bob", 7, b"mine"))
    for conversation in (group, private):
        await commit(shard_store, react(conversation, "zed", 7, "zebra"))
    await mark(shard_store, private, "bob", read=5)
    await commit(shard_store, change_role(group, "ann", "zed", "admin"))
    body = encode_body(MemberBody("zed"))
    left = leave(former, "ann", "zed")
    await commit(shard_store, append(former, "ann", body, kind="leave", subject=left.subject))
    assert shows(await everything(shard_store, database_or_memory), "zed")

    assert await erase(shard_store, "zed") >= 2

    text = await everything(shard_store, database_or_memory)
    for word in ("zed", "zebra"):
        assert not shows(text, word)
    assert private not in text
    assert await erase(shard_store, "zed") == 1


async def test_what_an_erased_user_did_stands_under_the_pseudonym(shard_store: ShardStore) -> None:
    group = await new_conversation(shard_store, "ann", "bob")
    joined = append(
        group, "ann", encode_body(MemberBody("zed", "admin")), kind="join", subject="zed",
        role="admin",
    )  # fmt: skip
    await commit(shard_store, joined)
    await fill(shard_store, group, "zed", 2)
    await commit(shard_store, append(group, "bob", b"hers"))
    await commit(shard_store, delete(group, "zed", 4))
    await erase(shard_store, "zed")
    log = await events(shard_store, group)
    assert [(event.seq, event.kind, event.sender, event.deleted) for event in log] == [
        (1, "join", "ann", False),
        (2, "message", GONE, True),
        (3, "message", GONE, True),
        (4, "message", "bob", True),
        (5, "delete", GONE, False),
        (6, "leave", GONE, False),
    ]
    assert [decode_body(event.body) for event in (log[0], log[5]) if event.body] == [
        MemberBody(GONE, "admin"),
        MemberBody(GONE),
    ]
    found = await shard_store.conversation(group)
    assert found is not None
    assert list(found.members) == ["ann", "bob"]


async def test_a_group_of_an_erased_owner_gets_another_one(shard_store: ShardStore) -> None:
    one = await new_conversation(shard_store, "zed", "ann", "bob", admins=("bob",))
    other = await new_conversation(shard_store, "zed", "ann", "bob")
    await erase(shard_store, "zed")
    for conversation, owner in [(one, "bob"), (other, "ann")]:
        found = await shard_store.conversation(conversation)
        assert found is not None
        assert found.created_by == GONE
        assert found.members[owner].role == "owner"
        change_, left = await events(shard_store, conversation)
        assert (change_.kind, left.kind) == ("change", "leave")
        assert change_.meta is not None
        assert decode_meta(change_.meta) == {"user": owner, "role": "owner"}


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_the_other_one_keeps_a_private_conversation_under_another_id(
    shard_store: ShardStore, limit: int
) -> None:
    private = private_conversation_id("zed", "bob")
    await new_conversation(shard_store, "zed", "bob", type="private", id=private)
    await fill(shard_store, private, "zed", 2)
    await commit(shard_store, append(private, "bob", b"mine"))
    await commit(shard_store, edit(private, "bob", 3, b"better"))
    await mark(shard_store, private, "bob", read=2)
    end = await shard_store.journal_end()
    await erase(shard_store, "zed", limit)
    assert await shard_store.conversation(private) is None
    (mine,) = (await shard_store.listing("bob", before=None, limit=9)).items
    assert mine.conversation != private
    assert logical_shard(mine.conversation) == logical_shard(private)
    assert (mine.head, mine.read, list(mine.members)) == (4, 2, ["bob"])
    log = await events(shard_store, mine.conversation)
    assert [(event.seq, event.sender, event.body) for event in log] == [
        (1, GONE, None),
        (2, GONE, None),
        (3, "bob", b"better"),
        (4, "bob", b"better"),
    ]
    former = await shard_store.revisions(mine.conversation, 3, "bob")
    assert former is not None
    assert [each.body for each in former] == [b"mine"]
    assert (await commit_one(shard_store, append(mine.conversation, "bob"))).seq == 5
    rows = await shard_store.journal(end, (), lag=0, limit=99)
    assert [(mine.conversation, "bob")] in [row.joined for row in rows]


async def test_an_erasure_waits_for_a_shard_on_the_move(
    shard_store: ShardStore, database_or_memory: str | None
) -> None:
    conversation = await new_conversation(shard_store, "zed", "bob", type="private")
    shard = logical_shard(conversation)
    if database_or_memory is None:
        assert isinstance(shard_store, MemoryShard)
        shard_store.frozen_shards = {shard}
    else:
        assert not await shard_store.erase_user("zed", GONE, 9)
        await ask(
            database_or_memory,
            f"INSERT INTO shard_fences VALUES ({shard}, 'frozen', now() + interval '1 minute')",
        )
    with pytest.raises(Moved):
        await shard_store.erase_user("zed", GONE, 9)


async def test_nobody_on_a_channel_comes_to_own_a_group(shard_store: ShardStore) -> None:
    id_ = new_id()
    roles = {"zed": "owner", "telegram:12345": "member", "bob": "member"}
    await shard_store.create(id_, "group", None, "zed", roles)
    while not await shard_store.erase_user("zed", GONE, 9):
        pass
    stored = await shard_store.conversation(id_)
    assert stored is not None
    assert {name: member.role for name, member in stored.members.items()} == {
        "telegram:12345": "member",
        "bob": "owner",
    }
