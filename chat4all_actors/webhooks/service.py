"""Webhooks and the feed of a node: what its REST API asks for, and which endpoints it serves.

An endpoint is served by the node that holds its lease in the directory. A node renews its leases
together, and stops serving before they end when it can't: so no two serve one endpoint.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from msgspec import Struct

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import StorageError
from chat4all_storage.ports.webhooks import NewWebhook

from ..accounts.sealing import Unreadable
from ..kernel import Child, Pool, Strategy, Supervisor
from .attempts import Attempts
from .delivery import Delivery
from .feed import Feed
from .positions import encode, here
from .presence import Coming, Nobody
from .sending import Sender
from .source import Source
from .tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chat4all_storage.ports.audit import Actor
    from chat4all_storage.ports.webhooks import Webhook
    from chat4all_storage.storage import Storage

    from ..accounts.sealing import Sealing
    from ..config import Settings
    from ..kernel import Member
    from .attempts import Shows
    from .presence import WhoIsThere

logger = logging.getLogger(__name__)

PURPOSE: Final = "webhook secrets"
RESOLVE: Final = 2.0
"""Seconds for looking up the name of a new endpoint."""
LEAVING: Final = 2.0
"""Seconds for giving back leases at the end: else they end by themselves."""
SAFE: Final = 2 / 3
"""Of a lease, after which an endpoint is not served if it could not be renewed."""


class WebhookStatistics(Struct, frozen=True):
    """A snapshot; totals run since the node (re)started."""

    served: int
    """Endpoints that are told by this node."""
    failing: int
    """Of them, those whose last attempt failed."""
    delivered: int
    failed: int
    """Attempts."""
    stopped: int
    """Endpoints that were found to be gone, or failing for too long."""


class _Served(Struct):
    delivery: Delivery
    member: Member


class WebhookService:
    """See the module."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        sealing: Sealing,
        shows: Shows,
        *,
        clock: Callable[[], float],
        there: WhoIsThere | None = None,
        sender: Sender | None = None,
    ) -> None:
        """`clock` tells the seconds since the epoch; `sender` stands in for the network.

        `there` knows who is there, for those who want to be told.
        """
        self._settings = settings
        self._storage = storage
        self._webhooks = storage.webhooks
        self._sealing = sealing
        self._shows = shows
        self._clock = clock
        self._holder = new_id()
        self._source = Source(storage)
        self._tails = [Tail(store) for store in storage.shards.all]
        self._sender = sender or Sender(settings, clock=clock)
        self._pool = Pool("webhooks")
        lasting = settings.presence_damping
        self._coming = Coming(there or Nobody(), lasting=lasting, clock=clock)
        self._served: dict[str, _Served] = {}
        self._unreadable: set[str] = set()
        self._look = trio.Event()
        self._delivered = self._failed = self._stopped = 0
        self.feed = Feed(settings, storage, self._source, self._tails)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve endpoints until cancelled."""
        children = [
            *(Child(f"changes {tail.store.name}", tail.run) for tail in self._tails),
            Child("presence", self._coming.run),
            Child("endpoints", self._pool.run, tree=self._pool.tree),
            Child("leases", self._keep_leases),
        ]
        try:
            tree = Supervisor("webhooks", children, strategy=Strategy.REST_FOR_ONE)
            await tree.run(task_status=task_status)
        finally:
            with trio.move_on_after(LEAVING, shield=True):
                await self._sender.aclose()

    def statistics(self) -> WebhookStatistics:
        """What it serves and has done."""
        now = [each.delivery.attempts for each in self._served.values()]
        return WebhookStatistics(
            served=len(now),
            failing=sum(each.failing_since is not None for each in now),
            delivered=self._delivered + sum(each.delivered for each in now),
            failed=self._failed + sum(each.failed for each in now),
            stopped=self._stopped,
        )

    # --- for their owners ---------------------------------------------------------------------

    async def add(
        self,
        id_: str,
        owner: str,
        username: str | None,
        url: str,
        events: Sequence[str],
        secret: bytes | None,
        actor: Actor,
    ) -> tuple[Webhook, bytes]:
        """Add an endpoint, and the secret that it is signed for.

        What is made up follows from the id, so the same again is the same.

        Raises:
            BadAddress: no endpoint may be there.
            TooManyWebhooks: its owner has as many as allowed.
            StorageError: it may have been added.
        """
        await self._sender.check(url, RESOLVE)
        key = secret or self.made_up(id_, "")
        positions, now = await here(self._tails)
        new = NewWebhook(
            id=id_,
            owner=owner,
            username=username,
            url=url,
            events=tuple(dict.fromkeys(events)),
            secret=self._sealing.seal(PURPOSE, id_, key),
            since=int(self._clock() * 1000) if now is None else now,
            positions=encode(positions),
        )
        for tail in self._tails:
            if tail.store.name in positions:
                await tail.prepare()
        most = self._settings.max_webhooks_per_owner
        made = await self._webhooks.add(new, actor, most=most)
        self._look.set()
        return made, key

    def made_up(self, id_: str, turn: str) -> bytes:
        """A secret for this endpoint, that nobody can guess; the same for the same turn."""
        return self._sealing.mac("new webhook secrets", f"{id_}\n{turn}".encode())

    def same(self, webhook: Webhook, url: str, events: Sequence[str], key: bytes) -> bool:
        """Whether this is what was asked for, and nothing has changed since."""
        return (
            webhook.url == url
            and webhook.events == tuple(dict.fromkeys(events))
            and self._keys(webhook)[:1] == [key]
        )

    async def rotate(self, id_: str, owner: str, key: bytes, actor: Actor) -> Webhook | None:
        """Let another secret sign, and the former beside it for a while; None: there is none.

        Raises:
            StorageError: it may have been done.
        """
        found = await self._webhooks.find(id_, owner)
        if found is None or self._keys(found)[:1] == [key]:
            return found
        sealed = self._sealing.seal(PURPOSE, id_, key)
        keep = self._settings.webhook_secret_kept
        changed = await self._webhooks.rotate(id_, owner, sealed, actor, keep=keep)
        self._look.set()
        return changed

    async def resume(self, id_: str, owner: str) -> Webhook | None:
        """Let it be told what happens again; None: there is none.

        Raises:
            StorageError: it may have been done.
        """
        found = await self._webhooks.resume(id_, owner)
        if found is not None:
            logger.info("webhook %s is resumed", id_)
            self._look.set()
        return found

    async def replay(self, id_: str, owner: str, since: int) -> Webhook | None:
        """Let it be told everything since that time; None: there is none.

        Raises:
            StorageError: it may have been done.
        """
        found = await self._webhooks.replay(id_, owner, since)
        self._look.set()
        return found

    def _keys(self, webhook: Webhook) -> list[bytes]:
        """The secrets that sign for it now, the present one first."""
        sealed = [webhook.secret]
        if webhook.former_secret is not None and self._clock() * 1000 < webhook.former_until:
            sealed.append(webhook.former_secret)
        try:
            return [self._sealing.unseal(PURPOSE, webhook.id, each) for each in sealed]
        except Unreadable:
            return []  # the server's key was changed: its owner has to give it another secret

    # --- which of them this node serves -------------------------------------------------------

    async def _keep_leases(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        lease = self._settings.webhook_lease
        good_until = trio.current_time()
        task_status.started()
        try:
            while True:
                self._look = trio.Event()
                began = trio.current_time()
                with trio.move_on_at(max(good_until, began + lease / 3)) as patience:
                    try:
                        await self._renew(lease)
                        good_until = began + SAFE * lease
                    except StorageError as error:
                        logger.debug("leases can't be renewed: %s", error)
                if patience.cancelled_caught or trio.current_time() >= good_until:
                    await self._let_go()
                with trio.move_on_after(lease / 3):
                    await self._look.wait()
        finally:
            with trio.move_on_after(LEAVING, shield=True):
                await self._leave()

    async def _renew(self, lease: float) -> None:
        held = {each.id: each for each in await self._webhooks.renew(self._holder, lease=lease)}
        for id_ in self._served.keys() - held.keys():
            self._served[id_].member.cancel()
        if (room := self._settings.max_webhooks_per_node - len(held)) > 0:
            claimed = await self._webhooks.claim(self._holder, lease=lease, limit=room)
            held |= {each.id: each for each in claimed}
        for id_, webhook in held.items():
            if (served := self._served.get(id_)) is not None:
                served.delivery.changed(webhook)
            else:
                self._serve(webhook)

    def _serve(self, webhook: Webhook) -> None:
        if not self._keys(webhook):
            if webhook.id not in self._unreadable:
                self._unreadable.add(webhook.id)
                logger.warning("webhook %s: its secret was sealed with another key", webhook.id)
            return
        delivery = Delivery(
            self._settings,
            self._storage,
            Attempts(
                self._settings, webhook, self._keys, self._shows, self._sender, clock=self._clock
            ),
            self._source,
            self._tails,
            self._coming,
            holder=self._holder,
        )
        member = self._pool.start_soon(f"webhook {webhook.id}", self._told, delivery)
        self._served[webhook.id] = _Served(delivery, member)

    async def _told(self, delivery: Delivery) -> None:
        try:
            await delivery.run()
        finally:
            self._served.pop(delivery.webhook.id, None)
            self._delivered += delivery.attempts.delivered
            self._failed += delivery.attempts.failed
            self._stopped += delivery.stopped

    async def _let_go(self) -> None:
        """Serve nothing: another node may do so soon."""
        members = [each.member for each in self._served.values()]
        for member in members:
            member.cancel()
        for member in members:
            await member.wait()

    async def _leave(self) -> None:
        ids = list(self._served)
        await self._let_go()
        for id_ in ids:
            try:
                await self._webhooks.release(id_, self._holder)
            except StorageError:
                return  # they end by themselves
