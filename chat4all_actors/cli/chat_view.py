"""What a chat shows: messages, marks and signs, as lines of styled text. Nothing here does I/O."""

from __future__ import annotations

import zlib
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct
from prompt_toolkit.utils import get_cwidth

from chat4all_protocol.frames import FileBody

from .chat_reactions import Reactions
from .chat_text import clock, day, safe_line, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chat4all_protocol.frames import Composing, Member, Msg, Presence, Receipt

Line: TypeAlias = list[tuple[str, str]]
"""Pieces of text with their prompt_toolkit styles."""

COLOURS: Final = ("cyan", "magenta", "yellow", "blue", "green", "red")
QUEUED, SENT, DELIVERED = "…", "✓", "✓✓"
NAME_CELLS: Final = 16
"""Room for a name; longer ones are cut."""


class Item(Struct):
    """A line of the conversation before it is wrapped."""

    ts: int
    sender: str
    """Empty for a notice."""
    text: str
    seq: int = 0
    """0 for a message that is not stored, and for notices of this program."""
    failed: str = ""
    """Why the message was refused."""
    file: int = 0
    """The number of the file that it carries."""
    deleted: bool = False


class View:
    """One conversation on the screen."""

    def __init__(self, user: str, title: str, *, colour: bool = True) -> None:
        self.user = user
        self.title = safe_line(title)
        self.version = 0
        """Grows whenever `lines` may give something else."""
        self._colour = colour
        self._stored: dict[int, Item] = {}
        self._queued: dict[str, Item] = {}
        self._notices: list[tuple[int, Item]] = []
        self._marks: dict[str, tuple[int, int]] = {}
        self._composing: dict[str, float] = {}
        self._presences: dict[str, Presence] = {}
        self._reactions = Reactions()
        self._unread_from = 0
        self._files: list[FileBody] = []
        self._rendered: tuple[int, int, list[Line]] = (-1, 0, [])

    @property
    def first(self) -> int | None:
        """The `seq` of the oldest event that is shown."""
        return min(self._stored, default=None)

    @property
    def waiting(self) -> int:
        """Own messages that are not stored yet."""
        return sum(not item.failed for item in self._queued.values())

    def file(self, name: str) -> FileBody | None:
        """The file that is shown with this number, or has this id."""
        if name.isdecimal():
            number = int(name)
            return self._files[number - 1] if 0 < number <= len(self._files) else None
        return next((body for body in self._files if body.file_id == name), None)

    @property
    def last_file(self) -> FileBody | None:
        """The file that stands lowest."""
        stored = (self._stored[seq].file for seq in sorted(self._stored, reverse=True))
        number = next((number for number in stored if number), None)
        return None if number is None else self._files[number - 1]

    def message(self, number: int) -> int | None:
        """The `seq` of the message that stands so far up, 1 being the last; None: there is none."""
        stored = (self._stored[seq] for seq in sorted(self._stored, reverse=True))
        messages = (item.seq for item in stored if item.text and item.sender and not item.deleted)
        return next(islice(messages, number - 1, None), None)

    def reacted(self, seq: int, emoji: str) -> bool:
        """Whether the user has put this reaction to a message."""
        return self._reactions.stands(seq, self.user, emoji)

    # --- what happens ---------------------------------------------------------------------------

    def happened(self, event: Msg) -> None:
        """An event of the log, new or old; one that is shown already changes nothing."""
        self._queued.pop(event.id, None)
        self._composing.pop(event.from_, None)
        self.version += 1
        if event.seq in self._stored:
            return
        number = self._number(event)
        text = text_of(event, number)
        target = self._stored.get(event.target or 0)
        if target is not None and event.kind in ("edit", "delete"):
            target.text = f"{text} (edited)" if event.kind == "edit" else text
            target.file = number or 0
            target.deleted = target.deleted or event.kind == "delete"
        if event.kind == "react":
            self._reactions.happened(event)
        item = Item(event.ts, event.from_, text, event.seq, deleted=event.deleted)
        if event.kind in ("join", "leave"):
            item.sender = ""
        elif event.kind != "message":
            item.text = ""
        else:
            item.file = number or 0
        self._stored[event.seq] = item

    def _number(self, event: Msg) -> int | None:
        """What the file that an event carries is called: files count as they come to be shown."""
        if not isinstance(event.body, FileBody) or event.deleted:
            return None
        ids = [body.file_id for body in self._files]
        if event.body.file_id not in ids:
            self._files.append(event.body)
            return len(self._files)
        return ids.index(event.body.file_id) + 1

    def members(self, details: Mapping[str, Member]) -> None:
        """Where the members stand."""
        for name, member in details.items():
            self._mark(name, member.recv, member.read)

    def receipt(self, receipt: Receipt) -> None:
        """A member received or read something."""
        self._mark(receipt.user, receipt.recv, receipt.read)

    def _mark(self, name: str, recv: int, read: int) -> None:
        if name == self.user:
            return
        known = self._marks.get(name, (0, 0))
        self._marks[name] = (max(known[0], recv, read), max(known[1], read))
        self.version += 1

    def unread_after(self, seq: int) -> None:
        """Put the line that marks what is new after event `seq`."""
        self._unread_from = seq + 1
        self.version += 1

    def queued(self, id_: str, text: str, ts: int) -> None:
        """An own message waits to be sent."""
        self._queued[id_] = Item(ts, self.user, text)
        self.version += 1

    def failed(self, id_: str, reason: str) -> None:
        """An own message was refused."""
        if id_ in self._queued:
            self._queued[id_].failed = reason
            self.version += 1

    def notice(self, text: str, ts: int) -> None:
        """Something this program says, below all that is there now."""
        self._notices.append((max(self._stored, default=0), Item(ts, "", text)))
        self.version += 1

    def composing(self, frame: Composing, now: float) -> None:
        """A member composes; `now` is in seconds of any clock, the same for `typing`."""
        if frame.user != self.user:
            self._composing[frame.user] = now + frame.ttl / 1000

    def typing(self, now: float) -> str:
        """Who composes, as a sentence; empty for nobody."""
        self._composing = {name: until for name, until in self._composing.items() if until > now}
        names = [safe_line(name) for name in self._composing]
        if not names:
            return ""
        if len(names) > 2:
            return f"{len(names)} people are typing…"
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} typing…"

    def presence(self, frame: Presence) -> None:
        """Whether somebody is there."""
        if frame.user != self.user:
            self._presences[frame.user] = frame

    def present(self) -> str:
        """Who is there, as a word or two; empty when nothing is known."""
        presences = list(self._presences.values())
        if len(presences) > 1:
            there = sum(it.status != "offline" for it in presences)
            return f"{there} of {len(presences)} others here"
        if not presences:
            return ""
        (it,) = presences
        if it.status != "offline" or it.last_seen is None:
            return it.status
        return f"last seen {day(it.last_seen)} {clock(it.last_seen)}"

    # --- how it looks ---------------------------------------------------------------------------

    def lines(self, width: int) -> list[Line]:
        """Everything as lines of at most `width` cells."""
        version, known_width, lines = self._rendered
        if (version, known_width) != (self.version, width):
            lines = list(self._lines(max(width, 20)))
            self._rendered = (self.version, width, lines)
        return lines

    def _lines(self, width: int) -> Iterator[Line]:
        today = ""
        marked = not self._unread_from
        for item in self._items():
            if not item.text:
                continue
            if (date := day(item.ts)) != today:
                today = date
                yield [("class:separator", centred(f" {date} ", "─", width))]
            if not marked and item.seq >= self._unread_from and item.sender != self.user:
                marked = True
                yield [("class:unread", centred(" new ", "─", width))]
            yield from self._item_lines(item, width)

    def _items(self) -> Iterator[Item]:
        notices = iter(self._notices)
        notice = next(notices, None)
        for seq in sorted(self._stored):
            while notice is not None and notice[0] < seq:
                yield notice[1]
                notice = next(notices, None)
            yield self._stored[seq]
        while notice is not None:
            yield notice[1]
            notice = next(notices, None)
        yield from self._queued.values()

    def _item_lines(self, item: Item, width: int) -> Iterator[Line]:
        time: Line = [("class:time", clock(item.ts) + " ")]
        if not item.sender:
            for number, text in enumerate(wrap(item.text, width - 6)):
                yield [*(time if number == 0 else [("", " " * 6)]), ("class:notice", text)]
            return
        name = cut(safe_line(item.sender), NAME_CELLS)
        indent = 6 + get_cwidth(name) + 2
        head: Line = [*time, (self._name_style(item.sender), name), ("", ": ")]
        reactions = "" if item.deleted else self._reactions.shown(item.seq)
        rows = wrap(f"{item.text} [{reactions}]" if reactions else item.text, width - indent)
        mark = self.mark(item)
        for number, text in enumerate(rows):
            line = [*(head if number == 0 else [("", " " * indent)]), ("", text)]
            if mark is not None and number == len(rows) - 1:
                style, sign = mark
                if indent + get_cwidth(text) + 1 + get_cwidth(sign) > width:
                    yield line
                    line = [("", " " * indent)]
                else:
                    sign = " " + sign
                line.append((style, sign))
            yield line

    def mark(self, item: Item) -> tuple[str, str] | None:
        """The mark of an own message, with its style."""
        if item.sender != self.user:
            return None
        if item.failed:
            return "class:failed", f"✗ {item.failed}"
        if not item.seq:
            return "class:mark", QUEUED
        marks = self._marks.values()
        if not marks or min(recv for recv, _ in marks) < item.seq:
            return "class:mark", SENT
        if min(read for _, read in marks) < item.seq:
            return "class:mark", DELIVERED
        return ("class:read", DELIVERED) if self._colour else ("class:mark", DELIVERED + " read")

    def _name_style(self, name: str) -> str:
        if name == self.user:
            return "class:own"
        return f"class:name{zlib.crc32(name.encode()) % len(COLOURS)}"


