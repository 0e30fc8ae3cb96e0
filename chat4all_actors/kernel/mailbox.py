"""A bounded queue of messages, cheap enough for tens of thousands of idle ones."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Generic, TypeVar

import trio

from chat4all_actors.kernel.errors import ActorStopped, MailboxFull

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """A snapshot of a mailbox; all figures count messages, or senders that wait with one."""

    size: int
    capacity: int
    waiting_senders: int
    accepted: int
    """Put since the beginning, replies included."""
    refused: int
    """Turned away by `Mailbox.put_nowait` because there was no room."""
    high_watermark: int


class _Sender(Generic[M]):
    """A message whose sender waits for room."""

    __slots__ = ("accepted", "message")

    def __init__(self, message: M) -> None:
        self.message = message
        self.accepted = False


class Mailbox(Generic[M]):
    """A first in, first out queue bounded by count, whose one reader never waits for it.

    Whoever waits for room gets it in the order of waiting and before anybody who comes later:
    room that appears is filled from the waiting senders at once, so senders wait only at a full
    mailbox. What is in a mailbox lives in memory only; `close` hands it back.
    """

    __slots__ = (
        "_accepted",
        "_capacity",
        "_closed",
        "_high_watermark",
        "_items",
        "_name",
        "_refused",
        "_senders",
    )

    def __init__(self, capacity: int, name: str = "mailbox") -> None:
        """Make an empty mailbox for `capacity` messages; `name` appears in its errors.

        Raises `ValueError` unless the capacity is at least 1.
        """
        if capacity < 1:
            raise ValueError("a mailbox needs room for at least one message")
        self._name = name
        self._capacity = capacity
        # An empty deque is 0.7 KiB, so both containers exist only while they hold something.
        self._items: deque[M] | None = None
        self._senders: OrderedDict[trio.lowlevel.Task, _Sender[M]] | None = None
        self._closed = False
        self._accepted = 0
        self._refused = 0
        self._high_watermark = 0

    def __len__(self) -> int:
        """Count the messages that are in, not those of waiting senders."""
        return len(self._items) if self._items is not None else 0

    @property
    def full(self) -> bool:
        """Whether `put` would wait and `put_nowait` would refuse."""
        return len(self) >= self._capacity

    def put_nowait(self, message: M) -> None:
        """Put a message if there is room; raises `MailboxFull` or `ActorStopped`."""
        if self._closed:
            raise self._stopped()
        if self.full:
            self._refused += 1
            raise MailboxFull(f"{self._name}: {self._capacity} messages are waiting")
        self._append(message)

    def put_reply(self, message: M) -> None:
        """Put the answer to a request that the reader made, over the capacity if need be.

        Such answers are bounded by the number of the requests, and refusing one would leave the
        reader waiting for it. Raises `ActorStopped` when closed.
        """
        if self._closed:
            raise self._stopped()
        self._append(message)

    async def put(self, message: M) -> None:
        """Wait for room and put a message; a put that is cancelled has not put.

        Raises `ActorStopped` when the mailbox is closed, before or during the wait.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed or not self.full:
            self.put_nowait(message)
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        task = trio.lowlevel.current_task()
        sender = _Sender(message)
        if self._senders is None:
            self._senders = OrderedDict()
        self._senders[task] = sender

        def abort(_: object) -> trio.lowlevel.Abort:
            # The sender is listed as long as it sleeps: admit and close unlist before they wake.
            assert self._senders is not None
            del self._senders[task]
            if not self._senders:
                self._senders = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        if not sender.accepted:
            raise self._stopped()

    def take_nowait(self, limit: int) -> list[M]:
        """Take up to `limit` messages, oldest first; an empty list when there is none.

        Raises `ValueError` unless the limit is at least 1.
        """
        if limit < 1:
            raise ValueError("take at least one message")
        items = self._items
        if items is None:
            return []
        if limit >= len(items):
            batch = list(items)
            self._items = None
        else:
            batch = [items.popleft() for _ in range(limit)]
        if self._senders is not None:
            self._admit()
        return batch

    def close(self) -> list[M]:
        """Refuse everything from now on and return what was in, oldest first, to be answered.

        Waiting senders wake up with `ActorStopped`; their messages are not in the result, as they
        were never accepted. Closing again returns nothing.
        """
        self._closed = True
        senders, self._senders = self._senders, None
        for task in senders or ():
            trio.lowlevel.reschedule(task)
        items, self._items = self._items, None
        return list(items) if items is not None else []

    def statistics(self) -> MailboxStatistics:
        """Return the figures of this moment."""
        return MailboxStatistics(
            size=len(self),
            capacity=self._capacity,
            waiting_senders=len(self._senders) if self._senders is not None else 0,
            accepted=self._accepted,
            refused=self._refused,
            high_watermark=self._high_watermark,
        )

    def _append(self, message: M) -> None:
        if self._items is None:
            self._items = deque()
        self._items.append(message)
        self._accepted += 1
        if len(self._items) > self._high_watermark:
            self._high_watermark = len(self._items)

    def _admit(self) -> None:
        """Fill the room there is from the waiting senders, in the order of waiting."""
        assert self._senders is not None
        while self._senders and not self.full:
            task, sender = self._senders.popitem(last=False)
            self._append(sender.message)
            sender.accepted = True
            trio.lowlevel.reschedule(task)
        if not self._senders:
            self._senders = None

    def _stopped(self) -> ActorStopped:
        return ActorStopped(f"{self._name}: stopped")
