"""Holding an account: one node at a time, for as long as it says so in time.

Whoever can't renew its lease stops before it has run out, as another node may take the account
then. Each holding has a name of its own, so that what one has left `sending` is found by the next
one, even on the same node.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import trio

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_storage.ports.channel_accounts import ChannelAccounts

logger = logging.getLogger(__name__)

RENEWALS: Final = 3
"""In one lease: so that one that fails is no harm."""
MARGIN: Final = 0.2
"""Of the lease: so much before its end a holder stops that could not renew it."""
LETTING_GO: Final = 2.0
"""Seconds, at most: then the lease runs out by itself."""


class Lease:
    """Of one account on one node."""

    def __init__(
        self, accounts: ChannelAccounts, account: str, node: str, *, seconds: float
    ) -> None:
        self._accounts = accounts
        self._account = account
        self._node = node
        self._seconds = seconds
        self.holder: str | None = None
        """Under what name it is held now, if it is."""

    async def run(self, work: Callable[[str], Awaitable[Any]]) -> None:
        """Take the account whenever it is free, and do `work(holder)` while it is held.

        Work that ends, or raises, ends the holding.
        """
        while True:
            holder = f"{self._node}.{new_id()[:8]}"
            until = await self._hold(holder)
            if until is not None:
                await self._work(holder, until, work)
            await trio.sleep(self._seconds / RENEWALS)

    async def _work(self, holder: str, until: float, work: Callable[[str], Awaitable[Any]]) -> None:
        logger.info("account %s is held here", self._account)
        self.holder = holder
        try:
            with trio.CancelScope(deadline=until) as held:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._renew, holder, held)
                    await work(holder)
                    nursery.cancel_scope.cancel()
        finally:
            self.holder = None
            with trio.move_on_after(LETTING_GO, shield=True):
                await self._let_go(holder)
        if held.cancelled_caught:
            logger.warning("account %s is not held here any more", self._account)

    async def _renew(self, holder: str, held: trio.CancelScope) -> None:
        while True:
            await trio.sleep(self._seconds / RENEWALS)
            try:
                until = await self._ask(holder)
            except StorageError as error:
                logger.warning("the lease of account %s can't be renewed: %s", self._account, error)
                continue
            if until is None:
                held.cancel()
            else:
                held.deadline = until

    async def _hold(self, holder: str) -> float | None:
        try:
            return await self._ask(holder)
        except StorageError as error:
            logger.warning("account %s can't be taken: %s", self._account, error)
            return None

    async def _ask(self, holder: str) -> float | None:
        """Until when it may be worked; counted from before the question."""
        asked = trio.current_time()
        if not await self._accounts.hold(self._account, holder, self._seconds):
            return None
        return asked + (1 - MARGIN) * self._seconds

    async def _let_go(self, holder: str) -> None:
        try:
            await self._accounts.let_go(self._account, holder)
        except StorageError as error:
            logger.warning("account %s can't be given up: %s", self._account, error)
