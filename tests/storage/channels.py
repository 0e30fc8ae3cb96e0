"""What lets time pass for the stores of channels on PostgreSQL, whose clock can't be moved."""

from __future__ import annotations

from typing import Final

AGED_CHANNELS: Final = (
    "UPDATE channel_accounts SET held_until = held_until - $1::interval",
    "UPDATE channel_inbox SET received_at = received_at - $1::interval",
    """UPDATE deliveries SET due_at = due_at - $1::interval, sent_at = sent_at - $1::interval,
           changed_at = changed_at - $1::interval""",
    "UPDATE channel_messages SET noted_at = noted_at - $1::interval",
)
