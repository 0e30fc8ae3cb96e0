"""How long a client may take that is served nothing yet: less once the node stops."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

STOP_PATIENCE: Final = 1.0
"""Seconds that a request may still take to come in when the node stops."""


class Patience:
    """The time limits of all such clients of a node."""

    def __init__(self) -> None:
        self._scopes: dict[trio.CancelScope, None] = {}
        self.over = False
        """Whether the node stops."""

    @contextmanager
    def limit(self, seconds: float) -> Iterator[trio.CancelScope]:
        """A scope of so many seconds, or of fewer when the node stops."""
        if self.over:
            seconds = min(seconds, STOP_PATIENCE)
        with trio.move_on_after(seconds) as scope:
            self._scopes[scope] = None
            try:
                yield scope
            finally:
                del self._scopes[scope]

    def end(self) -> None:
        """The node stops."""
        self.over = True
        soon = trio.current_time() + STOP_PATIENCE
        for scope in self._scopes:
            scope.deadline = min(scope.deadline, soon)
