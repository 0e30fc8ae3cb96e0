"""All stores of channels in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ports.channels import ChannelStores
from .audit import MemoryAudit
from .channel_accounts import MemoryChannelAccounts
from .contacts import MemoryContacts
from .deliveries import MemoryDeliveries

if TYPE_CHECKING:
    from collections.abc import Callable


def memory_channels(clock_ms: Callable[[], int], audit: MemoryAudit | None = None) -> ChannelStores:
    """The stores of channels in memory; with an audit log of their own if none is given."""
    audit = audit or MemoryAudit(clock_ms)
    accounts = MemoryChannelAccounts(audit, clock_ms)
    deliveries = MemoryDeliveries(accounts, audit, clock_ms)
    return ChannelStores(accounts, deliveries, MemoryContacts(deliveries, audit, clock_ms))
