"""Where what somebody writes on a channel belongs, and as whose it is stored there."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from chat4all_connectors.errors import SendError
from chat4all_storage.ports.contacts import Contact

from ..conversation.outside import Refusal
from .addresses import AddressError, address_of

if TYPE_CHECKING:
    from chat4all_connectors import incoming
    from chat4all_storage.ports.channels import ChannelStores

    from ..conversation.conversations import Conversations
    from .account import Account

logger = logging.getLogger(__name__)

_NAMES: Final = uuid.UUID("0f7e1a52-2d0d-5d39-8a06-5b7c1a5f0c1e")


class Unworkable(Exception):
    """What came in can't be worked on as things stand: it is put aside, and this is why."""


class Author(Struct, frozen=True):
    """Who wrote, to us."""

    contact: Contact
    """Of the chat: a person, or a group."""
    member: str
    """As whom it is stored: the contact's address, or the user who has proved to be that person."""
    name: str | None
    """Of the person, in a chat of several; who else would it be."""


class Place(Struct, frozen=True):
    """A conversation that something may belong to."""

    conversation: str
    reply_to: int | None = None
    """What it answers there."""


def id_of(account: str, key: str, *more: str) -> str:
    """The id of what an event becomes here: always the same, so that it is stored once."""
    return str(uuid.uuid5(_NAMES, "\n".join((account, key, *more))))


class Placing:
    """Of one account."""

    def __init__(
        self, account: Account, stores: ChannelStores, conversations: Conversations
    ) -> None:
        self._account = account
        self._stores = stores
        self._conversations = conversations

    async def author(
        self, chat: str, sender: incoming.Contact, said: incoming.Received | None = None
    ) -> Author:
        """Who has done something in a chat; with `said`, that is the last that came from it.

        Raises:
            Unworkable: the provider's id of them can't be an address.
            StorageError: it can't be found out now.
        """
        name = self._account.name
        alone = chat == sender.id or chat in sender.aliases
        if alone and said is not None and sender.name is None and sender.handle is None:
            sender = await self._introduced(sender)
        try:
            id_, handle = (sender.id, sender.handle) if alone else (chat, None)
            address = str(address_of(name, id_, handle))
        except AddressError as error:
            raise Unworkable(f"the provider's id is no address: {error}") from None
        title = None if said is None else said.group or None
        contact = await self._stores.contacts.meet(
            Contact(
                address=address,
                account=name,
                chat=chat,
                name=sender.name if alone else title,
                handle=handle,
                wrote_at=None if said is None else said.at,
                last_message=None if said is None else said.message,
            ),
            [sender.id, *sender.aliases] if alone else [],
        )
        if said is not None and not contact.reachable:  # who writes takes messages
            await self._stores.contacts.note_reachable(name, chat, reachable=True)
        if not alone:
            person = sender.name or sender.handle or sender.id
            return Author(contact, contact.address, person)
        user = await self._stores.contacts.linked(name, contact.chat)
        return Author(contact, user or contact.address, None)

    async def _introduced(self, sender: incoming.Contact) -> incoming.Contact:
        """The same person with what the provider tells of them, where it does not by itself."""
        ids = [sender.id, *sender.aliases]
        known = await self._stores.contacts.by_id(self._account.name, ids)
        if known is not None and (known.name or known.handle):
            return sender
        try:
            found = await self._account.connector.profile(sender.id)
        except SendError as error:
            logger.info("account %s: no profile: %s", self._account.name, type(error).__name__)
            return sender
        if found is None:
            return sender
        return replace(sender, name=found.name, handle=found.handle)

    async def known(self, author: Author, quoted: str | None) -> list[Place]:
        """Where it may belong, the best first: the author may have left each of them by now.

        That of what it quotes; that of the last message to or from the chat.

        Raises:
            StorageError: it can't be found out now.
        """
        contact, found = author.contact, list[Place]()
        if quoted is not None:
            messages = self._stores.deliveries.messages
            sent = (await messages(contact.account, contact.chat, [quoted])).get(quoted)
            if sent is not None:
                found.append(Place(sent.conversation, sent.seq))
        last = contact.conversation
        if last is not None and all(place.conversation != last for place in found):
            found.append(Place(last))
        return found

    async def inbox(self, author: Author) -> Place:
        """One with those who look after what new people write; it is made if it is the first.

        Raises:
            Unworkable: there is nobody who does.
            StorageError: it can't be found out, or made, now.
        """
        return Place(await self._inbox(author))

    async def _inbox(self, author: Author) -> str:
        users, contact = self._account.inbox, author.contact
        if not users:
            raise Unworkable("nobody is set up to get what new people write: `inbox` is empty")
        create = self._conversations.create
        try:
            if len(users) == 1:
                stored, _ = await create("private", users[0], [author.member], None)
                return stored.id
            id_ = id_of(contact.account, contact.chat, "inbox")
            if await self._conversations.shards.conversation(id_) is None:
                title = contact.name or contact.handle or contact.chat
                members = [*users[1:], author.member]
                await create("group", users[0], members, title[:200], id_=id_)
            return id_
        except Refusal as error:
            raise Unworkable(f"no conversation with the inbox: {error.message}") from None
