"""Who can be written to by an address: `Outside`, as conversations know it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.ids import CHANNEL_PATTERN
from chat4all_storage.ports.contacts import Contact

from ..conversation.outside import Refusal
from .addresses import AddressError, id_of, parse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from chat4all_storage.ports.contacts import Contacts

    from .account import Account
    from .addresses import Address

_ACCOUNT: Final = re.compile(CHANNEL_PATTERN)


class Addressees:
    """Of the accounts that are set up."""

    def __init__(self, contacts: Contacts, accounts: Mapping[str, Account]) -> None:
        self._contacts = contacts
        self._accounts = accounts

    @property
    def accounts(self) -> Collection[str]:
        """See `Outside.accounts`."""
        return self._accounts.keys()

    async def canonical(self, addresses: Sequence[str], field: str) -> dict[str, str]:
        """See `Outside.canonical`."""
        parsed = {text: self._parse(text, field) for text in addresses}
        known = await self._contacts.contacts([str(each) for each in parsed.values()])
        found: dict[str, str] = {}
        for text, address in parsed.items():
            contact = known.get(str(address)) or await self._meet(address, field)
            if not contact.reachable:
                raise _unavailable(f"{address} takes no messages from here", field)
            found[text] = contact.address
        return found

    def _parse(self, text: str, field: str) -> Address:
        account = text.rpartition(":")[0]
        if _ACCOUNT.fullmatch(account) and account not in self._accounts:
            raise _unavailable(f"channel {account} is not configured", field)
        try:
            return parse(text)
        except AddressError as error:
            raise Refusal(ErrorCode.INVALID_PAYLOAD, str(error), field) from None

    async def _meet(self, address: Address, field: str) -> Contact:
        """Somebody by another of their ids, or who is written to first."""
        id_ = id_of(address)
        contact = await self._contacts.by_id(address.account, [id_])
        if contact is not None:
            return contact
        if not self._accounts[address.account].connector.capabilities.starts:
            words = f"on {address.channel} people can be written to once they have written"
            raise _unavailable(words, field)
        return await self._contacts.meet(
            Contact(address=str(address), account=address.account, chat=id_)
        )


def _unavailable(words: str, field: str) -> Refusal:
    return Refusal(ErrorCode.CHANNEL_UNAVAILABLE, words, field)
