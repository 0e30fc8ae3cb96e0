"""Settings of a client, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass

from chat4all_protocol.frames import FETCH_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """See `open_client`."""

    device: str
    background: bool = False
    pipeline: int = 1
    outbox: int = 1000
    event_buffer: int = 1000
    answer_timeout: float = 10.0
    acknowledge: bool = True
    save_interval: float = 1.0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if self.pipeline < 1 or self.outbox < 1:
            raise ValueError("pipeline and outbox are at least 1")
        if self.event_buffer < FETCH_LIMIT:
            raise ValueError(f"event_buffer is at least {FETCH_LIMIT}")
        if self.answer_timeout <= 0 or self.save_interval < 0:
            raise ValueError("times are positive")
