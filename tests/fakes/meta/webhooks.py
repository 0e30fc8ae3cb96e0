"""Updates on their way to us: signed, in batches, late, twice or out of order, and repeated.

As at Meta: any 200 is taken, everything else is repeated at once and then less and less often, and
what is repeated does not hold up what comes after it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx2
import msgspec
import trio

from tests.fakes.meta.model import Channel

if TYPE_CHECKING:
    from tests.fakes.meta.model import Account, World

_OBJECTS: Final[dict[Channel, str]] = {
    "whatsapp": "whatsapp_business_account",
    "messenger": "page",
    "instagram": "instagram",
}
_PATIENCE: Final = 20.0


class Manner(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How updates come."""

    hold: bool = False
    """Whether they wait until they are released."""
    copies: int = 1
    """Of each call."""
    batch: int = 1
    """Updates in one call, if so many wait."""
    retry_seconds: float = 0.05
    """Before the second time that a call is repeated; doubled with every one."""
    longest_seconds: float = 60.0
    """Between two attempts."""
    attempts: int = 20


@dataclass
class Delivery:
    """A call, as `GET /_control/webhooks` tells it."""

    channel: Channel
    updates: int
    statuses: list[int] = field(default_factory=list)
    """Of its attempts, 0 if there was no answer."""
    done: bool = False


@dataclass
class _Waiting:
    channel: Channel
    item: dict[str, Any]
    """An element of `changes` or of `messaging`."""


def sign(account: Account, body: bytes) -> dict[str, str]:
    digest = hmac.new(account.app_secret.encode(), body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={digest}"}


class Webhooks:
    def __init__(self, world: World, nursery: trio.Nursery, client: httpx2.AsyncClient) -> None:
        self.manner = Manner()
        self.log: list[Delivery] = []
        self._world = world
        self._nursery = nursery
        self._client = client
        self._waiting: list[_Waiting] = []
        self._busy = 0
        self._settled = trio.Event()
        self._more: dict[Channel, trio.Event] = {}
        self._stopped = False

    # --- what happens

    def happened(self, channel: Channel, item: dict[str, Any]) -> None:
        """Tell us of it, if an address of ours is known."""
        account = self._world.accounts.get(channel)
        if account is None or not account.webhook:
            return
        self._waiting.append(_Waiting(channel, item))
        if not self.manner.hold:
            self.release()

    def release(self, order: list[int] | None = None) -> None:
        """Send what waits, in this order of its numbers, each any number of times."""
        waiting, self._waiting = self._waiting, []
        if order is not None:
            waiting = [waiting[number] for number in order]
        while waiting:
            first = waiting[0].channel
            batch = [other for other in waiting[: self.manner.batch] if other.channel == first]
            waiting = waiting[len(batch) :]
            self._enqueue(first, [update.item for update in batch])

    def stop(self) -> None:
        """Make no further attempts."""
        self._stopped = True

    @property
    def held(self) -> int:
        return len(self._waiting)

    def _enqueue(self, channel: Channel, items: list[dict[str, Any]]) -> None:
        before = self._more.get(channel)
        for _ in range(self.manner.copies):
            done = trio.Event()
            self._busy += 1
            self._nursery.start_soon(self._deliver, channel, items, before, done)
            before = done
        if before is not None:
            self._more[channel] = before

    async def settled(self) -> None:
        """Wait until nothing is on its way."""
        while self._busy:
            await self._settled.wait()

    # --- how

    async def _deliver(
        self,
        channel: Channel,
        items: list[dict[str, Any]],
        before: trio.Event | None,
        done: trio.Event,
    ) -> None:
        account = self._world.accounts[channel]
        delivery = Delivery(channel, len(items))
        self.log.append(delivery)
        key = "changes" if channel == "whatsapp" else "messaging"
        entry: dict[str, Any] = {"id": account.entry_id or account.id, key: items}
        if channel != "whatsapp":
            entry["time"] = int(self._world.now() * 1000)
        body = json.dumps(
            {"object": _OBJECTS[channel], "entry": [entry]}, separators=(",", ":")
        ).encode()
        try:
            if before is not None:
                await before.wait()
            for attempt in range(self.manner.attempts):
                if attempt > 1:
                    pause = self.manner.retry_seconds * 2 ** (attempt - 2)
                    await trio.sleep(min(pause, self.manner.longest_seconds))
                if self._stopped:
                    return
                status = await self._attempt(account, body)
                delivery.statuses.append(status)
                # What comes after it need not wait for it to be repeated.
                done.set()
                if status == 200:
                    delivery.done = True
                    return
        finally:
            done.set()
            self._busy -= 1
            if not self._busy:
                self._settled.set()
                self._settled = trio.Event()

    async def _attempt(self, account: Account, body: bytes) -> int:
        try:
            answer = await self._client.post(
                account.webhook, content=body, headers=sign(account, body), timeout=_PATIENCE
            )
        except httpx2.HTTPError:
            return 0
        return answer.status_code

    async def verify(self, account: Account) -> bool:
        """Ask whether the address is ours, as when it is entered in Meta's dashboard."""
        challenge = str(1158201444 + len(self.log))
        question = {
            "hub.mode": "subscribe",
            "hub.challenge": challenge,
            "hub.verify_token": account.verify_token,
        }
        try:
            answer = await self._client.get(account.webhook, params=question, timeout=_PATIENCE)
        except httpx2.HTTPError:
            return False
        return answer.status_code == 200 and answer.text == challenge
