"""What a delivery is to show, read where the event stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from chat4all_protocol.codec import decode_body, decode_meta
from chat4all_protocol.frames import FileBody, TextBody
from chat4all_storage.ports.outbox import is_external
from chat4all_storage.ports.shard import Range

from .composing import Deletion, Earlier, Edit, Post, Reaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_protocol.frames import SendBody
    from chat4all_storage.ports.channels import ChannelStores
    from chat4all_storage.ports.deliveries import Delivery
    from chat4all_storage.ports.events import StoredEvent
    from chat4all_storage.sharding.shards import Shards

    from .composing import Happened


REACTIONS: Final = 1000
"""To a message, the last ones: among these what is to be seen in a chat is looked for."""


class Shown(Struct, frozen=True):
    """What happened, as one chat is to see it."""

    happened: Happened
    author: str | None
    """Who is named before what is said; None in a private conversation."""


class Content:
    """Reads events, and what those that they are about are in chats."""

    def __init__(self, shards: Shards, stores: ChannelStores, clock: Callable[[], float]) -> None:
        """`clock` tells the seconds since the epoch."""
        self._shards = shards
        self._stores = stores
        self._clock = clock

    async def of(self, delivery: Delivery) -> Shown | None:
        """What is to be shown in the chat of a delivery; None: nothing (any more).

        Raises:
            StorageError: it can't be read for now.
        """
        place = (delivery.account, delivery.chat)
        return await self._read(delivery.conversation, delivery.seq, place)

    async def unseen(self, conversation: str, seq: int) -> Shown | None:
        """The same for a chat that has seen nothing before: none needs more words for it.

        Raises:
            StorageError: it can't be read for now.
        """
        return await self._read(conversation, seq, None)

    async def _read(
        self, conversation: str, seq: int, place: tuple[str, str] | None
    ) -> Shown | None:
        event = await self._event(conversation, seq)
        happened = None if event is None else await self._happened(event, place)
        if event is None or happened is None:
            return None
        return Shown(happened, await self._author(event))

    async def _happened(self, event: StoredEvent, place: tuple[str, str] | None) -> Happened | None:
        target = None
        if event.target is not None:
            target = await self._event(event.conversation, event.target)
        if event.kind == "delete" and target is not None:
            return Deletion(target=await self._earlier(target, place))
        if event.kind == "react" and target is not None:
            return await self._reaction(event, target, place)
        body = _said(event)
        if body is None:
            return None
        if event.kind == "message":
            return Post(body=body, answers=await self._answered(event, place))
        if event.kind == "edit" and target is not None:
            former = await self._before(event, target)
            return Edit(
                body=body,
                target=await self._earlier(target, place, former),
                answers=await self._answered(target, place),
            )
        return None

    async def _reaction(
        self, event: StoredEvent, target: StoredEvent, place: tuple[str, str] | None
    ) -> Reaction | None:
        """None: who reacted was erased, or the message is deleted and shows none."""
        if event.meta is None or target.deleted:
            return None
        meta = decode_meta(event.meta)
        return Reaction(
            target=await self._earlier(target, place),
            emoji=meta["emoji"],
            on=meta["on"],
            standing=await self._standing(target, place),
        )

    async def _standing(self, target: StoredEvent, place: tuple[str, str] | None) -> str | None:
        """The last reaction that stands, of those that a chat does not show by itself."""
        found = await self._shards.reactions(target.conversation, target.seq, REACTIONS)
        senders = {each.sender for each in found if is_external(each.sender)}
        contacts = await self._stores.contacts.contacts(sorted(senders)) if senders else {}
        theirs = {
            address for address, each in contacts.items() if (each.account, each.chat) == place
        }
        return next((each.emoji for each in reversed(found) if each.sender not in theirs), None)

    async def _event(self, conversation: str, seq: int) -> StoredEvent | None:
        (events,) = await self._shards.history([Range(conversation, seq - 1, seq, 1)])
        return events[0] if events else None

    async def _answered(self, event: StoredEvent, place: tuple[str, str] | None) -> Earlier | None:
        """What a message answers, if it answers one."""
        if event.reply_to is None:
            return None
        found = await self._event(event.conversation, event.reply_to)
        return None if found is None else await self._earlier(found, place)

    async def _before(self, edit: StoredEvent, target: StoredEvent) -> SendBody | None:
        """What a message said before this edit, if that is still known."""
        found = await self._shards.revisions(target.conversation, target.seq, edit.sender)
        replaced = (each.body for each in found or () if each.edit == edit.seq)
        return _decoded(next(replaced, None))

    async def _earlier(
        self,
        event: StoredEvent,
        place: tuple[str, str] | None,
        has: SendBody | None = None,
    ) -> Earlier:
        """A message as a chat has it: that `has` this of it, or else what it says now."""
        said = _said(event)
        has = has or said
        here = []
        if place is not None:
            found = await self._stores.deliveries.messages_of(event.conversation, event.seq)
            here = [each for each in found if (each.account, each.chat) == place]
        words = "" if said is None else said.text
        if not words and isinstance(said, FileBody):
            words = said.name
        return Earlier(
            messages=tuple(each.message for each in here),
            ours=all(each.address != event.sender for each in here),
            words=words or "",
            file_id=has.file_id if isinstance(has, FileBody) else None,
            age=max(0.0, self._clock() - event.ts / 1000),
        )

    async def _author(self, event: StoredEvent) -> str | None:
        """Who is to be named: in a private conversation everybody knows."""
        stored = await self._shards.conversation(event.conversation)
        if stored is None or stored.type == "private":
            return None
        if not is_external(event.sender):
            return event.sender
        contact = (await self._stores.contacts.contacts([event.sender])).get(event.sender)
        if contact is not None and (name := contact.name or contact.handle):
            return name
        return event.sender.rpartition(":")[2]


def _said(event: StoredEvent) -> SendBody | None:
    """What a message or edit says; None: nothing any more."""
    return None if event.body is None else _decoded(event.body)


def _decoded(encoded: bytes | None) -> SendBody | None:
    if encoded is None:
        return None
    body = decode_body(encoded)
    return body if isinstance(body, TextBody | FileBody) else None
