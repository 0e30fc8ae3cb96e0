"""People on channels, and users who are linked to them, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec import Struct, structs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..ports.audit import Actor
    from ..ports.contacts import Contact, Link
    from .audit import MemoryAudit
    from .deliveries import MemoryDeliveries


class _Linking(Struct):
    link: Link
    code_hash: bytes | None
    expires_at: int
    tries: int = 0


class MemoryContacts:
    """See `Contacts`."""

    def __init__(
        self, deliveries: MemoryDeliveries, audit: MemoryAudit, clock_ms: Callable[[], int]
    ) -> None:
        self._deliveries = deliveries
        self._audit = audit
        self._clock_ms = clock_ms
        self._contacts: dict[str, Contact] = {}
        self._aliases: dict[tuple[str, str], str] = {}
        """Addresses, by account and alias."""
        self._links: dict[tuple[str, str], _Linking] = {}

    async def meet(self, contact: Contact, aliases: Sequence[str] = ()) -> Contact:
        """See `Contacts.meet`."""
        await trio.lowlevel.checkpoint()
        ids = (contact.chat, *aliases)
        known = self._by_id(contact.account, ids)
        if known is None:
            if contact.address in self._contacts:
                contact = structs.replace(contact, address=f"{contact.account}:{contact.chat}")
            known = contact
        else:
            newer = contact.wrote_at is not None and contact.wrote_at >= (known.wrote_at or 0)
            known = structs.replace(
                known,
                name=contact.name if contact.name is not None else known.name,
                handle=contact.handle if contact.handle is not None else known.handle,
                wrote_at=contact.wrote_at if newer else known.wrote_at,
                last_message=contact.last_message if newer else known.last_message,
            )
        self._contacts[known.address] = known
        for alias in ids:
            self._aliases.setdefault((contact.account, alias), known.address)
        return known

    async def contacts(self, addresses: Sequence[str]) -> dict[str, Contact]:
        """See `Contacts.contacts`."""
        await trio.lowlevel.checkpoint()
        return {each: self._contacts[each] for each in addresses if each in self._contacts}

    async def by_id(self, account: str, ids: Sequence[str]) -> Contact | None:
        """See `Contacts.by_id`."""
        await trio.lowlevel.checkpoint()
        return self._by_id(account, ids)

    async def note_conversations(self, noted: Sequence[tuple[str, str, str]]) -> None:
        """See `Contacts.note_conversations`."""
        await trio.lowlevel.checkpoint()
        for account, chat, conversation in noted:
            if (contact := self._by_id(account, [chat])) is not None:
                moved = structs.replace(contact, conversation=conversation)
                self._contacts[contact.address] = moved

    async def note_reachable(self, account: str, chat: str, *, reachable: bool) -> None:
        """See `Contacts.note_reachable`."""
        await trio.lowlevel.checkpoint()
        if (contact := self._by_id(account, [chat])) is not None:
            self._contacts[contact.address] = structs.replace(contact, reachable=reachable)

    async def note_moved(self, account: str, chat: str, now: str) -> None:
        """See `Contacts.note_moved`."""
        await trio.lowlevel.checkpoint()
        contact = self._by_id(account, [chat])
        if contact is not None and self._by_id(account, [now]) is None:
            self._contacts[contact.address] = structs.replace(contact, chat=now)
            self._aliases[account, now] = contact.address
        for linking in self._links.values():
            if (linking.link.channel, linking.link.chat) == (account, chat):
                linking.link = structs.replace(linking.link, chat=now)
        self._deliveries.move_chat(account, chat, now)

    async def ask_link(self, link: Link, *, code_hash: bytes, expires_at: int) -> None:
        """See `Contacts.ask_link`."""
        await trio.lowlevel.checkpoint()
        asked = structs.replace(link, verified_at=None)
        self._links[link.username, link.channel] = _Linking(asked, code_hash, expires_at)

    async def verify_link(
        self, username: str, channel: str, code_hash: bytes, actor: Actor, *, now: int, tries: int
    ) -> Link | None:
        """See `Contacts.verify_link`."""
        await trio.lowlevel.checkpoint()
        linking = self._links.get((username, channel))
        if linking is None or linking.code_hash is None:
            return None
        if linking.expires_at <= now or linking.tries >= tries:
            return None
        linking.tries += 1
        if linking.code_hash != code_hash:
            return None
        chat = linking.link.chat
        for place, other in list(self._links.items()):
            taken = other.link.verified_at is not None and other.link.chat == chat
            if other is not linking and taken and other.link.channel == channel:
                del self._links[place]
        linking.code_hash = None
        linking.link = structs.replace(linking.link, verified_at=now)
        self._audit.tell("channel.linked", actor.name, actor, channel=channel)
        return linking.link

    async def unlink(self, username: str, channel: str, actor: Actor) -> bool:
        """See `Contacts.unlink`."""
        await trio.lowlevel.checkpoint()
        if self._links.pop((username, channel), None) is None:
            return False
        self._audit.tell("channel.unlinked", actor.name, actor, channel=channel)
        return True

    async def unlink_all(self, username: str) -> None:
        """See `Contacts.unlink_all`."""
        await trio.lowlevel.checkpoint()
        for place in [place for place in self._links if place[0] == username]:
            del self._links[place]

    async def linked(self, account: str, chat: str) -> str | None:
        """See `Contacts.linked`."""
        await trio.lowlevel.checkpoint()
        for linking in self._links.values():
            link = linking.link
            if link.verified_at is not None and (link.channel, link.chat) == (account, chat):
                return link.username
        return None

    async def links(self, usernames: Sequence[str]) -> list[Link]:
        """See `Contacts.links`."""
        await trio.lowlevel.checkpoint()
        found = [each.link for each in self._links.values() if each.link.verified_at is not None]
        return sorted((each for each in found if each.username in usernames), key=_order)

    async def links_of(self, username: str) -> list[Link]:
        """See `Contacts.links_of`."""
        await trio.lowlevel.checkpoint()
        found = [each.link for each in self._links.values() if each.link.username == username]
        return sorted(found, key=_order)

    def _by_id(self, account: str, ids: Sequence[str]) -> Contact | None:
        for id_ in ids:
            address = self._aliases.get((account, id_))
            if address is not None:
                return self._contacts[address]
        return None


def _order(link: Link) -> tuple[str, str]:
    return (link.username, link.channel)
