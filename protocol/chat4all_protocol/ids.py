"""Identifiers: how they look and how they are made."""

from __future__ import annotations

import uuid

UUID_PATTERN = r"\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z"
"""A canonical lower-case UUID string of any version."""

USERNAME_PATTERN = r"\A[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?\Z"
"""1 to 64 characters: letters, digits, `.`, `_`, `-`; no `:`, which marks external addresses."""

DEVICE_PATTERN = r"\A[\x21-\x7e]{1,128}\Z"
"""1 to 128 visible ASCII characters: chosen by the client, the same at each of its connects."""

CHANNEL_PATTERN = r"\A[a-z]{1,32}(?::[A-Za-z0-9._-]{1,64})?\Z"
"""A channel's name, or `name:account` for one of several accounts of it."""

_PRIVATE_NAMESPACE = uuid.UUID("6f0c2f0a-2b6f-5d0e-9a53-0c4a11a7c4a1")


def new_id() -> str:
    """A new random id for a message, a conversation or a device."""
    return str(uuid.uuid4())


def private_conversation_id(one: str, other: str) -> str:
    """The id of the private conversation of two users: the same for either order.

    It follows from the names alone, so the same pair meets in one conversation wherever and
    however often it is created. It is no secret: membership decides who may read.
    """
    first, second = sorted((one, other))
    return str(uuid.uuid5(_PRIVATE_NAMESPACE, f"{first}\n{second}"))