def wrap(text: str, width: int) -> list[str]:
    """`text` in rows of at most `width` cells, broken at spaces where there are any."""
    width = max(width, 4)
    rows: list[str] = []
    for paragraph in text.split("\n"):
        row, cells = "", 0
        for word in paragraph.split(" "):
            size = get_cwidth(word)
            if row and cells + 1 + size <= width:
                row, cells = f"{row} {word}", cells + 1 + size
                continue
            if row:
                rows.append(row)
            row, cells = word, size
            while cells > width:
                part = cut(row, width, "")
                rows.append(part)
                row = row[len(part) :]
                cells = get_cwidth(row)
        rows.append(row)
    return rows


def cut(text: str, width: int, sign: str = "…") -> str:
    """As much of `text` as fits in `width` cells; with `sign` at the end if it is cut."""
    if get_cwidth(text) <= width:
        return text
    cells = get_cwidth(sign)
    for position, char in enumerate(text):
        cells += get_cwidth(char)
        if cells > width:
            return text[:position] + sign
    return text


def centred(text: str, fill: str, width: int) -> str:
    """`text` in the middle of so many cells, with `fill` around it."""
    text = cut(text, width)
    left = (width - get_cwidth(text)) // 2
    return fill * left + text + fill * (width - get_cwidth(text) - left)
