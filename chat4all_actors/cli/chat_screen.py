"""The terminal: a page of messages above a line to type in, by prompt_toolkit in its own thread.

prompt_toolkit lives on asyncio, the client on trio. The page is drawn from a `View` that the trio
side changes; only whole renderings are handed over, under a lock. Keys go back as calls.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final, Protocol

import trio
from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.data_structures import Point
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import (
    BufferControl,
    Dimension,
    FormattedTextControl,
    HSplit,
    Layout,
    UIContent,
    UIControl,
    VSplit,
    Window,
)
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

from .chat_view import COLOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyPressEvent

    from .chat_view import Line

PROMPT: Final = "> "
INPUT_ROWS: Final = 5
"""The most rows that a long text takes while it is typed."""
TRANSFER_ROWS: Final = 3
"""The most files on their way that are shown."""

_STYLE: Final = Style.from_dict(
    {
        "time": "ansibrightblack",
        "separator": "ansibrightblack",
        "notice": "italic ansibrightblack",
        "unread": "bold ansired",
        "own": "bold",
        "mark": "ansibrightblack",
        "read": "ansiblue bold",
        "failed": "ansired",
        "transfer": "ansicyan",
        "typing": "italic ansibrightblack",
        "status": "reverse",
        **{f"name{number}": f"bold ansi{colour}" for number, colour in enumerate(COLOURS)},
    }
)


class View(Protocol):
    """What is on the page."""

    def lines(self, width: int) -> list[Line]:
        """All of it as lines of at most `width` cells."""
        ...


class _Page(UIControl):
    """The end of the conversation, or what was scrolled to."""

    def __init__(self, view: View, lock: threading.RLock) -> None:
        self._view = view
        self._lock = lock
        self._height = 1
        self.scroll = 0
        """Lines below the page."""

    def create_content(self, width: int, height: int) -> UIContent:
        with self._lock:
            lines: list[StyleAndTextTuples] = [[*line] for line in self._view.lines(width)]
        self._height = height
        self.scroll = max(0, min(self.scroll, len(lines) - height))
        end = len(lines) - self.scroll
        shown = lines[max(0, end - height) : end]
        blank: StyleAndTextTuples = [("", "")]
        shown = [blank] * (height - len(shown)) + shown
        return UIContent(
            get_line=lambda number: shown[number],
            line_count=len(shown),
            cursor_position=Point(0, len(shown) - 1),
            show_cursor=False,
        )

    def turn(self, pages: int) -> None:
        """Scroll by pages, up for positive numbers; `create_content` keeps it in range."""
        self.scroll = max(0, self.scroll + pages * max(1, self._height - 2))


class Screen:
    """The screen of one chat."""

    def __init__(
        self,
        view: View,
        *,
        entered: Callable[[str], None],
        typed: Callable[[], None],
        colour: bool,
    ) -> None:
        self.lock = threading.RLock()
        """Held while the view is drawn: hold it while changing the view. Guards `_loop`, too."""
        self._entered = entered
        self._typed = typed
        self._status = ""
        self._typing = ""
        self._transfers: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._page = _Page(view, self.lock)
        self._input = Buffer(multiline=True, on_text_changed=self._changed)
        self._application: Application[None] = Application(
            layout=self._layout(),
            key_bindings=self._keys(),
            style=_STYLE,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
            full_screen=True,
            terminal_size_polling_interval=0.5,
        )

    async def run(self) -> None:
        """Show it until the user leaves, or `close`."""
        self._trio = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._close_when_cancelled)
            # Not cancellable: the thread has to put the terminal back in order.
            await trio.to_thread.run_sync(self._run_application)
            nursery.cancel_scope.cancel()

    def show(self, status: str, typing: str, transfers: Sequence[str] = ()) -> None:
        """Draw anew, with these lines below the page."""
        self._status, self._typing = status, typing
        self._transfers = [*transfers[-TRANSFER_ROWS:]]
        self._call(self._application.invalidate)

    def close(self) -> None:
        """Leave."""
        self._closed = True
        self._call(self._exit)

    def _call(self, function: Callable[[], None]) -> None:
        with self.lock:  # the loop is not closed meanwhile
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)

    async def _close_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.close()

    # --- in the thread --------------------------------------------------------------------------

    def _run_application(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await self._application.run_async(handle_sigint=False, pre_run=self._started)
        finally:
            with self.lock:
                self._loop = None

    def _started(self) -> None:
        if self._closed:
            self._exit()

    def _exit(self) -> None:
        if self._application.is_running and not self._application.is_done:
            self._application.exit()

    def _changed(self, buffer: Buffer) -> None:
        if buffer.text and not buffer.text.startswith("/"):
            self._trio.run_sync_soon(self._typed, idempotent=True)

    def _layout(self) -> Layout:
        text = Window(
            BufferControl(self._input),
            wrap_lines=True,
            height=self._input_height,
            dont_extend_height=True,
        )
        prompt = Window(FormattedTextControl(PROMPT), width=len(PROMPT), dont_extend_width=True)
        rows = HSplit(
            [
                Window(self._page),
                Window(FormattedTextControl(lambda: [("class:typing", self._typing)]), height=1),
                Window(
                    FormattedTextControl(lambda: "\n".join(self._transfers)),
                    height=lambda: Dimension.exact(len(self._transfers)),
                    style="class:transfer",
                ),
                Window(FormattedTextControl(self._status_line), height=1, style="class:status"),
                VSplit([prompt, text]),
            ]
        )
        return Layout(rows, focused_element=text)

    def _input_height(self) -> Dimension:
        return Dimension(min=1, max=INPUT_ROWS)

    def _status_line(self) -> StyleAndTextTuples:
        below = f"  ↓ {self._page.scroll} lines below (PageDown)" if self._page.scroll else ""
        return [("class:status", f" {self._status}{below}")]

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def _enter(event: KeyPressEvent) -> None:
            text = self._input.text
            self._input.reset(append_to_history=bool(text.strip()))
            self._page.scroll = 0
            if text.strip():
                self._trio.run_sync_soon(self._entered, text)

        @keys.add("escape", "enter")
        def _new_line(event: KeyPressEvent) -> None:
            self._input.insert_text("\n")

        @keys.add("c-c")
        def _interrupt(event: KeyPressEvent) -> None:
            event.app.exit()

        @keys.add("c-d")
        def _end(event: KeyPressEvent) -> None:
            if not self._input.text:
                event.app.exit()

        @keys.add("pageup")
        def _up(event: KeyPressEvent) -> None:
            self._page.turn(1)

        @keys.add("pagedown")
        def _down(event: KeyPressEvent) -> None:
            self._page.turn(-1)

        return keys
