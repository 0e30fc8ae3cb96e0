"""What a session needs of its connection."""

from __future__ import annotations

from typing import Protocol


class Outlet(Protocol):
    """A connection, as its session sees it: the only queue of what goes to the client."""

    @property
    def queued(self) -> int:
        """Bytes that the kernel has not taken yet."""
        ...

    @property
    def stalled_since(self) -> float | None:
        """When the kernel last took anything; None while nothing is queued."""
        ...

    def send_nowait(self, data: bytes) -> None:
        """Send WebSocket frames, or queue what can't be sent now; nothing once it is closing."""

    def offer(self, data: bytes, most: int) -> bool:
        """The same, unless more than `most` bytes would then be queued: False, and nothing is."""
        ...

    def cork(self) -> None:
        """Keep what is sent from here on together, until `uncork` or until somebody waits."""

    def uncork(self) -> None:
        """Send what was kept."""

    async def room(self, below: int) -> None:
        """Wait until fewer than `below` bytes are queued."""

    def ping(self) -> None:
        """Send a WebSocket ping."""

    def close(self, code: int, reason: str, *, discard: bool = False) -> None:
        """Begin the closing handshake, after what is queued or (`discard`) in its place."""

    def abort(self) -> None:
        """Cut the connection, and cancel whatever its task waits for."""
