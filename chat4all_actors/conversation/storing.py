"""What is stored for somebody without a session here, and what has become of it.

Such as a request over HTTP, or a person on another messenger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

if TYPE_CHECKING:
    from chat4all_protocol.frames import Error
    from chat4all_storage.ports.events import Append, Mark

    from ..messages import Post
    from .conversations import Conversations

ATTEMPTS: Final = 3
"""The conversation may crash under a post: the same id again settles what became of it."""

MARK_PATIENCE: Final = 0.5
"""Seconds until a mark is given up that nothing was heard of: many times what a commit takes."""


class Stored(Struct, frozen=True):
    """Where an event stands."""

    seq: int
    ts: int
    dup: bool
    """It stood there before."""


class _Asking:
    """The `Origin` of one post."""

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.outcome: Stored | Error | None = None
        """None: it is not known."""

    def stored(self, post: Post, seq: int, ts: int, *, dup: bool) -> None:
        """See `messages.Origin`."""
        self.outcome = Stored(seq, ts, dup)
        self.answered.set()

    def refused(self, post: Post, error: Error) -> None:
        """See `messages.Origin`."""
        self.outcome = error
        self.answered.set()

    def lost(self, post: Post) -> None:
        """See `messages.Origin`."""
        self.answered.set()


async def store(conversations: Conversations, append: Append) -> Stored | Error | None:
    """Have an event stored and passed to everybody; or why it was not; None: that is not known.

    Raises:
        StorageError: the conversation could not be reached, and nothing was stored.
    """
    for _ in range(ATTEMPTS):
        asking = _Asking()
        await conversations.post(append, asking)
        await asking.answered.wait()
        if asking.outcome is not None:
            return asking.outcome
    return None


async def mark(conversations: Conversations, mark: Mark) -> bool:
    """Raise somebody's watermarks, and let the others know; whether they stand by now.

    If not, that is not known: marks are best effort on their way to the store, and a later one
    takes an earlier one's place.
    """
    written = trio.Event()

    def on_written(stands: Mark) -> None:
        conversations.marked(stands)
        written.set()

    conversations.logs.mark_nowait(mark, on_written)
    with trio.move_on_after(MARK_PATIENCE):
        await written.wait()
    return written.is_set()
