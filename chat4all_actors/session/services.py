"""What a session uses of its node, and what it tells a client about it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from chat4all_protocol.frames import PROTOCOL_VERSION, Hello, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..accounts.revocations import Revocations
    from ..accounts.tokens import Tokens
    from ..config import Settings
    from ..conversation.conversations import Conversations
    from ..fanout import LocalReaders
    from ..limits.admission import Turnstile
    from ..limits.limits import Limits as RateLimits
    from ..presence.presence import Presences
    from .heartbeat import Heartbeat
    from .latecomers import Latecomers


class Services(Protocol):
    """What a session uses of its node."""

    settings: Settings
    node_id: str
    tokens: Tokens
    revocations: Revocations
    conversations: Conversations
    latecomers: Latecomers
    local: LocalReaders
    presence: Presences
    heartbeat: Heartbeat
    limits: RateLimits
    resumes: Turnstile
    wall_clock: Callable[[], float]


def greeting(services: Services) -> Hello:
    """The first frame of a connection."""
    settings = services.settings
    return Hello(
        proto=PROTOCOL_VERSION,
        node=services.node_id,
        now=int(services.wall_clock() * 1000),
        heartbeat_ms=int(settings.heartbeat * 1000),
        limits=Limits(
            frame=settings.max_frame,
            text=settings.max_text,
            inflight=settings.max_inflight,
            rate=settings.rate_messages_per_minute,
        ),
    )


def wall_clock() -> float:
    """Seconds since the epoch."""
    return time.time()
