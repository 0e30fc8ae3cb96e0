"""The head rule, in one place: an event is passed exactly when the head stands right before it.

What is further on is kept here, as there is a hole before it; what is not was passed before, and
only its sender is told. So it matters neither on which way events come (answers of the log, other
nodes, reads of the store) nor how often or in which order: each is passed once, in the log's order.

Nothing here waits, reads or sends, or knows who the readers are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeGuard

from chat4all_storage.ports.events import Outcome, Status

from ..messages import Passing
from ..wire import framed, message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chat4all_storage.log.entries import Answer, Entry
    from chat4all_storage.ports.events import StoredEvent

    from ..messages import Post, Relayed

CHANGES: Final = ("join", "leave", "change")
"""Kinds of events that change the members or the conversation itself."""
MOST: Final = 256
"""Events of other nodes that wait for those before them, and as many of this one."""

_STANDS: Final = (Status.STORED, Status.DUPLICATE)
"""The event stands in the log."""


def in_line(head: int, answers: Iterable[tuple[Entry[Post], Answer]]) -> list[Passing] | None:
    """The events of these answers, if they are just what follows the head, and no changes.

    That is so nearly always, and spares what `Early` would do to the same effect. None: it is not.
    """
    run: list[Passing] = []
    for entry, answer in answers:
        head += 1
        if (
            type(answer) is not Outcome
            or answer.seq != head
            or answer.status not in _STANDS
            or entry.append.kind in CHANGES
        ):
            return None
        run.append(own(entry.context, answer))
    return run


def own(post: Post, outcome: Outcome) -> Passing:
    """An event that was sent through this node."""
    dup = outcome.status is Status.DUPLICATE
    data = framed(message(post.event(outcome.seq, outcome.ts)))
    return Passing(outcome.seq, outcome.ts, data, post.append.sender, post, dup)


def read(event: StoredEvent) -> Passing:
    """An event as it stands in the store."""
    return Passing(event.seq, event.ts, framed(message(event)), event.sender)


class Early:
    """What is known of the events behind one conversation's head.

    Made when the first of them can't be passed at once, or comes from another node.
    """

    __slots__ = ("_own", "_relayed", "_repeats", "awaited", "hole", "stored", "told")

    def __init__(self) -> None:
        self._relayed: dict[int, Passing] = {}
        """Those of other nodes, by seq."""
        self._own: dict[int, Passing] = {}
        """Those that the log has answered, by seq; the two have none in common."""
        self._repeats: list[tuple[Post, Outcome]] = []
        """Retries of own ones; they are answered after them."""
        self.stored = 0
        """Up to where events are known to be stored: they are to be read at once."""
        self.hole: int | None = None
        """The head behind which something was missing when it was looked at last."""
        self.awaited: int | None = None
        """The head behind which an event stands whose sender here has to be answered first."""
        self.told = 0
        """Up to where the other nodes know of the own ones."""

    # --- what comes ---------------------------------------------------------------------------

    def answered(
        self, head: int, answers: Iterable[tuple[Entry[Post], Answer]]
    ) -> list[tuple[Post, Answer]]:
        """Keep what the log has stored behind the head; the rest may be told its senders now:
        what was not stored, and what was passed before.
        """
        self.awaited = None
        rest: list[tuple[Post, Answer]] = []
        for entry, answer in answers:
            post = entry.context
            if not stands(answer) or answer.seq <= head:
                rest.append((post, answer))
            elif answer.seq in self._own:
                self._repeats.append((post, answer))
            else:
                self._own[answer.seq] = own(post, answer)
                self._relayed.pop(answer.seq, None)
        return rest

    def relayed(self, head: int, relayed: Relayed) -> None:
        """Keep what another node has stored behind the head."""
        came = zip(relayed.senders, relayed.frames, strict=True)
        for seq, (sender, frame) in enumerate(came, relayed.first):
            if seq > head and seq not in self._own:
                self._relayed[seq] = Passing(seq, 0, frame, sender)

    # --- what goes ----------------------------------------------------------------------------

    def following(self, head: int) -> list[Passing]:
        """The next events to pass: those that follow the head, all own ones or all of other nodes.

        A change comes alone. They stay until the head has moved: what is not behind it is dropped.
        """
        for kept in (self._own, self._relayed):
            for seq in [seq for seq in kept if seq <= head]:
                del kept[seq]
        kept = self._own if head + 1 in self._own else self._relayed
        run: list[Passing] = []
        while (event := kept.get(head + 1 + len(run))) is not None:
            if changes(event):
                return run or [event]
            run.append(event)
        return run

    def repeated(self, head: int) -> list[tuple[Post, Outcome]]:
        """The retries of what has been passed."""
        ready = [repeat for repeat in self._repeats if repeat[1].seq <= head]
        self._repeats = [repeat for repeat in self._repeats if repeat[1].seq > head]
        return ready

    def missing(self, head: int) -> int:
        """The last event to be read before anything else can be passed, when nothing follows the
        head; the head itself if there is none.
        """
        if self.awaited == head:
            return head
        first = min((*self._own, *self._relayed), default=0)
        if self.stored > head:
            return min(self.stored, first - 1) if first else self.stored
        return first - 1 if first else head

    def urgent(self, head: int) -> bool:
        """Whether what is missing has to be read at once."""
        return self.stored > head or len(self._own) > MOST or len(self._relayed) > MOST

    def before_own(self, seq: int) -> bool:
        """Whether an own event is known behind this one.

        Then this one was stored before it, and a post of it that still waits is a retry.
        """
        return any(behind > seq for behind in self._own)

    def untold(self) -> list[list[Passing]]:
        """Runs of own events of which the other nodes don't know yet; now they do.

        None after a change: it may change who is to be told.
        """
        runs: list[list[Passing]] = []
        for seq in sorted(self._own):
            event = self._own[seq]
            if changes(event):
                break
            if event.dup or seq <= self.told:
                continue
            if runs and runs[-1][-1].seq == seq - 1:
                runs[-1].append(event)
            else:
                runs.append([event])
            self.told = seq
        return runs

    # --- what is here -------------------------------------------------------------------------

    @property
    def owing(self) -> bool:
        """Whether anybody here waits for an answer."""
        return bool(self._own)

    def busy(self, head: int) -> bool:
        """Whether anything is known behind the head."""
        return bool(self._own or self._relayed or self.stored > head)

    def last(self, head: int) -> int:
        """The last event that is known to be stored."""
        return max(head, self.stored, *self._own, *self._relayed)

    def posts(self) -> list[Post]:
        """Those that were stored, and whose senders have not been told."""
        own_ones = [event.post for event in self._own.values() if event.post is not None]
        return own_ones + [post for post, _ in self._repeats]


def stands(answer: Answer) -> TypeGuard[Outcome]:
    """Whether the event stands in the log."""
    return isinstance(answer, Outcome) and answer.status in _STANDS


def changes(event: Passing) -> bool:
    """Whether it is an own event that changes the members or the conversation.

    What other nodes send never is: they only say that it stands.
    """
    return event.post is not None and event.post.append.kind in CHANGES
