"""What tests of channels are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.channel_accounts import Incoming
from chat4all_storage.ports.contacts import Contact, Link
from chat4all_storage.ports.deliveries import Finish, NewDelivery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_storage.ports.audit import Audit
    from chat4all_storage.ports.channels import ChannelStores
    from chat4all_storage.ports.deliveries import Delivery

ACCOUNT: Final = "telegram"
NODE: Final = "node"
LEASE: Final = 30.0


class ChannelPlace(NamedTuple):
    """The stores of channels as two nodes have them, and a way to let time pass in them."""

    stores: ChannelStores
    other: ChannelStores
    later: Callable[[float], Awaitable[None]]
    """Make everything that was written so many seconds older."""
    now_ms: Callable[[], int]
    """The time there, about."""
    audit: Audit
    """Beside them."""

    async def hold(self, holder: str = NODE, account: str = ACCOUNT) -> bool:
        """Hold the account."""
        return await self.stores.accounts.hold(account, holder, LEASE)

    async def due(self, account: str = ACCOUNT) -> list[Delivery]:
        """What can be sent now."""
        found, _ = await self.stores.deliveries.due(account, 100)
        return found

    async def begun(self, *new: NewDelivery) -> list[int]:
        """Add these, which are each the first of their chats, and begin them."""
        await self.hold()
        ids = await self.added(*new)
        assert await self.stores.deliveries.begin(NODE, ACCOUNT, ids) == set(ids)
        return ids

    async def added(self, *new: NewDelivery) -> list[int]:
        """Add these, which are each the first of their chats; their ids."""
        await self.stores.deliveries.add(new)
        chats = {each.chat for each in new}
        return [each.id for each in await self.due() if each.chat in chats]

    async def finish(self, *finished: Finish) -> None:
        """Finish what was begun."""
        await self.stores.deliveries.finish(NODE, ACCOUNT, finished)

    async def state(self, new: NewDelivery) -> str:
        """Of the delivery of this event to this chat."""
        found = await self.stores.deliveries.progress(new.conversation, new.seq)
        (state,) = {each.state for each in found if each.address == new.address}
        return state


def delivery(
    chat: str = "7", *, account: str = ACCOUNT, conversation: str | None = None, seq: int = 1
) -> NewDelivery:
    """A message to a chat."""
    return NewDelivery(
        account=account,
        chat=chat,
        address=f"{account}:{chat}",
        conversation=conversation or new_id(),
        seq=seq,
        kind="message",
    )


def incoming(*keys: str) -> list[Incoming]:
    """Events that came in."""
    return [Incoming(key, f"what {key} said".encode()) for key in keys]


def contact(chat: str = "7", address: str | None = None, **more: object) -> Contact:
    """A person."""
    return Contact(address=address or f"{ACCOUNT}:{chat}", account=ACCOUNT, chat=chat, **more)  # type: ignore[arg-type]


def link(username: str = "alice", chat: str = "7") -> Link:
    """A user who says to be somebody."""
    return Link(username, ACCOUNT, f"{ACCOUNT}:{chat}", chat, None)
