"""Who outside is to be shown what people here do in a conversation: that they type, and have read.

Best effort, on this node, and nothing of it waits: what nobody watches costs a look into a dict.
"""

from __future__ import annotations

from typing import Final, Protocol

MOST: Final = 10_000
"""Conversations that are watched at once: 500 bytes each; those that were quiet longest go."""


class Watcher(Protocol):
    """Shows it to somebody; neither waits nor raises."""

    def composes(self, user: str) -> None:
        """A user types there."""

    def has_read(self, user: str, seq: int) -> None:
        """A user has read up to there."""


class Signs:
    """Of the conversations of a node."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._watchers: dict[str, Watcher] = {}
        """By conversation; who came last is last."""

    def __len__(self) -> int:
        return len(self._watchers)

    def watch(self, conversation: str, watcher: Watcher) -> None:
        """Let somebody be told from now on, in place of who was before."""
        self._watchers.pop(conversation, None)
        self._watchers[conversation] = watcher
        if len(self._watchers) > self._most:
            del self._watchers[next(iter(self._watchers))]

    def leave(self, conversation: str, watcher: Watcher) -> None:
        """It is told nothing more, unless another one is by now."""
        if self._watchers.get(conversation) is watcher:
            del self._watchers[conversation]

    def composes(self, conversation: str, user: str) -> None:
        """A user types."""
        if (watcher := self._watchers.get(conversation)) is not None:
            watcher.composes(user)

    def has_read(self, conversation: str, user: str, seq: int) -> None:
        """A user has read up to there, or says so again."""
        if (watcher := self._watchers.get(conversation)) is not None:
            watcher.has_read(user, seq)
