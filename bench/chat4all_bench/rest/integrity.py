"""Whether every acknowledged message is in the history afterwards: once, unaltered and in order."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..http import Server
    from .samples import Sample
    from .work import Pair

PAGE: Final = 100


class Stored(Struct, frozen=True):
    """A message as the history has it."""

    message_id: str
    seq: int
    text: str


class Integrity(Struct, frozen=True):
    """What became of the messages of a run."""

    acknowledged: int = 0
    stored: int = 0
    """In the histories, those among them whose answer did not arrive."""
    lost: int = 0
    """Acknowledged and not in the history."""
    doubled: int = 0
    """More than once in the history, counted each time beyond the first."""
    reordered: int = 0
    """Not where the answer said, not ascending in the history, or before one that was acknowledged
    before they were sent."""
    altered: int = 0
    """Those with another text."""

    def __add__(self, other: Integrity) -> Integrity:
        return Integrity(
            *(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__)
        )


def check(samples: Sequence[Sample], history: Sequence[Stored]) -> Integrity:
    """Compare what was acknowledged in one conversation with its whole history.

    The text of a message is to hold its id.
    """
    acknowledged = {sample.message_id: sample for sample in samples if not sample.fault}
    times = Counter(stored.message_id for stored in history)
    misplaced: set[str] = _overtaking(acknowledged.values())
    altered = 0
    before = 0
    for stored in history:
        sample = acknowledged.get(stored.message_id)
        if stored.seq <= before or (sample is not None and sample.seq != stored.seq):
            misplaced.add(stored.message_id)
        before = max(before, stored.seq)
        altered += sample is not None and stored.message_id not in stored.text
    return Integrity(
        acknowledged=len(acknowledged),
        stored=len(history),
        lost=sum(1 for id_ in acknowledged if id_ not in times),
        doubled=sum(count - 1 for count in times.values()),
        reordered=len(misplaced),
        altered=altered,
    )


def _overtaking(samples: Iterable[Sample]) -> set[str]:
    """Messages that stand before another which had been acknowledged when they were sent."""
    arrived = list(samples)
    sent = sorted(arrived, key=lambda sample: sample.sent)
    done = sorted(arrived, key=lambda sample: sample.done)
    greatest, position = 0, 0
    found: set[str] = set()
    for sample in sent:
        while position < len(done) and done[position].done < sample.sent:
            greatest = max(greatest, done[position].seq)
            position += 1
        if sample.seq <= greatest:
            found.add(sample.message_id)
    return found


async def read_history(server: Server, pair: Pair) -> list[Stored]:
    """The whole history of a conversation, from its beginning.

    Raises:
        NoAnswer: the server does not answer.
        RuntimeError: it refuses.
    """
    path = f"/v1/conversations/{pair.conversation_id}/messages"
    user = pair.one if pair.by_client else None
    found: list[Stored] = []
    after = 0
    while True:
        answer = await server.call(
            "GET", f"{path}?after={after}&limit={PAGE}", token=pair.token, user=user
        )
        if answer.status != 200:
            raise RuntimeError(f"GET {path}: {answer.status} {answer.body[:200]!r}")
        page: dict[str, Any] = answer.json()
        found += [
            Stored(each["message_id"], each["sequence_number"], each["payload"]["text"])
            for each in page["messages"]
        ]
        if not page["has_more"]:
            return found
        after = page["next_cursor"]


async def verify(server: Server, pairs: Sequence[Pair], samples: Sequence[Sample]) -> Integrity:
    """Check all conversations of a run, which is over.

    Raises:
        NoAnswer: the server does not answer.
        RuntimeError: it refuses.
    """
    by_pair: dict[int, list[Sample]] = {}
    for sample in samples:
        by_pair.setdefault(sample.conversation, []).append(sample)
    found = Integrity()
    for which, theirs in by_pair.items():
        found += check(theirs, await read_history(server, pairs[which]))
    return found
