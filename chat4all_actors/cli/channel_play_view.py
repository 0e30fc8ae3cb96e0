"""What is shown of a chat on a loopback channel. Nothing here does I/O.

Messages have numbers, by which commands name them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct
from prompt_toolkit.utils import get_cwidth

from .chat_text import clock, day, safe, safe_line, size_of
from .chat_view import NAME_CELLS, centred, cut, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chat4all_connectors.loopback.chats import Line as Message

    from .chat_view import Line

KEPT: Final = 1000
"""Messages and notices that are shown."""
QUOTED: Final = 30
"""Characters that are shown of what a message replies to."""


class NoSuchMessage(Exception):
    """No message on the screen has this number or id."""


class _Notice(Struct):
    at: int
    text: str


class PlayView:
    """The chat of one person."""

    def __init__(self, account: str, person: str) -> None:
        self.account = account
        self.person = person
        self.typing = False
        self._items: list[int | _Notice] = []
        """Numbers of messages, and notices, as they are shown."""
        self._messages: dict[int, Message | None] = {}
        """By number; None: taken back."""
        self._numbers: dict[str, int] = {}
        self._last = 0

    def shown(self, message: Message) -> int:
        """A message that is new or has changed; its number."""
        number = self._numbers.get(message.id)
        if number is None:
            self._last += 1
            number = self._numbers[message.id] = self._last
            self._add(number)
        self._messages[number] = message
        return number

    def gone(self, id_: str) -> int | None:
        """One that is not there any more; its number, if it was shown."""
        number = self._numbers.get(id_)
        if number is not None:
            self._messages[number] = None
        return number

    def notice(self, text: str, at: int) -> None:
        """A line of this program's."""
        self._add(_Notice(at, text))

    def named(self, name: str) -> Message:
        """The message with this number or id.

        Raises:
            NoSuchMessage: there is none, or none any more.
        """
        number = int(name) if name.isascii() and name.isdecimal() else self._numbers.get(name, 0)
        message = self._messages.get(number)
        if message is None:
            raise NoSuchMessage(f"there is no message {safe_line(name)}")
        return message

    def says(self, number: int) -> str:
        """What a message says, with all that belongs to it."""
        message = self._messages[number]
        if message is None:
            return "(deleted)"
        said = safe(message.text)
        if message.file is not None:
            file = message.file
            what = f"[{file.kind}: {safe_line(file.name)}, {size_of(file.size)}]"
            said = f"{what} {said}".rstrip()
        if message.reply_to is not None:
            said = f"{self._quote(message.reply_to)} {said}"
        if message.edited:
            said += " (edited)"
        for who, emoji in message.reactions.items():
            said += f" · {safe_line(emoji)} {self._name(who)}"
        return said

    def line(self, number: int) -> str:
        """A message on one line: `3 12:04 ana: hello`."""
        message = self._messages[number]
        text = self.says(number).replace("\n", "↵")
        if message is None:
            return f"{number} {text}"
        return f"{number} {clock(message.at)} {self._name(message.sender)}: {text}"

    def lines(self, width: int) -> list[Line]:
        """Everything as lines of at most `width` cells."""
        return list(self._lines(max(width, 20)))

    def _lines(self, width: int) -> Iterator[Line]:
        today, at = "", 0
        for item in self._items:
            message = self._messages[item] if isinstance(item, int) else None
            at = item.at if isinstance(item, _Notice) else message.at if message else at
            if at and (date := day(at)) != today:
                today = date
                yield [("class:separator", centred(f" {date} ", "─", width))]
            if isinstance(item, _Notice):
                for text in wrap(item.text, width - 6):
                    yield [("", " " * 6), ("class:notice", text)]
            else:
                yield from self._message_lines(item, message, width)

    def _message_lines(self, number: int, message: Message | None, width: int) -> Iterator[Line]:
        if message is None:
            yield [("class:time", f"{number:>3} "), ("class:notice", "(deleted)")]
            return
        name = cut(self._name(message.sender), NAME_CELLS)
        own = message.sender == self.person
        head: Line = [
            ("class:time", f"{number:>3} {clock(message.at)} "),
            ("class:own" if own else "class:name0", name),
            ("", ": "),
        ]
        indent = sum(get_cwidth(text) for _, text in head)
        rows = wrap(self.says(number), width - indent - 2)
        for row, text in enumerate(rows):
            line: Line = [*(head if row == 0 else [("", " " * indent)]), ("", text)]
            if message.read and row == len(rows) - 1:
                line.append(("class:read", " ✓"))
            yield line

    def _quote(self, id_: str) -> str:
        number = self._numbers.get(id_)
        replied = self._messages.get(number) if number is not None else None
        if replied is None:
            return "(in reply)"
        said = replied.text or (replied.file.name if replied.file is not None else "")
        return f"(to {number} “{cut(safe_line(said), QUOTED)}”)"

    def _name(self, sender: str) -> str:
        return safe_line(sender or self.account)

    def _add(self, item: int | _Notice) -> None:
        self._items.append(item)
        if len(self._items) > KEPT:
            oldest = self._items.pop(0)
            if isinstance(oldest, int):
                del self._messages[oldest]
                self._numbers = {id_: n for id_, n in self._numbers.items() if n != oldest}
