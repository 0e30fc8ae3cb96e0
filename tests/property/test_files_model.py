"""Whatever is done with files in whatever order, PostgreSQL answers like the memory."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chat4all_protocol.ids import new_id
from chat4all_storage.bridge import open_bridge
from chat4all_storage.memory.files import MemoryFiles
from chat4all_storage.ports.errors import Rejected
from chat4all_storage.ports.files import File, OverQuota, Use, Verdict
from chat4all_storage.postgres.connections import Database
from chat4all_storage.postgres.files import PostgresFiles
from tests.storage.files import AGED_FILES, HASH, INFECTED, OTHER_HASH, READY, UNSCANNED, new_file

if TYPE_CHECKING:
    from chat4all_storage.ports.files import Files

MANY: Final = 100
# All times are far from any sum of `PASSING`, so it does not matter how long the test takes.
PASSING: Final = 100.0
LEASE, LIFETIME, EVERY, KEEP = 60.0, 350.0, 150.0, 250.0
OWNERS: Final = ("ann", "bob")
IDS: Final = [new_id() for _ in range(3)]
USES: Final = [Use(new_id(), new_id()) for _ in range(3)]
LATER: Final = 2**50

file = st.sampled_from(IDS)
owner = st.sampled_from(OWNERS)
holder = st.sampled_from(["h", "i"])
verdicts = st.sampled_from([READY, READY, Verdict("ready"), UNSCANNED, INFECTED])
calls = st.one_of(
    st.tuples(st.just("add"), file, owner),
    st.tuples(st.just("begun"), file, st.sampled_from(["one", "two"])),
    st.tuples(st.just("begin_check"), file, holder, st.sampled_from([HASH, HASH, OTHER_HASH])),
    st.tuples(st.just("renew_check"), file, holder),
    st.tuples(st.just("note_thumbnail"), file, holder),
    st.tuples(st.just("finish"), file, holder, verdicts),
    st.tuples(st.just("finish"), file, holder, verdicts),
    st.tuples(st.just("recheck"), file, holder),
    st.tuples(st.just("release"), file),
    st.tuples(st.just("use"), file, st.sampled_from(USES), st.sampled_from([*OWNERS, None])),
    st.tuples(st.just("drop_uses"), file, st.sampled_from([0, LATER, LATER])),
    st.tuples(st.just("looked"), file, st.booleans()),
    st.tuples(st.just("remove"), file),
    st.tuples(st.just("removed"), file),
    st.tuples(
        st.sampled_from(
            ["claim_unlooked", "expire", "claim_removals", "forget", "lapsed", "unscanned"]
        )
    ),
    st.tuples(st.just("remove_of"), owner),
    st.just(("later",)),
    st.just(("later",)),
)


async def call(files: Files, name: str, *arguments: Any) -> object:
    """What a call answers, or why it does not."""
    id_ = arguments[0] if arguments else ""
    match name, arguments[1:]:
        case "add", (of,):
            new = replace(new_file(of, id=id_), key="key", conversation=None)
            try:
                return await files.add(new, lifetime=LIFETIME, quota=250, max_uploads=2)
            except (OverQuota, Rejected) as error:
                return type(error), getattr(error, "field", None)
        case "begin_check", (by, sha256):
            return await files.begin_check(id_, sha256, holder=by, lease=LEASE)
        case "renew_check", (by,):
            return await files.renew_check(id_, holder=by, lease=LEASE)
        case "note_thumbnail", (by,):
            return await files.note_thumbnail(id_, f"of {by}", holder=by)
        case "finish", (by, verdict):
            return await files.finish(id_, verdict, holder=by)
        case "recheck", (by,):
            return await files.recheck(id_, holder=by, lease=LEASE)
        case "use", (use, of):
            return await files.use(id_, use, owner=of)
        case "drop_uses", (before,):
            await files.drop_uses(id_, USES, noted_before=before)
            return None
        case "looked", (used,):
            return await files.looked(id_, used=used, keep=KEEP)
        case "remove", ():
            return await files.remove([id_])
        case "claim_unlooked", _:
            return await files.claim_unlooked(MANY, every=EVERY)
        case "expire", _:
            return await files.expire(MANY)
        case "claim_removals", _:
            return await files.claim_removals(MANY, LEASE)
        case "forget", _:
            return await files.forget_rejected(KEEP, MANY)
        case "lapsed", _:
            return await files.lapsed_checks(MANY)
        case "unscanned", _:
            return await files.unscanned(LATER, MANY)
        case "remove_of", _:
            await files.remove_of(id_, f"erased:{id_}")
            return None
    return await getattr(files, name)(*arguments)


def timeless(answer: object) -> object:
    """An answer without times, whose files are in no order."""
    if isinstance(answer, File):
        completed = None if answer.completed_at is None else 0
        return replace(answer, created_at=0, expires_at=0, completed_at=completed)
    if isinstance(answer, list):
        return sorted(map(timeless, answer), key=repr)
    return tuple(map(timeless, answer)) if isinstance(answer, tuple) else answer


async def everything(files: Files) -> object:
    """All that can be asked of each file."""
    return [(timeless(await files.find(id_)), await files.uses(id_, None, MANY)) for id_ in IDS] + [
        (timeless(await files.of(each, None, MANY)), []) for each in OWNERS
    ]


async def play(dsn: str, script: list[tuple[Any, ...]]) -> None:
    # No two moments of the memory's clock are the same, as on PostgreSQL.
    ticks, ahead = itertools.count(1_000_000), 0.0
    memory = MemoryFiles(lambda: next(ticks) + int(ahead * 1000))
    async with open_bridge() as bridge:
        database = Database(bridge, dsn)
        await database.write(lambda c: c.execute("DELETE FROM files"))
        stored = PostgresFiles(database)

        async def age(connection: Any) -> None:
            for statement in AGED_FILES:
                await connection.execute(statement, timedelta(seconds=PASSING))

        for step in script:
            if step == ("later",):
                ahead += PASSING
                await database.write(age)
                continue
            expected = timeless(await call(memory, *step))
            assert timeless(await call(stored, *step)) == expected, step
            assert await everything(stored) == await everything(memory), step
        await database.close()


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    # The database is emptied before each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(script=st.lists(calls, min_size=10, max_size=40))
def test_postgres_keeps_files_like_memory(database: str, script: list[tuple[Any, ...]]) -> None:
    trio.run(play, database, script)
