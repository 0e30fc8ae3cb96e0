"""What a node tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from .webhooks.service import WebhookStatistics


class NodeStatistics(Struct, frozen=True):
    """A snapshot of a node; totals run since it (re)started."""

    connections: int
    sessions: int
    """Connections that have shown whose they are."""
    refused: int
    """Connections that were turned away because there were too many."""
    conversations: int
    """Those that are alive here."""
    peers: int
    """Other nodes that live."""
    stored: int
    """Events committed."""
    commits: int
    webhooks: WebhookStatistics
