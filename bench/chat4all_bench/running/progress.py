"""One line on a terminal that tells how a run goes; nothing where there is no terminal."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final, TextIO

_CLEAR: Final = "\r\x1b[K"
_DIM: Final = "\x1b[2m"
_RED: Final = "\x1b[31m"
_PLAIN: Final = "\x1b[0m"


class Live:
    """The line. `NO_COLOR` takes its colours away."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._shown = self._stream.isatty()
        self._colours = "NO_COLOR" not in os.environ
        self.round = ""
        """What the line begins with: `chat 2/3`."""

    def say(self, what: str, *, errors: int = 0) -> None:
        """Show something in place of what was shown before."""
        if not self._shown:
            return
        room = shutil.get_terminal_size().columns - 1
        text = f"{self.round}  {what}"[:room]
        faults = f"  errors {errors:,}" if errors else ""
        if self._colours:
            text = text.replace(self.round, f"{_DIM}{self.round}{_PLAIN}", 1)
            faults = faults and f"{_RED}{faults}{_PLAIN}"
        self._stream.write(f"{_CLEAR}{text}{faults}")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away: something else is about to be written."""
        if self._shown:
            self._stream.write(_CLEAR)
            self._stream.flush()
