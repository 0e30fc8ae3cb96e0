"""Removes what is left of erased users: links to channels, files, what is in the databases.

An erasure is claimed for a while; a node that dies leaves it to the next. It begins a little after
the account is gone, when every node has learned that and closed the user's sessions.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from chat4all_storage.ports.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_storage.ports.contacts import Contacts
    from chat4all_storage.ports.erasures import Erasure, Erasures
    from chat4all_storage.ports.files import Files
    from chat4all_storage.ports.shard import ShardStore

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
DELAY: Final = 5 * SECONDS
"""Nodes learn within two seconds that a user is gone."""
LEASE: Final = 60 * SECONDS
INTERVAL: Final = 5 * SECONDS
AT_ONCE: Final = 200
"""Events in one transaction: what is written to their conversations waits for it."""
PAUSE: Final = 0.02
"""Seconds between two steps: commits come first."""


def new_pseudonym() -> str:
    """A name that stands for an erased user; with its colon no account can have it."""
    return f"erased:{secrets.token_hex(8)}"


class Eraser:
    """One node's share in the erasures."""

    def __init__(
        self, erasures: Erasures, contacts: Contacts, files: Files, stores: Sequence[ShardStore]
    ) -> None:
        self._erasures = erasures
        self._contacts = contacts
        self._files = files
        self._stores = stores

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Carry out what has begun, until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(INTERVAL)
            try:
                while (erasure := await self._erasures.claim(DELAY, LEASE)) is not None:
                    await self._carry_out(erasure)
            except StorageError as error:
                # The claim ends by itself: this node, or another, goes on then.
                logger.warning("an erasure has to wait: %s", error)

    async def _carry_out(self, erasure: Erasure) -> None:
        await self._contacts.unlink_all(erasure.username)
        await self._files.remove_of(erasure.username, erasure.pseudonym)
        for store in self._stores:
            done = False
            while not done:
                done = await store.erase_user(erasure.username, erasure.pseudonym, AT_ONCE)
                await trio.sleep(PAUSE)
        await self._erasures.finish(erasure.user_id)
        logger.info("user %s is erased", erasure.user_id)
