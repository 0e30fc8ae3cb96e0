"""Erased users: nothing is left of them, whatever fails in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_actors.upkeep.erasure import DELAY, INTERVAL, LEASE, Eraser, new_pseudonym
from chat4all_storage.memory.channels import memory_channels
from chat4all_storage.memory.files import MemoryFiles
from chat4all_storage.memory.log import wall_clock_ms
from chat4all_storage.ports.contacts import Link
from chat4all_storage.ports.erasures import Erasure
from chat4all_storage.ports.errors import Unavailable
from tests.storage.files import in_state, stands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from chat4all_storage.ports.contacts import Contacts
    from chat4all_storage.ports.shard import ShardStore

ERASURE = Erasure("id", "ana", "erased:1")


class Ledger:
    """One erasure that is to be carried out; what is asked of it."""

    def __init__(self) -> None:
        self.open: Erasure | None = ERASURE
        self.leased_until = 0.0
        self.finished: list[str] = []

    async def claim(self, delay: float, lease: float) -> Erasure | None:
        await trio.lowlevel.checkpoint()
        assert delay == DELAY
        if self.open is None or trio.current_time() < self.leased_until:
            return None
        self.leased_until = trio.current_time() + lease
        return self.open

    async def finish(self, user_id: str) -> None:
        await trio.lowlevel.checkpoint()
        self.open = None
        self.finished.append(user_id)


class Store:
    """Needs three steps; the second may fail once."""

    def __init__(self, *, fails: bool = False) -> None:
        self.steps: list[tuple[str, str]] = []
        self._fails = fails

    async def erase_user(self, user: str, pseudonym: str, limit: int) -> bool:
        await trio.lowlevel.checkpoint()
        self.steps.append((user, pseudonym))
        if self._fails and len(self.steps) == 2:
            raise Unavailable("away")
        return len(self.steps) >= 3


async def erase(
    ledger: Ledger,
    stores: Sequence[Store],
    seconds: float,
    files: MemoryFiles | None = None,
    contacts: Contacts | None = None,
) -> None:
    found: list[ShardStore] = list(stores)  # type: ignore[arg-type]
    with trio.move_on_after(seconds):
        contacts = contacts or memory_channels(wall_clock_ms).contacts
        await Eraser(ledger, contacts, files or MemoryFiles(), found).run()


async def test_every_database_is_asked_until_nothing_is_left(autojump_clock: MockClock) -> None:
    ledger, stores = Ledger(), [Store(), Store()]
    await erase(ledger, stores, INTERVAL + 1)
    assert [store.steps for store in stores] == [[("ana", "erased:1")] * 3] * 2
    assert ledger.finished == ["id"]


async def test_the_files_go_even_if_a_database_is_away(autojump_clock: MockClock) -> None:
    ledger, files = Ledger(), MemoryFiles()
    mine = await in_state(files, "ready", owner="ana")
    others = await in_state(files, "ready", owner="bob")
    await erase(ledger, [Store(fails=True)], INTERVAL + 1, files)
    assert ledger.finished == []
    assert await stands(files, others.id) == others
    left = await stands(files, mine.id)
    assert (left.state, left.owner, left.name) == ("removing", "erased:1", "")


async def test_the_links_to_channels_go_even_if_a_database_is_away(
    autojump_clock: MockClock,
) -> None:
    contacts = memory_channels(wall_clock_ms).contacts
    for name in ("ana", "bob"):
        link = Link(name, "telegram", "telegram:7", "7", None)
        await contacts.ask_link(link, code_hash=b"h", expires_at=1)
    await erase(Ledger(), [Store(fails=True)], INTERVAL + 1, contacts=contacts)
    assert await contacts.links_of("ana") == []
    assert len(await contacts.links_of("bob")) == 1


async def test_what_failed_is_taken_up_when_its_claim_has_ended(autojump_clock: MockClock) -> None:
    ledger, store = Ledger(), Store(fails=True)
    await erase(ledger, [store], LEASE)
    assert (len(store.steps), ledger.finished) == (2, [])
    await erase(ledger, [store], LEASE + INTERVAL)
    assert ledger.finished == ["id"]


def test_no_account_can_have_a_pseudonym() -> None:
    assert ":" in new_pseudonym()
    assert new_pseudonym() != new_pseudonym()
