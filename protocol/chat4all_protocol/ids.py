"""Identifiers: how they look and how they are made."""

from __future__ import annotations

import os
import uuid
from typing import Final

UUID_PATTERN = r"\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z"
"""A canonical lower-case UUID string of any version."""

USERNAME_PATTERN = r"\A[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?\Z"
"""1 to 64 characters: letters, digits, `.`, `_`, `-`; no `:`, which marks external addresses."""

MEMBER_PATTERN = (
    r"\A(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?"
    r"|[a-z]{1,32}:(?:[A-Za-z0-9._-]{1,64}:)?[A-Za-z0-9+@._=~ ()-]{1,128})\Z"
)
"""A user name, or an address: `channel:identity`, `channel:account:identity`. Blanks and brackets
are for telephone numbers as people write them; the name of a member has none."""

DEVICE_PATTERN = r"\A[\x21-\x7e]{1,128}\Z"
"""1 to 128 visible ASCII characters: chosen by the client, the same at each of its connects."""

CHANNEL_PATTERN = r"\A[a-z]{1,32}(?::[A-Za-z0-9._-]{1,64})?\Z"
"""A channel's name, or `name:account` for one of several accounts of it."""

_PRIVATE_NAMESPACE = uuid.UUID("6f0c2f0a-2b6f-5d0e-9a53-0c4a11a7c4a1")


_AT_ONCE: Final = 256
_random: list[bytes] = []
"""Sixteen random bytes each, of which nobody has had any: a system call for many of them."""
os.register_at_fork(after_in_child=_random.clear)


def random_bytes() -> bytes:
    """Sixteen random bytes."""
    try:
        return _random.pop()
    except IndexError:
        data = os.urandom(16 * _AT_ONCE)
        _random.extend([data[at : at + 16] for at in range(16, len(data), 16)])
        return data[:16]


def new_id() -> str:
    """A new random id for a message, a conversation or a device: a UUID of version 4."""
    number = int.from_bytes(random_bytes())
    # Version and variant, see RFC 9562 section 5.4.
    text = f"{number & ~(0xF000_C000 << 48) | 0x4000_8000 << 48:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def private_conversation_id(one: str, other: str) -> str:
    """The id of the private conversation of two users: the same for either order.

    It follows from the names alone, so the same pair meets in one conversation wherever and
    however often it is created. It is no secret: membership decides who may read.
    """
    first, second = sorted((one, other))
    return str(uuid.uuid5(_PRIVATE_NAMESPACE, f"{first}\n{second}"))
