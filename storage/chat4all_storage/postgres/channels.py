"""All stores of channels in the directory's database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ports.channels import ChannelStores
from .channel_accounts import PostgresChannelAccounts
from .contacts import PostgresContacts
from .deliveries import PostgresDeliveries

if TYPE_CHECKING:
    from .connections import Database


def postgres_channels(database: Database) -> ChannelStores:
    """The stores of channels in the directory's database."""
    return ChannelStores(
        PostgresChannelAccounts(database), PostgresDeliveries(database), PostgresContacts(database)
    )
