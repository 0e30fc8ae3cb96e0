"""Figures of a client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """Figures of a client at one moment."""

    connected: bool
    connects: int
    """Connections that became live, the first included."""
    outbox: int
    """Messages without a final answer."""
    on_wire: int
    """Those of them that wait for an answer."""
    events: int
    """Events that wait for the application."""
    catching_up: int
    """Conversations whose missed events are being fetched."""
