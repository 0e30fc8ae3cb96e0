"""What waits to be told to each node, and the numbers by which it sees that it missed something.

The entries for a node are numbered 1, 2, 3, …. Whatever it is not told uses up a number, so the
next entry shows it a hole, and it looks into the journal. No I/O.
"""

from __future__ import annotations

from typing import Final

from .items import encode_entry, portions

MAX_ENTRY: Final = 256 * 1024
"""Bytes of items in one entry, unless one item is larger."""
MAX_OUTBOX: Final = 4 * 1024 * 1024
"""Bytes that wait for one node; more are dropped."""


class _Outbox:
    __slots__ = ("items", "number", "size")

    def __init__(self, number: int) -> None:
        self.items: list[bytes] = []
        self.size = 0
        self.number = number
        """Of the last entry, or of what was dropped since."""


class Outboxes:
    """Of one node, for all others."""

    def __init__(self, sender: str) -> None:
        self._sender = sender
        self._outboxes: dict[str, _Outbox] = {}
        self._numbered = 0
        """Beyond the last number of every node whose outbox is gone: it may come back."""
        self.sent_items = 0
        """Items that were taken to be sent."""
        self.dropped_items = 0

    def put(self, node: str, item: bytes) -> None:
        """Let an item wait for a node, unless too much does."""
        outbox = self._of(node)
        if outbox.size + len(item) > MAX_OUTBOX:
            outbox.number += 1
            self.dropped_items += 1
        else:
            outbox.items.append(item)
            outbox.size += len(item)

    def miss(self, node: str) -> None:
        """A node is not told something."""
        self._of(node).number += 1
        self.dropped_items += 1

    def drop(self, node: str) -> None:
        """Drop what waits for a node."""
        outbox = self._outboxes.get(node)
        if outbox is not None and outbox.items:
            self._empty(outbox)

    def drop_all(self) -> None:
        """Drop what waits for all nodes; that something is missing shows even where nothing did."""
        for outbox in self._outboxes.values():
            self._empty(outbox)

    def close(self, node: str) -> None:
        """A node is gone; should it come back, it sees that something is missing."""
        outbox = self._outboxes.pop(node, None)
        if outbox is not None:
            self._numbered = max(self._numbered, outbox.number + 1)

    def take_entries(self) -> list[tuple[str, bytes]]:
        """All that waits, as entries for the nodes."""
        entries: list[tuple[str, bytes]] = []
        for node, outbox in self._outboxes.items():
            items, outbox.items, outbox.size = outbox.items, [], 0
            for some in portions(map(len, items), MAX_ENTRY):
                outbox.number += 1
                entries.append((node, encode_entry(self._sender, outbox.number, items[some])))
            self.sent_items += len(items)
        return entries

    def _of(self, node: str) -> _Outbox:
        outbox = self._outboxes.get(node)
        if outbox is None:
            outbox = self._outboxes[node] = _Outbox(self._numbered)
        return outbox

    def _empty(self, outbox: _Outbox) -> None:
        self.dropped_items += len(outbox.items)
        outbox.items, outbox.size = [], 0
        outbox.number += 1
