"""Reactions to the messages of a chat: who has put which, and how they are shown. Without I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .chat_text import safe_line

if TYPE_CHECKING:
    from chat4all_protocol.frames import Msg


class Reactions:
    """Of one conversation; its events may come in any order."""

    def __init__(self) -> None:
        self._said: dict[int, dict[tuple[str, str], tuple[int, bool]]] = {}
        """By message, then by who and which: the last event about it, and whether it was put."""

    def happened(self, event: Msg) -> None:
        """Take note of a `react` event."""
        meta = event.meta or {}  # none of somebody who was erased
        emoji, on = meta.get("emoji"), meta.get("on")
        if event.target is None or not isinstance(emoji, str) or not isinstance(on, bool):
            return
        said = self._said.setdefault(event.target, {})
        key = (event.from_, emoji)
        said[key] = max(said.get(key, (0, False)), (event.seq, on))

    def stands(self, seq: int, user: str, emoji: str) -> bool:
        """Whether this reaction is put to the message at `seq`."""
        return self._said.get(seq, {}).get((user, emoji), (0, False))[1]

    def shown(self, seq: int) -> str:
        """Those that stand at a message, made safe: `👍 2 🎉`; the first that was put is first."""
        said = self._said.get(seq, {})
        standing = sorted((at, emoji) for (_, emoji), (at, on) in said.items() if on)
        counts: dict[str, int] = {}
        for _, emoji in standing:
            counts[emoji] = counts.get(emoji, 0) + 1
        return " ".join(
            safe_line(emoji) + (f" {count}" if count > 1 else "") for emoji, count in counts.items()
        )


def wanted(arguments: str) -> tuple[int, str] | None:
    """What `/react [N] EMOJI` asks for: the message, counted from the last one up, and the emoji.

    None if it is said in another way.
    """
    words = arguments.split()
    if len(words) == 1 and not words[0].isdecimal():
        return 1, words[0]
    if len(words) == 2 and re.fullmatch("[1-9][0-9]{0,8}", words[0]):
        return int(words[0]), words[1]
    return None
