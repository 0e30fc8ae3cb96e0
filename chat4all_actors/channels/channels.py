"""All accounts of a node, and what the rest of it asks of them.

    channels (one_for_one)
    ├── outbox NAME       of each database: routes what is to leave
    ├── account NAME      each that is set up; works while it is held here
    ├── commits           lets routers look as soon as something was stored
    ├── states            how the accounts do, on whichever node
    └── trims             forgets what came to rest long ago

Nothing here takes the node down: whatever fails is restarted, later and later.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from msgspec import Struct

from chat4all_connectors.errors import WebhookRefused
from chat4all_storage.ports.errors import StorageError

from ..kernel import Child, Supervisor
from .attachments import Attachments
from .content import Content
from .holding import Holding, Surroundings
from .inbound import kept
from .linking import Linking
from .media import Media
from .router import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from chat4all_connectors.base import WebhookAnswer, WebhookCall
    from chat4all_storage.ports.channel_accounts import AccountState

    from ..accounts.sealing import Sealing
    from ..conversation.conversations import Conversations
    from ..files.service import FileService
    from ..kernel import TreeNode
    from ..limits.limits import LimitName
    from .account import Account
    from .holding import HoldingStatistics

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
MINUTES: Final = 60 * SECONDS
LEAVING: Final = 5 * SECONDS
"""For all connectors to let go."""
LOOK: Final = 1 * SECONDS
"""Between looks at an outbox, by which a node finds what others have stored."""
SELDOM: Final = 60 * SECONDS
"""And where there is no account: what names one goes nowhere."""
COMMITS_LOOK: Final = 0.03 * SECONDS
"""Until a router looks at what was stored here."""
STATES_LOOK: Final = 10 * SECONDS
TRIM_EVERY: Final = 10 * MINUTES
TRIM_LIMIT: Final = 1000
BACKOFF: Final = (1 * SECONDS, 2 * SECONDS, 5 * SECONDS, 15 * SECONDS, 60 * SECONDS)


class ChannelStatistics(Struct, frozen=True):
    """A snapshot; totals run since each account was taken."""

    accounts: list[HoldingStatistics]


class Channels:
    """See the module."""

    def __init__(
        self,
        conversations: Conversations,
        files: FileService,
        accounts: Mapping[str, Account],
        sealing: Sealing,
        take: Callable[[LimitName, str], float],
        *,
        node: str,
        clock: Callable[[], float],
    ) -> None:
        """`take`, `clock`: see `Linking`; `node` is this one's name."""
        storage = conversations.storage
        self._accounts = accounts
        self._settings = settings = conversations.settings
        self._stores = storage.channels
        self._conversations = conversations
        self.linking = Linking(
            settings,
            self._stores.contacts,
            conversations.outside,
            accounts,
            sealing=sealing,
            take=take,
            clock=clock,
        )
        content = Content(storage.shards, self._stores, clock)
        around = Surroundings(
            node,
            settings,
            self._stores,
            conversations,
            files,
            content,
            Attachments(
                storage.files,
                storage.objects,
                lifetime=settings.download_lifetime,
                base=settings.public_url,
            ),
        )
        self._holdings = {
            name: Holding(account, Media(account.connector, lambda: files, settings), around)
            for name, account in accounts.items()
        }
        can = {name: account.connector.capabilities for name, account in accounts.items()}
        self._routers = [
            Router(
                store,
                self._stores,
                content,
                can,
                interval=LOOK if accounts else SELDOM,
                routed=self._routed,
            )
            for store in storage.shards.all
        ]
        self._states: list[AccountState] = []
        children = [
            *(Child(f"outbox {router.store.name}", router.run) for router in self._routers),
            *(Child(f"account {name}", each.run) for name, each in self._holdings.items()),
            Child("trims", self._trim),
        ]
        if accounts:
            children += [Child("commits", self._follow_commits), Child("states", self._read_states)]
        self._tree = Supervisor("channels", children, max_restarts=sys.maxsize, backoff=BACKOFF)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry what is to leave, and what comes in, until cancelled."""
        await self._tree.run(task_status=task_status)

    def tree(self) -> TreeNode:
        """What runs."""
        return self._tree.tree()

    # --- for the edge

    def is_called(self, account: str) -> bool:
        """Whether there is such an account, and its provider calls back."""
        known = self._accounts.get(account)
        return known is not None and not known.connector.polls

    async def called(self, account: str, call: WebhookCall) -> WebhookAnswer:
        """Take a provider's call; when this returns, what it tells is stored.

        Raises:
            WebhookRefused: it is not the provider's, or can't be read; or there is no such account.
            StorageError: it can't be stored now: the provider calls again.
        """
        if not self.is_called(account):
            raise WebhookRefused(404, "there is nothing here")
        answer = self._accounts[account].connector.handle_webhook(call)
        receive = self._stores.accounts.receive
        if answer.events and await receive(account, kept(answer.events)):
            self._holdings[account].nudge_receiving()
        return answer

    def troubles(self) -> list[str]:
        """Accounts that do not work as they should, and why; on whichever node they are held."""
        found = []
        for each in self._states:
            if each.account not in self._accounts:
                continue
            if each.holder is None:
                found.append(f"channel {each.account} is held by no node")
            elif each.state not in ("connected", "unknown"):
                state = each.state.replace("_", " ")
                found.append(f"channel {each.account} is {state}: {each.detail}")
        return found

    def statistics(self) -> ChannelStatistics:
        """What its accounts do on this node."""
        return ChannelStatistics([each.statistics() for each in self._holdings.values()])

    # --- its own

    def _routed(self, accounts: Sequence[str]) -> None:
        for account in accounts:
            if (holding := self._holdings.get(account)) is not None:
                holding.nudge_sending()

    async def _follow_commits(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """To look is cheap; to tell conversations that leave from others would cost each commit."""
        task_status.started()
        logs = self._conversations.logs.all
        known = [0] * len(logs)
        while True:
            for at, log in enumerate(logs):
                stored = log.statistics().stored
                if stored != known[at]:
                    known[at] = stored
                    self._routers[at].nudge()
            await trio.sleep(COMMITS_LOOK)

    async def _read_states(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        task_status.started()
        while True:
            try:
                self._states = await self._stores.accounts.states()
            except StorageError as error:
                logger.debug("the states of accounts can't be read: %s", error)
            await trio.sleep(STATES_LOOK)

    async def _trim(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        task_status.started()
        stores, keep = self._stores, self._settings.channel_kept
        while True:
            await trio.sleep(TRIM_EVERY)
            try:
                while await stores.accounts.trim(keep, TRIM_LIMIT) == TRIM_LIMIT:
                    pass
                while await stores.deliveries.trim(keep, TRIM_LIMIT) == TRIM_LIMIT:
                    pass
            except StorageError as error:
                logger.warning("what is over can't be trimmed now: %s", error)


async def disconnect(accounts: Iterable[Account]) -> None:
    """Let connectors let go of everything, as the node ends; within a bounded time."""
    with trio.move_on_after(LEAVING, shield=True):
        for account in accounts:
            try:
                await account.connector.disconnect()
            except Exception:  # the others are to let go all the same
                logger.exception("account %s does not disconnect", account.name)
