"""What a session uses of its node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..accounts.tokens import Tokens
    from ..config import Settings
    from ..conversation.conversations import Conversations
    from ..fanout import LocalReaders
    from ..files.service import FileService
    from ..limits.admission import Turnstile
    from ..limits.limits import Limits as RateLimits
    from ..presence.presence import Presences
    from .heartbeat import Heartbeat
    from .latecomers import Latecomers
    from .revocations import Revocations


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
    files: FileService
    resumes: Turnstile
    wall_clock: Callable[[], float]
