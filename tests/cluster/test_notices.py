"""The notice board in the directory, and revocations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_actors.cluster.items import AnyItem, Bye, Stands, encode_item
from chat4all_actors.cluster.notices import EVERY, MAX_WAITING, NoticeBoard
from chat4all_storage.memory.accounts import memory_accounts
from chat4all_storage.memory.directory import MemoryDirectory
from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.logins import NewLogin

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock

    from chat4all_storage.ports.logins import EndedLogin

EPOCH = 1_700_000_000.0
WITHIN = 2.0
"""Seconds in which every node learns what was posted, or revoked."""


class Reader:
    """A node's board and what it learned."""

    def __init__(self, name: str, directory: MemoryDirectory) -> None:
        self.told: list[tuple[str, list[AnyItem]]] = []
        self.revoked: dict[str, int] = {}
        self.ended: list[EndedLogin] = []
        self.logins = memory_accounts(directory).logins
        self.board = NoticeBoard(
            name,
            directory,
            arrived=lambda sender, items: self.told.append((sender, items)),
            revoked=self.revoked.update,
            logins=self.logins,
            ended=self.ended.extend,
            clock=lambda: EPOCH + trio.current_time(),
            remember=3600,
        )


def a_directory() -> MemoryDirectory:
    return MemoryDirectory(clock_ms=lambda: int((EPOCH + trio.current_time()) * 1000))


async def test_what_one_posts_the_others_learn(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    directory = a_directory()
    one, two = Reader("one", directory), Reader("two", directory)
    for reader in (one, two):
        await nursery.start(reader.board.run)
    one.board.post_nowait(encode_item(Stands("room", 1, [])))
    one.board.post_nowait(encode_item(Bye()))
    await trio.sleep(WITHIN)
    assert two.told == [("one", [Stands("room", 1, []), Bye()])]
    assert one.told == []
    await trio.sleep(WITHIN)
    assert len(two.told) == 1


async def test_what_was_posted_before_is_no_news(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    directory = a_directory()
    one, two = Reader("one", directory), Reader("two", directory)
    await nursery.start(one.board.run)
    one.board.post_nowait(encode_item(Bye()))
    await trio.sleep(WITHIN)
    await nursery.start(two.board.run)
    await trio.sleep(WITHIN)
    assert two.told == []


async def test_beyond_a_bound_nothing_waits(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    directory = a_directory()
    one, two = Reader("one", directory), Reader("two", directory)
    for reader in (one, two):
        await nursery.start(reader.board.run)
    one.board.post_nowait(encode_item(Stands("x" * (MAX_WAITING - 100), 1, [])))
    one.board.post_nowait(encode_item(Stands("y" * 200, 2, [])))
    one.board.post_nowait(encode_item(Bye()))
    await trio.sleep(WITHIN)
    ((_, items),) = two.told
    assert [type(item) for item in items] == [Stands, Bye]


async def test_revocations_are_known_at_the_start_and_learned_in_time(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    directory = a_directory()
    for name in ("ana", "bob"):
        await directory.add_user(User(name, name, b""))
    await directory.revoke("ana")
    reader = Reader("one", directory)
    await nursery.start(reader.board.run)
    assert set(reader.revoked) == {"ana"}
    await directory.revoke("bob")
    await trio.sleep(WITHIN)
    assert set(reader.revoked) == {"ana", "bob"}


async def test_it_is_not_ready_before_the_directory_has_told_who_was_revoked(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = a_directory()
    await directory.add_user(User("ana", "ana", b""))
    await directory.revoke("ana")
    ask = directory.revocations

    async def away(since: int) -> dict[str, int]:
        if trio.current_time() < 3 * EVERY:
            raise Unavailable("gone")
        return await ask(since)

    monkeypatch.setattr(directory, "revocations", away)
    reader = Reader("one", directory)
    await nursery.start(reader.board.run)
    assert trio.current_time() >= 3 * EVERY
    assert set(reader.revoked) == {"ana"}


async def test_logins_that_ended_are_known_at_the_start_and_learned_in_time(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    directory = a_directory()
    user = User("id", "ana", b"hash")
    await directory.add_user(user)
    reader = Reader("one", directory)
    logins = reader.logins
    for login in ("before", "after"):
        new = NewLogin(login, "id", b"salt", b"hash", 3600)
        assert await logins.open(new, b"hash", 10, SHELL) is not None
    await logins.end("id", "logout", SHELL, only="before")
    await nursery.start(reader.board.run)
    assert {each.login for each in reader.ended} == {"before"}
    await trio.sleep(60)
    await logins.end("id", "logout", SHELL)
    await trio.sleep(WITHIN)
    assert {each.login for each in reader.ended} == {"before", "after"}
