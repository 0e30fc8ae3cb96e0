"""Who is to have an event through which account. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chat4all_storage.ports.deliveries import NewDelivery
from chat4all_storage.ports.outbox import is_external

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from chat4all_storage.ports.contacts import Contact, Link
    from chat4all_storage.ports.outbox import Leaving

ALL: Final = "all"


def wants_links(leaving: Leaving, accounts: Collection[str]) -> bool:
    """Whether users are to have it through the channels that they are linked to, too.

    Only where the sender has named a channel: members here have it anyway.
    """
    return any(name == ALL or name in accounts for name in leaving.channels or ())


def deliveries(
    leaving: Leaving,
    accounts: Collection[str],
    contacts: Mapping[str, Contact],
    links: Sequence[Link],
) -> list[NewDelivery]:
    """What is to be sent, once for each account and chat, in the order of the members.

    Each is the first part of what may go in several.

    Args:
        accounts: those that are set up.
        contacts: by address, of external members.
        links: verified ones of members, if `wants_links`.
    """
    names = leaving.channels
    everywhere = names is None or ALL in names
    wanted = {account for account in accounts if everywhere or account in (names or ())}
    of_user: dict[str, list[tuple[str, str]]] = {}
    if wants_links(leaving, accounts):
        for link in links:
            of_user.setdefault(link.username, []).append((link.channel, link.chat))
    found: dict[tuple[str, str], NewDelivery] = {}
    for member in leaving.members:
        if member == leaving.sender:
            continue
        ways = of_user.get(member, [])
        if is_external(member):
            contact = contacts.get(member)
            ways = [] if contact is None else [(contact.account, contact.chat)]
        for account, chat in ways:
            if account in wanted:
                delivery = NewDelivery(
                    account=account,
                    chat=chat,
                    address=member,
                    conversation=leaving.conversation,
                    seq=leaving.seq,
                    kind=leaving.kind,
                    target=leaving.target,
                )
                found.setdefault((account, chat), delivery)
    return list(found.values())
