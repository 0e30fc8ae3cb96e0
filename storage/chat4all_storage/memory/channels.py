"""All stores of channels in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ports.channels import ChannelStores
from .channel_accounts import MemoryChannelAccounts
from .contacts import MemoryContacts
from .deliveries import MemoryDeliveries

if TYPE_CHECKING:
    from collections.abc import Callable


def memory_channels(clock_ms: Callable[[], int]) -> ChannelStores:
    """The stores of channels in memory."""
    accounts = MemoryChannelAccounts(clock_ms)
    deliveries = MemoryDeliveries(accounts, clock_ms)
    return ChannelStores(accounts, deliveries, MemoryContacts(deliveries, clock_ms))
