"""What came in, as it is kept until it is worked on: the connector's event as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from chat4all_connectors.incoming import Event
from chat4all_storage.ports.channel_accounts import Incoming

if TYPE_CHECKING:
    from collections.abc import Iterable

_decoder: Final = msgspec.json.Decoder(Event)


def kept(events: Iterable[Event]) -> list[Incoming]:
    """Events as they are kept."""
    return [Incoming(event.key, msgspec.json.encode(event)) for event in events]


def read(body: bytes) -> Event:
    """The event that was kept.

    Raises:
        msgspec.DecodeError: another version wrote it, and this one can't read it.
    """
    event: Event = _decoder.decode(body)
    return event
