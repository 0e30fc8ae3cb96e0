"""Who outside is to be shown what people here do in a conversation: that they type, and have read.

Best effort, on this node, and nothing of it waits: what nobody watches costs a look into a dict.
"""

from __future__ import annotations

from typing import Final, Protocol

MOST: Final = 10_000
"""Conversations that are watched at once: 500 bytes each; those that were quiet longest go."""
FEW: Final = 8
"""Watchers of one conversation; those that were quiet longest go."""


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
        self._watchers: dict[str, tuple[Watcher, ...]] = {}
        """By conversation; who came last is last, in both."""

    def __len__(self) -> int:
        return len(self._watchers)

    def watch(self, conversation: str, watcher: Watcher) -> None:
        """Let somebody be told from now on, beside those who are already."""
        others = self._without(conversation, watcher)
        self._watchers.pop(conversation, None)
        self._watchers[conversation] = (*others, watcher)[-FEW:]
        if len(self._watchers) > self._most:
            del self._watchers[next(iter(self._watchers))]

    def leave(self, conversation: str, watcher: Watcher) -> None:
        """It is told nothing more."""
        if others := self._without(conversation, watcher):
            self._watchers[conversation] = others
        else:
            self._watchers.pop(conversation, None)

    def composes(self, conversation: str, user: str) -> None:
        """A user types."""
        for watcher in self._watchers.get(conversation, ()):
            watcher.composes(user)

    def has_read(self, conversation: str, user: str, seq: int) -> None:
        """A user has read up to there, or says so again."""
        for watcher in self._watchers.get(conversation, ()):
            watcher.has_read(user, seq)

    def _without(self, conversation: str, watcher: Watcher) -> tuple[Watcher, ...]:
        return tuple(each for each in self._watchers.get(conversation, ()) if each is not watcher)
