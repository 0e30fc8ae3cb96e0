"""From the outbox of a database to deliveries: who is to have what, noted in the directory.

Every node routes, as whoever is nudged first is fastest; deliveries are noted once, and a row goes
when they stand. How many parts an event goes in is decided here, so that nothing comes between
them; what is said in them when they are sent.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from msgspec import Struct
from msgspec.structs import replace

from chat4all_storage.ports.contacts import Link
from chat4all_storage.ports.errors import StorageError
from chat4all_storage.ports.outbox import is_external

from .composing import calls
from .recipients import deliveries, wants_links

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chat4all_connectors.capabilities import Capabilities
    from chat4all_storage.ports.channels import ChannelStores
    from chat4all_storage.ports.contacts import Contact
    from chat4all_storage.ports.deliveries import NewDelivery
    from chat4all_storage.ports.outbox import Leaving
    from chat4all_storage.ports.shard import ShardStore

    from .content import Content

logger = logging.getLogger(__name__)

LIMIT: Final = 200
"""Rows of one look."""


class _People(Struct, frozen=True):
    """Those whom rows are for."""

    contacts: Mapping[str, Contact]
    links: Sequence[Link]


class Router:
    """Of one database, on one node."""

    def __init__(
        self,
        store: ShardStore,
        stores: ChannelStores,
        content: Content,
        accounts: Mapping[str, Capabilities],
        *,
        interval: float,
        routed: Callable[[list[str]], None],
    ) -> None:
        """A router of what `accounts` can carry.

        Args:
            interval: seconds between looks without a nudge.
            routed: is told the accounts that have got something to do.
        """
        self.store = store
        self._stores = stores
        self._content = content
        self._accounts = accounts
        self._interval = interval
        self._routed = routed
        self._wake = trio.Event()

    def nudge(self) -> None:
        """Something may have been noted: look now."""
        self._wake.set()

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Route until cancelled."""
        task_status.started()  # a database that is away keeps nobody from the others
        while True:
            self._wake = trio.Event()  # before looking, so that nothing is missed
            try:
                while await self._route():
                    pass
            except StorageError as error:
                logger.warning("the outbox of %s waits: %s", self.store.name, error)
            with trio.move_on_after(self._interval):
                await self._wake.wait()

    async def _route(self) -> bool:
        """Route the oldest rows; whether there are more."""
        rows = await self.store.leaving(LIMIT)
        if not rows:
            return False
        people = await self._people(rows)
        found = [new for row in rows for new in await self._deliveries(row, people)]
        # In this order: what crashes in between is routed again, and noted once.
        busy = await self._stores.deliveries.add(found) if found else []
        noted = [
            (new.account, new.chat, new.conversation)
            for new in found
            if new.kind == "message" and new.part == 0
        ]
        if noted:
            await self._stores.contacts.note_conversations(noted)
        await self.store.routed([row.id for row in rows])
        if busy:
            self._routed(busy)
        return len(rows) == LIMIT

    async def _people(self, rows: Sequence[Leaving]) -> _People:
        """Who is meant by all of them together."""
        external: dict[str, None] = {}
        users: dict[str, None] = {}
        for row in rows:
            wants = wants_links(row, self._accounts)
            for member in row.members:
                if is_external(member):
                    external[member] = None
                elif wants:
                    users[member] = None
        contacts, links = self._stores.contacts, list[Link]()
        found = await contacts.contacts(list(external)) if external else {}
        if users:
            links = await contacts.links(list(users))
        return _People(found, links)

    async def _deliveries(self, row: Leaving, people: _People) -> list[NewDelivery]:
        members = set(row.members)
        links = [link for link in people.links if link.username in members]
        contacts = people.contacts
        firsts = deliveries(row, self._accounts.keys(), contacts, links)
        if not firsts:
            return []
        counts = await self._parts(row)
        return [
            replace(first, part=part)
            for first in firsts
            for part in range(counts.get(first.account, 1))
        ]

    async def _parts(self, row: Leaving) -> Mapping[str, int]:
        """By account, in how many parts the event goes there at most, if in more than one."""
        if row.kind == "delete" and row.target is not None:  # each part is taken back
            target = await self._stores.deliveries.progress(row.conversation, row.target)
            parts: dict[str, int] = {}
            for each in target:
                parts[each.account] = max(parts.get(each.account, 1), each.part + 1)
            return parts
        shown = await self._content.unseen(row.conversation, row.seq)
        if shown is None:
            return {}
        return {
            account: max(1, len(calls(shown.happened, can, author=shown.author, public=True)))
            for account, can in self._accounts.items()
        }
