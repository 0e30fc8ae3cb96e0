"""How texts are made to fit a channel, and what is said in place of what it can't carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wcwidth import grapheme_boundary_before

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .capabilities import TextLimit

_FULL: Final = 0.5
"""How full a part is at least, if it ends at a good place."""


def split_text(text: str, limit: TextLimit) -> list[str]:
    """A text in parts that fit, in order; one that fits is left as it is.

    It is split between paragraphs, else lines, else words, wherever that makes a part at least half
    full, else between characters as people see them: an accent, a skin tone or a flag is never
    torn off, unless there are so many that they do not fit together. Blanks around the places
    where it is split are left out, and so are parts that have nothing else.

    Args:
        limit: Of at least 4, so that any one character fits.
    """
    if limit.fits(text):
        return [text]
    parts: list[str] = []
    start = 0
    while start < len(text):
        end = _furthest(text, start, limit)
        if end < len(text):
            end = _good_end(text, start, end)
        part = text[start:end].rstrip()
        if start > 0:
            # Only line ends after one, as blanks that begin a line mean something.
            part = part.lstrip("\r\n") if part.startswith(("\r", "\n")) else part.lstrip()
        if part:
            parts.append(part)
        start = end
    return parts


def _furthest(text: str, start: int, limit: TextLimit) -> int:
    """How far a part may reach that begins there."""
    # A character takes one unit at least.
    low, high = start, min(len(text), start + limit.most)
    while low < high:
        middle = (low + high + 1) // 2
        if limit.fits(text[start:middle]):
            low = middle
        else:
            high = middle - 1
    return max(low, start + 1)


def _good_end(text: str, start: int, end: int) -> int:
    """The best place to end a part that may reach up to `end`."""
    least = start + int((end - start) * _FULL)
    for blank in ("\n\n", "\n", " "):
        # A blank may lie behind the end, as it is left out.
        found = text.rfind(blank, least, end + len(blank))
        if found > start:
            return found
    boundary = grapheme_boundary_before(text, end + 1)
    return boundary if boundary > start else end


# --- notes: what is said in place of what can't be carried over --------------------------------


def location(latitude: float, longitude: float, name: str = "", address: str = "") -> str:
    """`a location: Sé, Praça da Sé 1 (-23.5504, -46.6339)`."""
    place = f"{latitude:.6g}, {longitude:.6g}"
    named = ", ".join(part for part in (name, address) if part)
    return f"a location: {named} ({place})" if named else f"a location: {place}"


def contact(name: str, phones: Iterable[str] = ()) -> str:
    """`a contact: Ana Silva, +55 11 99999-0000`."""
    return "a contact: " + ", ".join(part for part in (name, *phones) if part)


def poll(question: str, options: Sequence[str]) -> str:
    """`a poll: Where do we meet? 1. Here 2. There`."""
    numbered = " ".join(f"{number}. {option}" for number, option in enumerate(options, 1))
    return f"a poll: {question} {numbered}".rstrip()


def too_large(name: str, size: int) -> str:
    """`film.mp4 (31.5 MB), which is too large to come here`."""
    return f"{name} ({size / 1_000_000:.1f} MB), which is too large to come here"


def other(what: str) -> str:
    """`a story, which can't be shown here`."""
    return f"{what}, which can't be shown here"
