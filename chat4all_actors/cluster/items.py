"""What nodes tell each other, on one page.

Items travel in entries: those of one flush for one node, numbered, so that a lost entry shows. All
of it is best effort; what is certain is in the databases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, get_args

import msgspec
from msgspec import Raw, Struct

from chat4all_protocol.frames import TypingKind  # noqa: TC001 - decoded by it

from ..presence.carrier import RosterChanges, RosterSnapshot, RosterWanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Item(Struct, array_like=True, frozen=True, gc=False):
    """Base of all items."""


class Events(Item, tag="events", frozen=True):
    """Consecutive events of a conversation, `first` and after, that change no members."""

    conversation: str
    first: int
    senders: list[str]
    frames: list[bytes]
    """Each event's `msg` as a WebSocket frame: the very bytes for the sockets."""

    @property
    def last(self) -> int:
        """The seq of the last event."""
        return self.first + len(self.frames) - 1


class Stands(Item, tag="stands", frozen=True):
    """A conversation stands at `seq`, by an event that changed its members, or was created (0)."""

    conversation: str
    seq: int
    joined: list[str]


class Marks(Item, tag="marks", frozen=True):
    """Members' watermarks have risen: user, recv and read, now and as they were told before."""

    conversation: str
    marks: list[tuple[str, int, int, int, int]]


class Composes(Item, tag="composes", frozen=True):
    """A member is composing."""

    conversation: str
    user: str
    kind: TypingKind
    at: int
    """Milliseconds since the epoch by the sender's clock: it is worth nothing when it is old."""


class Tells(Item, tag="tells", frozen=True):
    """A user is told something, on every session; who misses it asks."""

    user: str
    frame: bytes
    """As a WebSocket frame."""


class Bye(Item, tag="bye", frozen=True):
    """The sender leaves: nothing follows."""


AnyItem: TypeAlias = (
    Events | Stands | Marks | Composes | Tells | Bye | RosterChanges | RosterSnapshot | RosterWanted
)


class Entry(Struct, array_like=True, frozen=True, gc=False):
    """What one node tells another at once; with its own beat a node tells itself."""

    sender: str
    number: int
    """1, 2, 3, … for each pair of nodes; of a beat, or of a notice, of no meaning."""
    items: list[AnyItem]


class _RawEntry(Struct, array_like=True, frozen=True, gc=False):
    sender: str
    number: int
    items: list[Raw]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Entry)
_raw_decoder = msgspec.msgpack.Decoder(_RawEntry)
_item_decoder: msgspec.msgpack.Decoder[AnyItem] = msgspec.msgpack.Decoder(AnyItem)
_sequence_decoder = msgspec.msgpack.Decoder(list[Raw])
_name_decoder = msgspec.msgpack.Decoder(str)
_NAMES: Final = frozenset(kind.__struct_config__.tag for kind in get_args(AnyItem))


def encode_item(item: AnyItem) -> bytes:
    """An item as bytes, to be put into any number of entries."""
    return _encode(item)


def encode_entry(sender: str, number: int, items: list[bytes]) -> bytes:
    """An entry of encoded items."""
    return _encode(_RawEntry(sender, number, [Raw(item) for item in items]))


def decode_entry(data: bytes) -> Entry:
    """The entry in `data`, without items that only a newer version knows.

    Raises:
        msgspec.DecodeError: it is none.
    """
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError:
        raw = _raw_decoder.decode(data)
        items = [_item_decoder.decode(item) for item in raw.items if _is_known(item)]
        return Entry(raw.sender, raw.number, items)


def _is_known(item: Raw) -> bool:
    """Whether this version has items of that name."""
    name, *_ = _sequence_decoder.decode(item) or [Raw(b"\xc0")]
    return _name_decoder.decode(name) in _NAMES


def portions(sizes: Iterable[int], limit: int) -> Iterator[slice]:
    """Cut things of these sizes into runs of at most `limit`; what is larger stays alone."""
    start = end = total = 0
    for end, size in enumerate(sizes):
        if total and total + size > limit:
            yield slice(start, end)
            start, total = end, 0
        total += size
    if total:
        yield slice(start, end + 1)
