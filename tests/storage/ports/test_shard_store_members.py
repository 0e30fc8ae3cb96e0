"""Members, roles and settings: what every shard store lets whom change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.storage.builders import (
    append,
    change,
    change_role,
    commit,
    events,
    join,
    leave,
    new_conversation,
    roles_of,
    status_of,
)
from tests.storage.probes import ask

if TYPE_CHECKING:
    from chat4all_storage.ports.shard import ShardStore


@pytest.mark.parametrize(
    ("sender", "role", "expected"),
    [
        ("ann", "member", "STORED"),
        ("ann", "admin", "STORED"),
        ("ann", "owner", "STORED"),
        ("adam", "member", "STORED"),
        ("adam", "admin", "FORBIDDEN"),
        ("adam", "owner", "FORBIDDEN"),
        ("mia", "member", "FORBIDDEN"),
        ("tom", "member", "NOT_MEMBER"),
    ],
)
async def test_who_adds_members_and_in_which_roles(
    limited: ShardStore, sender: str, role: str, expected: str
) -> None:
    conversation = await new_conversation(limited, "ann", "adam", "mia", admins=("adam",))
    assert await status_of(limited, join(conversation, sender, "tom", role)) == expected
    assert (await roles_of(limited, conversation)).get("tom") == (
        role if expected == "STORED" else None
    )


@pytest.mark.parametrize(
    ("sender", "subject", "expected"),
    [
        ("ann", "adam", "STORED"),
        ("ann", "mia", "STORED"),
        ("adam", "mia", "STORED"),
        ("adam", "eve", "FORBIDDEN"),
        ("adam", "ann", "FORBIDDEN"),
        ("mia", "adam", "FORBIDDEN"),
        ("mia", "nobody", "FORBIDDEN"),
        ("adam", "nobody", "NO_SUCH_MEMBER"),
        ("mia", "mia", "STORED"),
        ("adam", "adam", "STORED"),
        ("ann", "ann", "LAST_OWNER"),
    ],
)
async def test_who_removes_whom(
    shard_store: ShardStore, group: str, sender: str, subject: str, expected: str
) -> None:
    before = await roles_of(shard_store, group)
    assert await status_of(shard_store, leave(group, sender, subject)) == expected
    left = set(before) - set(await roles_of(shard_store, group))
    assert left == ({subject} if expected == "STORED" else set())


async def test_an_owner_leaves_when_there_is_another_one(
    shard_store: ShardStore, group: str
) -> None:
    await commit(shard_store, change_role(group, "ann", "mia", "owner"))
    assert await status_of(shard_store, leave(group, "mia", "ann")) == "STORED"
    assert await status_of(shard_store, leave(group, "mia", "mia")) == "LAST_OWNER"


async def test_the_last_one_of_all_may_leave(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    assert await status_of(shard_store, leave(conversation, "ann", "ann")) == "STORED"
    assert await roles_of(shard_store, conversation) == {}


@pytest.mark.parametrize(
    ("sender", "subject", "role", "expected"),
    [
        ("ann", "mia", "admin", "STORED"),
        ("ann", "adam", "member", "STORED"),
        ("ann", "mia", "owner", "STORED"),
        ("ann", "ann", "owner", "STORED"),
        ("ann", "ann", "member", "LAST_OWNER"),
        ("ann", "nobody", "member", "NO_SUCH_MEMBER"),
        ("adam", "ann", "member", "FORBIDDEN"),
        ("adam", "mia", "admin", "FORBIDDEN"),
        ("mia", "mia", "owner", "FORBIDDEN"),
        ("tom", "mia", "admin", "NOT_MEMBER"),
    ],
)
async def test_who_changes_roles(
    shard_store: ShardStore, group: str, sender: str, subject: str, role: str, expected: str
) -> None:
    before = await roles_of(shard_store, group)
    assert await status_of(shard_store, change_role(group, sender, subject, role)) == expected
    wanted = before | {subject: role} if expected == "STORED" else before
    assert await roles_of(shard_store, group) == wanted


async def test_nobody_joins_leaves_or_changes_a_private_conversation(
    shard_store: ShardStore,
) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob", type="private")
    for entry in (
        join(conversation, "ann", "tom"),
        leave(conversation, "ann", "bob"),
        leave(conversation, "ann", "ann"),
        change_role(conversation, "ann", "bob", "owner"),
        change(conversation, "ann", title="t"),
    ):
        assert await status_of(shard_store, entry) == "FORBIDDEN"


async def test_a_change_gives_what_it_names_and_leaves_the_rest(
    shard_store: ShardStore, group: str
) -> None:
    async def stands() -> tuple[str | None, bytes | None, int | None]:
        found = await shard_store.conversation(group)
        assert found is not None
        return found.title, found.metadata, found.retention

    await commit(shard_store, change(group, "ann", title="after", metadata=b"m", retention=60))
    assert await stands() == ("after", b"m", 60)
    await commit(shard_store, change(group, "adam", title=None))
    assert await stands() == (None, b"m", 60)
    await commit(shard_store, change(group, "adam", metadata=None))
    assert await stands() == (None, None, 60)
    await commit(shard_store, change(group, "adam", retention=None))
    assert await stands() == (None, None, None)
    assert await status_of(shard_store, change(group, "mia", title="mine")) == "FORBIDDEN"
    assert [event.kind for event in await events(shard_store, group)][3:] == ["change"] * 4


async def test_changes_of_several_conversations_in_one_batch_are_told_apart(
    shard_store: ShardStore,
) -> None:
    one, other = [await new_conversation(shard_store, "ann") for _ in range(2)]
    outcomes = await commit(
        shard_store,
        append(other, "ann"),
        change(one, "ann", title="one"),
        change(other, "ann", title="other", retention=5),
    )
    assert [outcome.seq for outcome in outcomes] == [1, 1, 2]
    found = [await shard_store.conversation(each) for each in (one, other)]
    assert [(each.title, each.retention) for each in found if each] == [
        ("one", None),
        ("other", 5),
    ]


async def test_the_audit_record_is_the_log(
    shard_store: ShardStore, database_or_memory: str | None
) -> None:
    if database_or_memory is None:
        pytest.skip("a view of PostgreSQL")
    conversation = await new_conversation(shard_store, "ann")
    entry = append(conversation, "ann", b"secret", trace=bytes(range(16)))
    await commit(shard_store, entry)
    await commit(shard_store, join(conversation, "ann", "bob", "admin"))
    rows = await ask(
        database_or_memory,
        "SELECT act, actor, seq, event, subject, role, trace_id FROM audit_events ORDER BY seq",
    )
    assert [(row["act"], row["actor"], row["subject"], row["role"]) for row in rows] == [
        ("create", "ann", None, None),
        ("message", "ann", None, None),
        ("join", "ann", "bob", "admin"),
    ]
    assert str(rows[1]["event"]) == entry.id
    assert rows[1]["trace_id"] == "000102030405060708090a0b0c0d0e0f"
