"""An account on a channel, as it is set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from chat4all_connectors.base import Connector

    from .calling import Template


class Account(Struct, frozen=True, kw_only=True):
    """One of them. Each node has all, and one node at a time holds each."""

    name: str
    """`telegram`, or `telegram:support`: what is before the identity in its people's addresses."""
    connector: Connector
    inbox: tuple[str, ...] = ()
    """Users who get what people write who are in no conversation yet: one in private, several in a
    group. None: that can't be delivered."""
    template: Template | None = None
    """What people are sent who have not written for too long, where the channel has such."""
