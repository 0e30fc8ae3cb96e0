"""Whatever is done to them, PostgreSQL and memory answer alike."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from chat4all_protocol.codec import encode_meta
from chat4all_protocol.ids import new_id
from chat4all_storage.bridge import open_bridge
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.events import Append, Change, Mark, Outcome, Status
from chat4all_storage.ports.shard import Range
from tests.storage.builders import (
    RULES,
    append,
    memberships,
)
from tests.storage.probes import open_shard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_storage.ports.events import StoredEvent
    from chat4all_storage.ports.shard import Conversation, ShardStore

CONVERSATIONS = 3
ROLES = ("owner", "admin", "member")
USERS = 6
IDS = 12

# Few names, ids and bodies, so that most of what is drawn collides with something.
conversations = st.integers(0, CONVERSATIONS - 1)
users = st.integers(0, USERS - 1)
positions = st.one_of(st.integers(-1, 12), st.just(2**63 - 1))

drafts = st.fixed_dictionaries(
    {
        "conversation": conversations,
        "sender": users,
        "id": st.integers(0, IDS - 1),
        "body": st.sampled_from([b"one", b"other", b"", None, b"\0\xff"]),
        "kind": st.sampled_from(
            ["message"] * 5
            + ["edit"] * 2
            + ["react"] * 2
            + ["delete", "join", "join", "leave", "change"]
        ),
        "reply_to": st.one_of(st.none(), st.none(), positions),
        "target": st.one_of(st.integers(1, 6), positions, st.none()),
        "change": st.one_of(
            st.none(),
            st.builds(
                Change,
                st.sampled_from([UNSET, None, "title"]),
                st.sampled_from([UNSET, None, b"", b"metadata"]),
                st.sampled_from([UNSET, None, 60]),
            ),
        ),
        "meta": st.sampled_from([None, b"", b"meta"]),
        "emoji": st.sampled_from(["👍", "🎉"]),
        "on": st.booleans(),
        "subject": users,
        "role": st.sampled_from(["owner", "admin", "member"]),
    }
)
marks = st.tuples(conversations, users, positions, positions)
commits = st.tuples(
    st.just("commit"), st.lists(drafts, max_size=8), st.lists(marks, max_size=4), st.booleans()
)
creations = st.tuples(
    st.just("create"), conversations, st.lists(users, min_size=1, max_size=3, unique=True)
)
scripts = st.lists(st.one_of(commits, commits, commits, creations), max_size=12)


class World:
    """The names of one example, and both stores."""

    def __init__(self, number: int, memory: ShardStore, nodes: Sequence[ShardStore]) -> None:
        self.conversations = sorted(new_id() for _ in range(CONVERSATIONS))
        self.users = [f"user-{user}-of-{number}" for user in range(USERS)]
        self.ids = [new_id() for _ in range(IDS)]
        self.memory = memory
        self.nodes = nodes
        # (conversation, seq) to ts, of each store by itself.
        self.times: list[dict[tuple[str, int], int]] = [{}, {}]

    def append(self, draft: dict[str, Any]) -> Append:
        kind = draft["kind"]
        aims = kind in ("join", "leave") or (kind == "change" and draft["change"] is None)
        return append(
            self.conversations[draft["conversation"]],
            self.users[draft["sender"]],
            draft["body"],
            id=self.ids[draft["id"]],
            kind=kind,
            reply_to=draft["reply_to"],
            target=draft["target"],
            meta=draft["meta"]
            if kind != "react"
            else encode_meta({"emoji": draft["emoji"], "on": draft["on"]}),
            subject=self.users[draft["subject"]] if aims else None,
            role=draft["role"] if aims and kind != "leave" else None,
            change=draft["change"] if kind == "change" else None,
        )

    async def commit(self, drafts: list[dict[str, Any]], wanted: list[Any], node: bool) -> None:
        appends = lawful([self.append(draft) for draft in drafts])
        marks = {
            (conversation, user): Mark(
                self.conversations[conversation], self.users[user], recv, read
            )
            for conversation, user, recv, read in wanted
        }
        results = [
            await store.commit(appends, list(marks.values()))
            for store in (self.memory, self.nodes[node])
        ]
        for result, times in zip(results, self.times, strict=True):
            for each, outcome in zip(appends, result.outcomes, strict=True):
                check_time(times, each.conversation, outcome)
        memory, postgres = ([replace(each, ts=0) for each in result.outcomes] for result in results)
        assert postgres == memory
        assert results[1].marks == results[0].marks

    async def create(self, conversation: int, members: list[int]) -> None:
        names = [self.users[member] for member in members]
        id_, roles = self.conversations[conversation], dict(zip(names, ROLES, strict=False))
        found = [
            await store.create(id_, "group", f"of {names[0]}", names[0], roles)
            for store in (self.memory, self.nodes[0])
        ]
        memory, postgres = ((described(each), made) for each, made in found)
        assert postgres == memory

    async def compare_reads(self) -> None:
        assert await self.everything(self.nodes[1]) == await self.everything(self.memory)

    async def everything(self, store: ShardStore) -> list[Any]:
        """All that can be read, without times, which are each store's own."""
        wanted = [
            Range(conversation, after, upto, limit)
            for conversation in self.conversations
            for after, upto, limit in [(0, 99, 99), (2, 4, 9), (1, 99, 2)]
        ]
        seen: list[Any] = [
            [timeless(event) for event in events] for events in await store.history(wanted)
        ]
        for conversation in self.conversations:
            found = await store.conversation(conversation)
            if found is not None:
                seen += [described(found), list(found.members)]
                seen += [
                    (name, each.recv_at is None, each.read_at is None)
                    for name, each in found.members.items()
                ]
            seen += [await store.reactions(conversation, seq, 2) for seq in range(7)]
            for user, (after, before) in itertools.product(
                self.users, [(None, None), (1, None), (None, 3)]
            ):
                page = await store.page(conversation, user, after=after, before=before, limit=2)
                if page is not None:
                    seen += [page.head, [timeless(event) for event in page.events]]
        for user in self.users:
            mine_now = await memberships(store, user, details=99)
            seen.append({mine.conversation: replace(mine, active_at=0) for mine in mine_now})
        return seen


