"""What people do at the made-up Meta, as a test or a player tells it to the control API."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.fakes.meta.model import Channel


class _Act(
    msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag=str.lower
):
    channel: Channel


class Write(_Act):
    """Somebody writes."""

    person: str
    text: str
    reply_to: str | None = None
    group: str | None = None
    """On WhatsApp."""


class Send(_Act):
    """Somebody sends a file."""

    person: str
    kind: str
    """As the channel calls it: `image`, `document` on WhatsApp, `file` on the others."""
    mime: str
    content: bytes
    name: str | None = None
    caption: str | None = None
    """On the others than WhatsApp it is the text of the same message."""
    count: int = 1
    """How often, in one message; not on WhatsApp."""


class React(_Act):
    """Somebody reacts to a message, or with None takes it back."""

    person: str
    message: str
    emoji: str | None


class Edit(_Act):
    """Somebody edits what they wrote; not on Instagram."""

    person: str
    message: str
    text: str


class Delete(_Act):
    """Somebody takes back what they wrote; not on Messenger."""

    person: str
    message: str


class Read(_Act):
    """Somebody reads what we sent, up to this."""

    person: str
    message: str


class Deliver(_Act):
    """What we sent reaches somebody; not on Instagram."""

    person: str
    message: str


class Fail(_Act):
    """What we sent fails after all; on WhatsApp."""

    person: str
    message: str
    code: int
    reference: str | None = None


class Raw(_Act):
    """Anything: an element of `changes` on WhatsApp, of `messaging` on the others."""

    update: dict[str, Any]


Act = Write | Send | React | Edit | Delete | Read | Deliver | Fail | Raw
