"""The server with one defect, to prove that a fault run finds it.

    python -m tests.faults.mutants NAME serve ...

Each defect is patched in before the server starts; the server's own code knows nothing of it.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import trio
from msgspec.structs import replace

import chat4all_actors.conversation.actor as conversation_module
import chat4all_actors.session.resume as resume_module
import chat4all_actors.session.session as session_module
import chat4all_storage.postgres.connections as postgres_module
from chat4all_actors.__main__ import main
from chat4all_actors.fanout import fan_out, fan_out_nowait
from chat4all_actors.wire import framed
from chat4all_protocol.frames import Gap
from chat4all_storage.log.entries import Refused
from chat4all_storage.log.queue import Queue
from chat4all_storage.log.telling import Telling
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import CommitResult, Status
from chat4all_storage.ports.shard import Page
from chat4all_storage.postgres.commit import CommitConnection
from chat4all_storage.postgres.libpq import LibpqConnection, ServerError
from chat4all_storage.postgres.shard import PostgresShard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chat4all_actors.messages import Passing, Reader
    from chat4all_actors.session.session import Session
    from chat4all_protocol.frames import ServerFrame
    from chat4all_storage.log.entries import Answer, Entry
    from chat4all_storage.ports.events import Append, Mark

LAG: Final = 0.2
"""Seconds by which a commit comes after its acknowledgement."""


def patch(owner: object, name: str, replacement: object) -> None:
    """Put something in the place of what is there."""
    assert hasattr(owner, name), f"there is no {name} to patch any more"
    setattr(owner, name, replacement)


def no_defect() -> None:
    """The same run finds nothing."""


def acknowledge_before_commit() -> None:
    """What is stored stays in an open transaction for a while."""
    execute = CommitConnection._execute
    behind: set[LibpqConnection] = set()

    async def commit_later(store: CommitConnection, connection: LibpqConnection) -> None:
        await trio.sleep(LAG)
        async with store._turn:
            behind.discard(connection)
            with suppress(*postgres_module.ERRORS):
                await connection.execute(b"end", [])

    async def begin_and_execute(store: CommitConnection, values: list[bytes]) -> object:
        connection = await store._opened()
        if connection not in behind:
            behind.add(connection)
            with suppress(ServerError):  # they are there from the time before
                await connection.prepare(b"begin", "BEGIN")
                await connection.prepare(b"end", "COMMIT")
            await connection.execute(b"begin", [])
            trio.lowlevel.spawn_system_task(commit_later, store, connection)
        return await execute(store, values)

    patch(CommitConnection, "_execute", begin_and_execute)


def acknowledge_before_flush() -> None:
    """A commit does not wait for the disk."""
    postgres_module.SETTINGS["synchronous_commit"] = "off"


def store_retries_again() -> None:
    """The statement looks for no duplicate, and no constraint forbids it."""
    dsn = sys.argv[sys.argv.index("--postgres") + 1]

    async def weaken() -> None:
        connection = await asyncpg.connect(dsn)
        # The latest: what nodes of a former release call is there, too.
        source = await connection.fetchval(
            """SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'commit_batch'
               ORDER BY pronargs DESC LIMIT 1"""
        )
        assert "AND e.id = i.id" in source or "AND false" in source  # at a restart
        await connection.execute(source.replace("AND e.id = i.id", "AND false"))
        await connection.execute("DROP INDEX IF EXISTS events_by_id")
        await connection.close()

    asyncio.run(weaken())


def store_under_another_id() -> None:
    """The idempotency key is lost on the way to the store."""
    commit = PostgresShard.commit

    async def renamed(
        store: PostgresShard, appends: Sequence[Append], marks: Sequence[Mark]
    ) -> CommitResult:
        return await commit(store, [replace(a, id=str(uuid.uuid4())) for a in appends], marks)

    patch(PostgresShard, "commit", renamed)


def store_in_another_order() -> None:
    """A flush stores what it collected the other way round."""
    take = Queue.take_entries

    def reversed_(queue: Queue) -> list[Entry[Any]]:
        return take(queue)[::-1]

    patch(Queue, "take_entries", reversed_)


def store_and_refuse() -> None:
    """One message in eight is refused although it was stored."""
    tell = Telling.tell_nowait

    def refusing(telling: Telling, answers: Sequence[tuple[Entry[Any], Answer]]) -> None:
        tell(telling, [(entry, _refusal(entry, given) or given) for entry, given in answers])

    def _refusal(entry: Entry[Any], given: Answer) -> Refused | None:
        stored = not isinstance(given, Refused) and given.status is Status.STORED
        chosen = stored and entry.append.id[0] in "01"
        return Refused(Unavailable("a lie")) if chosen else None

    patch(Telling, "tell_nowait", refusing)


def deliver_out_of_order() -> None:
    """Events that go out together go out the other way round."""

    async def reversed_(readers: set[Reader], conversation: str, events: Sequence[Passing]) -> None:
        for event in reversed(events):
            await fan_out(readers, conversation, [event])

    def reversed_nowait(readers: set[Reader], conversation: str, events: Sequence[Passing]) -> None:
        for event in reversed(events):
            fan_out_nowait(readers, conversation, [event])

    patch(conversation_module, "fan_out", reversed_)
    patch(conversation_module, "fan_out_nowait", reversed_nowait)


def skip_what_was_missed() -> None:
    """A session that resumes is not given the events after its cursors."""

    async def nothing(
        session: Session, cursors: dict[str, int], _starts: object, _found: object
    ) -> None:
        held, session.held = session.held, None
        if held is not None:
            for conversation in cursors:
                session.outlet.send_nowait(held.release(conversation))

    patch(resume_module, "_replay", nothing)


def swallow_gaps() -> None:
    """What was not pushed is not announced."""

    def silent(frame: ServerFrame) -> bytes:
        return b"" if isinstance(frame, Gap) else framed(frame)

    patch(resume_module, "framed", silent)
    patch(session_module, "framed", silent)


def shorten_pages() -> None:
    """A page leaves out its last event, and says that this is all."""
    page = PostgresShard.page

    async def shorter(store: PostgresShard, *arguments: Any, **bounds: Any) -> Page | None:
        found = await page(store, *arguments, **bounds)
        if found is None or len(found.events) < 2:
            return found
        kept = found.events[:-1]
        return Page(kept, kept[-1].seq)

    patch(PostgresShard, "page", shorter)


MUTANTS: Final[dict[str, Callable[[], None]]] = {
    mutate.__name__: mutate
    for mutate in (
        no_defect,
        acknowledge_before_commit,
        acknowledge_before_flush,
        store_retries_again,
        store_under_another_id,
        store_in_another_order,
        store_and_refuse,
        deliver_out_of_order,
        skip_what_was_missed,
        swallow_gaps,
        shorten_pages,
    )
}

if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    main()
