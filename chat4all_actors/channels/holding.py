"""One account on this node: while it is held, it is connected, sent through and received from.

    lease ─▶ receiving ·········· from the first moment: what came in before is worked on
         └─▶ connect ─▶ sending
                    ├─▶ showing   that somebody here types, and has read
                    ├─▶ polling   where the provider is asked for what came in
                    └─▶ health    what the provider says of the account, each minute

How it does is told in the directory, for all nodes. An account that can't be used is asked for its
health until it can; what waits for it is kept.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import trio
from msgspec import Struct

from chat4all_connectors.errors import (
    Misconfigured,
    SendError,
    Throttled,
    Transient,
    UnknownOutcome,
)
from chat4all_storage.ports.errors import StorageError

from .arrivals import Arrivals
from .breaker import BreakerSettings
from .calling import Caller
from .inbound import kept
from .lease import MARGIN, Lease
from .placing import Placing
from .receipts import Receipts
from .receiving import Receiving
from .retries import Schedule
from .sending import Pace, Sending
from .showing import Showing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_connectors.base import HealthState
    from chat4all_storage.ports.channels import ChannelStores

    from ..config import Settings
    from ..conversation.conversations import Conversations
    from ..files.service import FileService
    from .account import Account
    from .arrivals import FetchesMedia
    from .attachments import Attachments
    from .content import Content
    from .receiving import ReceivingStatistics
    from .sending import SendingStatistics

logger = logging.getLogger(__name__)

T = TypeVar("T")

SECONDS: Final = 1.0
LOOK: Final = 1 * SECONDS
"""Between looks for what other nodes have routed or received."""
STORE_RETRY: Final = 1 * SECONDS
_KEEPS_FROM_SENDING: Final = (Misconfigured, Throttled, Transient, UnknownOutcome)
"""Of what connecting meets: sending would meet it too."""
PATIENCE: Final = (1 * SECONDS, 2 * SECONDS, 4 * SECONDS, 8 * SECONDS, 16 * SECONDS, 30 * SECONDS)
"""Before the provider is asked again after an error: the last one for all further times."""


class Surroundings(Struct, frozen=True):
    """What all accounts of a node have in common."""

    node: str
    settings: Settings
    stores: ChannelStores
    conversations: Conversations
    files: FileService
    content: Content
    attachments: Attachments


class HoldingStatistics(Struct, frozen=True):
    """How an account does on this node."""

    account: str
    held: bool
    sending: SendingStatistics | None
    receiving: ReceivingStatistics | None


class Holding:
    """See the module."""

    def __init__(self, account: Account, media: FetchesMedia, around: Surroundings) -> None:
        self.account = account
        self._media = media
        self._around = around
        self._connector = account.connector
        self._accounts = around.stores.accounts
        settings = around.settings
        self._lease = Lease(
            self._accounts, account.name, around.node, seconds=settings.channel_lease
        )
        self._sending: Sending | None = None
        self._receiving: Receiving | None = None
        self._told: tuple[str, str] | None = None
        """The state that was told last."""

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Hold the account whenever that can be, until cancelled."""
        task_status.started()  # a directory that is away keeps nobody from the others
        await self._lease.run(self._hold)
        raise AssertionError("a lease is tried for ever")

    def nudge_sending(self) -> None:
        """Something was routed to it."""
        if self._sending is not None:
            self._sending.nudge()

    def nudge_receiving(self) -> None:
        """Something came in."""
        if self._receiving is not None:
            self._receiving.nudge()

    def statistics(self) -> HoldingStatistics:
        """The figures of this moment."""
        sending, receiving = self._sending, self._receiving
        return HoldingStatistics(
            self.account.name,
            self._lease.holder is not None,
            None if sending is None else sending.statistics(),
            None if receiving is None else receiving.statistics(),
        )

    # --- while it is held

    async def _hold(self, holder: str) -> None:
        around, name = self._around, self.account.name
        stores, conversations = around.stores, around.conversations
        settings = around.settings
        sending = self._sending = Sending(
            name,
            holder,
            stores=stores,
            content=around.content,
            caller=Caller(self._connector, around.attachments, self.account.template),
            pace=pace_of(settings),
            unusable=lambda reason: nursery.start_soon(self._tell, holder, "dead", reason),
            given_up=conversations.storage.shards.note_failure,
        )
        showing = Showing(name, self._connector, conversations.signs)
        receiving = self._receiving = Receiving(
            name,
            holder,
            accounts=stores.accounts,
            arrivals=Arrivals(
                name,
                Placing(self.account, stores, conversations),
                stores,
                conversations,
                around.files,
                self._media,
                showing.wrote,
            ),
            receipts=Receipts(name, stores, conversations),
            under_way=sending.chats_under_way,
            tries=settings.channel_incoming_tries,
            at_once=settings.channel_in_flight,
            interval=LOOK,
        )
        self._told = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(receiving.run)
                usable = trio.Event()
                nursery.start_soon(self._connect, holder, usable)
                await usable.wait()
                nursery.start_soon(sending.run)
                nursery.start_soon(showing.run)
                if self._connector.polls:
                    nursery.start_soon(self._poll, holder)
                await self._watch(holder, sending)
        finally:
            self._sending = self._receiving = None

    async def _connect(self, holder: str, usable: trio.Event) -> None:
        """Connect, however long it takes; `usable` is set when something may be sent."""
        failures = 0
        while True:
            try:
                identity = await self._connector.connect()
            except SendError as error:
                logger.warning(
                    "account %s can't be connected: %s", self.account.name, error.message
                )
                await self._tell_error(holder, error)
                if not isinstance(error, _KEEPS_FROM_SENDING):
                    usable.set()  # it is not called back, say; what is sent may well arrive
                await trio.sleep(_pause(error, failures))
                failures += 1
                continue
            usable.set()
            logger.info("account %s is connected as %s", self.account.name, identity.name)
            await self._tell(holder, "connected", identity.name)
            return

    async def _poll(self, holder: str) -> NoReturn:
        name, failures = self.account.name, 0
        cursor = await self._patiently(lambda: self._accounts.cursor(name))
        while True:
            try:
                polled = await self._connector.poll(cursor)
            except SendError as error:
                logger.warning("account %s can't be polled: %s", name, error.message)
                await self._tell_error(holder, error)
                await trio.sleep(_pause(error, failures))
                failures += 1
                continue
            if failures:
                failures = 0
                await self._tell(holder, "connected", "")
            events, then = kept(polled.events), polled.cursor
            if events or then != (cursor or ""):
                receive = self._accounts.receive
                await self._patiently(lambda: receive(name, events, then))  # noqa: B023
                cursor = then
                self.nudge_receiving()

    async def _watch(self, holder: str, sending: Sending) -> NoReturn:
        """Ask how it does; one that can be used again is."""
        while True:
            await trio.sleep(self._around.settings.channel_health_interval)
            health = await self._connector.health()
            state, detail = health.state, health.detail
            if state == "connected" and sending.statistics().breaker != "closed":
                state, detail = "degraded", "the provider fails"
            await self._tell(holder, state, detail)
            if state != "dead":
                sending.resume()

    async def _tell_error(self, holder: str, error: SendError) -> None:
        state: HealthState = "dead" if isinstance(error, Misconfigured) else "degraded"
        await self._tell(holder, state, error.message)

    async def _tell(self, holder: str, state: HealthState, detail: str) -> None:
        known, said = self._told or ("", "")
        if known == state and (state == "connected" or said == detail):
            return
        self._told = (state, detail)
        logger.log(
            logging.INFO if state == "connected" else logging.WARNING,
            "account %s is %s: %s",
            self.account.name,
            state.replace("_", " "),
            detail,
        )
        tell = self._accounts.tell_state
        await self._patiently(lambda: tell(self.account.name, holder, state, detail))

    async def _patiently(self, do: Callable[[], Awaitable[T]]) -> T:
        """Do it until it is done; when the lease runs out meanwhile, this is cancelled."""
        while True:
            try:
                return await do()
            except StorageError as error:
                logger.warning("account %s waits for its store: %s", self.account.name, error)
                await trio.sleep(STORE_RETRY)


def pace_of(settings: Settings) -> Pace:
    """How accounts are sent to by these settings."""
    return Pace(
        schedule=Schedule(delays=tuple(settings.channel_schedule)),
        breaker=BreakerSettings(
            failures=settings.channel_breaker_failures,
            longest_pause=settings.channel_breaker_pause,
        ),
        at_once=settings.channel_in_flight,
        grace=MARGIN * settings.channel_lease,
        interval=LOOK,
    )


def _pause(error: SendError, failures: int) -> float:
    if isinstance(error, Throttled) and error.retry_after is not None:
        return error.retry_after
    return PATIENCE[min(failures, len(PATIENCE) - 1)]
