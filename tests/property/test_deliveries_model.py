"""Whatever is done with deliveries in whatever order, PostgreSQL answers like the memory.

And in both: no state falls, a chat keeps its order, and who has lost an account changes nothing.
"""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat4all_protocol.ids import new_id
from chat4all_storage.bridge import open_bridge
from chat4all_storage.memory.channels import memory_channels
from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.deliveries import (
    OPEN,
    Finish,
    NewDelivery,
    Progress,
    Told,
    reference_of,
)
from chat4all_storage.postgres.channels import postgres_channels
from chat4all_storage.postgres.connections import Database
from tests.storage.channels import AGED_CHANNELS

if TYPE_CHECKING:
    from chat4all_storage.ports.channels import ChannelStores
from chat4all_storage.ports.deliveries import DeliveryState

ACCOUNT: Final = "telegram"
CONVERSATION: Final = new_id()
EVENTS: Final = [(chat, seq) for chat in ("7", "8") for seq in (1, 2, 3)]
STATES: Final[list[DeliveryState]] = [
    "queued",
    "sending",
    "unknown",
    "sent",
    "delivered",
    "read",
    "failed",
    "dropped",
]
LADDER: Final = {"sent": 1, "delivered": 2, "read": 3}
# All times are far from any sum of `PASSING`, so it does not matter how long the test takes.
PASSING: Final = 100.0
LEASE, DELAY, KEEP = 60.0, 150.0, 450.0

event = st.sampled_from(EVENTS)
holder = st.sampled_from(["one", "one", "other"])
calls = st.one_of(
    st.tuples(st.just("hold"), holder),
    st.tuples(st.just("hold"), holder),
    st.tuples(st.just("let_go"), holder),
    st.tuples(st.just("add"), event),
    st.tuples(st.just("add"), event),
    st.tuples(st.just("begin_due"), holder),
    st.tuples(st.just("begin_due"), holder),
    st.tuples(st.just("begin"), holder, event),
    st.tuples(
        st.just("finish"), holder, event, st.sampled_from(["queued", "sent", "unknown", "failed"])
    ),
    st.tuples(st.just("finish"), holder, event, st.just("sent")),
    st.tuples(st.just("told"), event, st.sampled_from([*LADDER, "failed"]), st.booleans()),
    st.tuples(st.just("told_upto"), st.sampled_from(["7", "8"]), st.sampled_from(list(LADDER))),
    st.tuples(st.just("retry"), event),
    st.tuples(st.just("drop"), event),
    st.just(("trim",)),
    st.just(("later",)),
)


def message_of(event: tuple[str, int]) -> str:
    return f"m{event[1]}"


async def everything(stores: ChannelStores) -> dict[tuple[str, int], Progress]:
    rows = await stores.deliveries.listed(STATES, account=None, after=0, limit=100)
    return {(row.address, row.seq): row for row in rows}


def timeless(row: Progress) -> object:
    steps = [step.state for step in row.steps]
    return (row.address, row.seq, row.part, row.state, row.reason, row.attempts, steps)


async def call(stores: ChannelStores, name: str, *arguments: Any) -> object:
    """What a call answers, without ids, which each store gives as it likes."""
    deliveries, rows = stores.deliveries, await everything(stores)
    ids = [row.id for place, row in rows.items() if place == (arguments[-1] if arguments else None)]
    names = {row.id: place for place, row in rows.items()}
    match name, arguments:
        case "hold", (by,):
            return await stores.accounts.hold(ACCOUNT, by, LEASE)
        case "let_go", (by,):
            await stores.accounts.let_go(ACCOUNT, by)
        case "add", ((chat, seq),):
            new = NewDelivery(
                account=ACCOUNT,
                chat=chat,
                address=chat,
                conversation=CONVERSATION,
                seq=seq,
                kind="message",
            )
            return await deliveries.add([new])
        case "begin_due", (by,):
            found, wait = await deliveries.due(ACCOUNT, 10)
            for each in found:
                before = [
                    row for row in rows.values() if row.address == each.chat and row.id < each.id
                ]
                assert all(row.state not in OPEN for row in before)
            begun = await deliveries.begin(by, ACCOUNT, [each.id for each in found])
            return [names[each.id] for each in found], {names[id_] for id_ in begun}, wait is None
        case "begin", (by, _):
            return {names[id_] for id_ in await deliveries.begin(by, ACCOUNT, ids)}
        case "finish", (by, place, state):
            message = message_of(place) if state == "sent" else None
            finish = [
                Finish(id=row.id, state=state, message=message, delay=DELAY, attempts=1)
                for where, row in rows.items()
                if where == place
            ]
            await deliveries.finish(by, ACCOUNT, finish)
        case "told", (place, state, by_reference):
            row = rows.get(place)
            reference = reference_of(row.id) if by_reference and row is not None else None
            told = Told(
                state=state, at=0, message=message_of(place), chat=place[0], reference=reference
            )
            return [timeless(each) for each in await deliveries.told(ACCOUNT, [told])]
        case "told_upto", (chat, state):
            told = Told(state=state, at=0, chat=chat, upto=2**45)
            return sorted(repr(timeless(each)) for each in await deliveries.told(ACCOUNT, [told]))
        case "retry", _:
            return {names[id_] for id_ in await deliveries.retry(ids, SHELL)}
        case "drop", _:
            return {names[id_] for id_ in await deliveries.drop(ids, SHELL)}
        case "trim", _:
            return await deliveries.trim(KEEP, 100)
    return None


async def play(dsn: str, script: list[tuple[Any, ...]]) -> None:
    ticks, ahead = itertools.count(1_000_000), 0.0
    memory = memory_channels(lambda: next(ticks) + int(ahead * 1000))
    async with open_bridge() as bridge:
        database = Database(bridge, dsn)
        await database.write(
            lambda c: c.execute("TRUNCATE deliveries, channel_messages, channel_accounts")
        )
        stored = postgres_channels(database)

        async def age(connection: Any) -> None:
            for statement in AGED_CHANNELS:
                await connection.execute(statement, timedelta(seconds=PASSING))

        before: dict[tuple[str, int], Progress] = {}
        for step in script:
            if step == ("later",):
                ahead += PASSING
                await database.write(age)
                continue
            expected = await call(memory, *step)
            assert await call(stored, *step) == expected, step
            after = await everything(memory)
            shown = {place: timeless(row) for place, row in after.items()}
            assert {
                place: timeless(row) for place, row in (await everything(stored)).items()
            } == shown
            assert await stored.deliveries.counts() == await memory.deliveries.counts()
            for chat, seq in EVENTS:
                ids = [message_of((chat, seq))]
                found = await memory.deliveries.messages(ACCOUNT, chat, ids)
                assert await stored.deliveries.messages(ACCOUNT, chat, ids) == found
            for place, row in before.items():
                if place in after and row.state in LADDER and step[0] != "trim":
                    assert LADDER.get(after[place].state, 4) >= LADDER[row.state], step
            before = after
        await database.close()


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    # The database is emptied before each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(script=st.lists(calls, min_size=10, max_size=40))
def test_postgres_keeps_deliveries_like_memory(
    database: str, script: list[tuple[Any, ...]]
) -> None:
    trio.run(play, database, script)
