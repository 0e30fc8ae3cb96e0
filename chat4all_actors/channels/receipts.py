"""What providers tell of what was sent: states of deliveries, and watermarks of members."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from chat4all_storage.ports.changes import Failure
from chat4all_storage.ports.deliveries import Told
from chat4all_storage.ports.events import Mark

from ..conversation.storing import mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_connectors.incoming import Receipt
    from chat4all_storage.ports.channels import ChannelStores
    from chat4all_storage.ports.deliveries import Progress

    from ..conversation.conversations import Conversations

logger = logging.getLogger(__name__)


class Receipts:
    """Of one account."""

    def __init__(self, account: str, stores: ChannelStores, conversations: Conversations) -> None:
        self._account = account
        self._stores = stores
        self._conversations = conversations

    async def take(self, receipts: Sequence[Receipt]) -> None:
        """Note how far messages have come, and let their conversations know.

        The same again changes nothing. The watermarks are best effort: the next receipt of the
        conversation raises what is missing. So is that programs are told of a failure: its state is
        noted before.

        Raises:
            StorageError: it can't be noted now.
        """
        told = [_told(receipt) for receipt in receipts]
        changed = await self._stores.deliveries.told(self._account, told)
        marks = _marks(changed)
        async with trio.open_nursery() as nursery:
            for each in marks:
                nursery.start_soon(mark, self._conversations, each)
        for failure in _failures(changed):
            await self._conversations.storage.shards.note_failure(failure)
        for receipt in receipts:
            await self._follow(receipt)

    async def _follow(self, receipt: Receipt) -> None:
        """What a failure means beyond the one message."""
        if receipt.status != "failed":
            return
        # The class alone, as who is affected stands in the store.
        logger.info("account %s: a message failed later: %s", self._account, receipt.failure)
        if receipt.failure == "unreachable" and receipt.chat is not None:
            note = self._stores.contacts.note_reachable
            await note(self._account, receipt.chat, reachable=False)


def _told(receipt: Receipt) -> Told:
    # A reference names the delivery; the chat may be told by another id of the same person.
    by_reference = receipt.reference is not None
    return Told(
        state=receipt.status,
        at=receipt.at,
        message=receipt.message,
        reference=receipt.reference,
        chat=None if by_reference else receipt.chat,
        upto=None if receipt.message is not None or by_reference else receipt.watermark,
        reason=receipt.reason,
    )


def _failures(changed: Sequence[Progress]) -> list[Failure]:
    return [
        Failure(each.conversation, each.seq, each.address, each.account, each.reason)
        for each in changed
        if each.state == "failed"
    ]


def _marks(changed: Sequence[Progress]) -> list[Mark]:
    """The highest watermarks, one for each member of each conversation."""
    found: dict[tuple[str, str], Mark] = {}
    for each in changed:
        if each.state not in ("delivered", "read"):
            continue
        key = (each.conversation, each.address)
        known = found.get(key, Mark(each.conversation, each.address, 0, 0))
        read = each.seq if each.state == "read" else 0
        found[key] = Mark(
            each.conversation, each.address, max(known.recv, each.seq), max(known.read, read)
        )
    return list(found.values())