def described(conversation: Conversation) -> Conversation:
    """The conversation without its times."""
    members = {
        name: replace(each, recv_at=None, read_at=None)
        for name, each in conversation.members.items()
    }
    return replace(conversation, created_at=0, members=members)


def timeless(event: StoredEvent) -> StoredEvent:
    """The event; of its times only whether it has them."""
    return replace(
        event,
        ts=0,
        edited_at=None if event.edited_at is None else 0,
        deleted_at=None if event.deleted_at is None else 0,
    )


def lawful(appends: list[Append]) -> list[Append]:
    """What a batch may hold; see `ShardStore.commit`."""
    kept: list[Append] = []
    for each in appends:
        seen = any(
            earlier.conversation == each.conversation
            and (
                earlier.kind in ("join", "leave", "change")
                or (
                    earlier.kind in ("edit", "delete")
                    and each.kind in ("edit", "delete", "react")
                    and earlier.target == each.target
                )
                or (earlier.sender, earlier.id) == (each.sender, each.id)
            )
            for earlier in kept
        )
        if not seen:
            kept.append(each)
    return kept


def check_time(times: dict[tuple[str, int], int], conversation: str, outcome: Outcome) -> None:
    """A retry is told the time of the first; times never go back along the log."""
    if outcome.status is Status.STORED:
        assert outcome.ts >= times.get((conversation, outcome.seq - 1), 1)
        times[conversation, outcome.seq] = outcome.ts
    elif outcome.status is Status.DUPLICATE:
        assert outcome.ts == times[conversation, outcome.seq]
    else:
        assert (outcome.seq, outcome.ts) == (0, 0)


async def play(number: int, database: str, script: list[tuple[Any, ...]]) -> None:
    async with (
        open_bridge() as bridge,
        open_shard(bridge, database, rules=RULES) as one,
        open_shard(bridge, database, rules=RULES) as other,
    ):
        world = World(number, MemoryShard(rules=RULES), [one, other])
        await world.create(0, [0, 1, 2])
        await world.create(1, [0])
        for step in script:
            await (world.commit if step[0] == "commit" else world.create)(*step[1:])
        await world.compare_reads()


@settings(
    max_examples=80,
    derandomize=True,
    deadline=None,
    # The database is shared by the examples on purpose: each has names of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(script=scripts)
def test_postgres_answers_like_memory(database: str, script: list[tuple[Any, ...]]) -> None:
    trio.run(play, next(_numbers), database, script)


_numbers = itertools.count()
