"""A message that a client wants to be stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.faults.history import Attempt, Operation

ANSWER_TIMEOUT: Final = 10.0
"""Seconds without an answer after which a message is sent again in the same session."""


class Pending:
    """A message in the outbox."""

    def __init__(self, operation: Operation, *, reply_to: int | None = None) -> None:
        self.operation = operation
        self.reply_to = reply_to
        self.attempt: Attempt | None = None
        """The attempt of this session that waits for its answer."""
        self.due = 0.0
        """Not to be sent before."""
