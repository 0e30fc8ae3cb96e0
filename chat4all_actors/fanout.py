"""Delivery: a plain function that hands the same bytes to every local session.

No task, no channel and no copy per recipient: a recipient costs one non-blocking send. What the
kernel does not take is the session's business (`Reader.deliver` queues it or announces a gap), so
nobody ever waits for somebody slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from .messages import Passing, Reader

CHECKPOINT_EVERY: Final = 256
"""Sends after which other tasks get a turn: about 2 ms."""


async def fan_out(
    readers: Collection[Reader], conversation: str, events: Sequence[Passing]
) -> None:
    """Give consecutive events to each reader, letting other tasks run now and then.

    The readers are those of this moment: who enters meanwhile starts after these events.
    """
    origins, data = _origins(events), _joined(events)
    present = list(readers)
    for start in range(0, len(present), CHECKPOINT_EVERY):
        some = present[start : start + CHECKPOINT_EVERY]
        _give(some, conversation, events, data, origins)
        if len(some) == CHECKPOINT_EVERY:
            await trio.lowlevel.checkpoint()
    _answer_absent(events, origins)


def fan_out_nowait(
    readers: Collection[Reader], conversation: str, events: Sequence[Passing]
) -> None:
    """The same to fewer readers than `CHECKPOINT_EVERY`."""
    origins = _origins(events)
    _give(list(readers), conversation, events, _joined(events), origins)
    _answer_absent(events, origins)


def _origins(events: Sequence[Passing]) -> set[object]:
    return {event.post.origin for event in events if event.post is not None}


def _joined(events: Sequence[Passing]) -> bytes:
    return events[0].data if len(events) == 1 else b"".join([event.data for event in events])


def _give(
    readers: list[Reader],
    conversation: str,
    events: Sequence[Passing],
    data: bytes,
    origins: set[object],
) -> None:
    first, last = events[0].seq, events[-1].seq
    for reader in readers:
        if reader in origins:
            origins.discard(reader)
            reader.deliver_own(conversation, events)
        else:
            reader.deliver(conversation, first, last, data)


def _answer_absent(events: Sequence[Passing], origins: set[object]) -> None:
    """An origin that is no reader (any more) still waits for its answer."""
    if not origins:
        return
    for event in events:
        if event.post is not None and event.post.origin in origins:
            event.post.origin.stored(event.post, event.seq, event.ts, dup=event.dup)


class TooManySessions(Exception):
    """A user has sessions on too many devices."""


class LocalReaders:
    """The sessions on this node, by user and device.

    Nearly every user has one, which stands for itself: a dict for it would take 232 bytes.
    """

    def __init__(self, max_per_user: int = 100) -> None:
        self._max_per_user = max_per_user
        self._by_user: dict[str, Reader | dict[str, Reader]] = {}

    def add(self, reader: Reader) -> None:
        """Add a session; the one that it replaces on its device is told so.

        Raises:
            TooManySessions: the user has sessions on too many devices.
        """
        devices = self._devices(reader.user)
        former = devices.get(reader.device)
        if former is None and len(devices) >= self._max_per_user:
            raise TooManySessions(f"more than {self._max_per_user} devices are connected")
        devices[reader.device] = reader
        self._by_user[reader.user] = reader if len(devices) == 1 else devices
        if former is not None:
            former.replaced()

    def remove(self, reader: Reader) -> None:
        """Remove a session, unless another took its place."""
        devices = self._devices(reader.user)
        if devices.get(reader.device) is not reader:
            return
        del devices[reader.device]
        if not devices:
            del self._by_user[reader.user]

    def of(self, user: str) -> list[Reader]:
        """The sessions of a user."""
        return list(self._devices(user).values())

    def tell(self, user: str, data: bytes) -> None:
        """Give a user's sessions a frame that those who are behind may do without."""
        for reader in self.of(user):
            reader.deliver_passing(data)

    def users(self) -> list[str]:
        """Everybody who has a session here."""
        return list(self._by_user)

    def _devices(self, user: str) -> dict[str, Reader]:
        """The sessions of a user by device; it is kept if they are several."""
        found = self._by_user.get(user)
        if isinstance(found, dict):
            return found
        return {} if found is None else {found.device: found}

    def __iter__(self) -> Iterator[Reader]:
        for user in self.users():
            yield from self.of(user)

    def __len__(self) -> int:
        return sum(len(each) if isinstance(each, dict) else 1 for each in self._by_user.values())
