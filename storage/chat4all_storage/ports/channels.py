"""The ports of channels together: accounts, what is sent and what came in, and people there.

All are of one directory, whose clock they go by. Every method raises `Unavailable` or `Rejected` as
those of `Directory`; those that write raise `InDoubt` too, and doing the same again is then safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from .channel_accounts import ChannelAccounts
    from .contacts import Contacts
    from .deliveries import Deliveries


class ChannelStores(Struct, frozen=True):
    """All of these, of one directory."""

    accounts: ChannelAccounts
    deliveries: Deliveries
    contacts: Contacts
