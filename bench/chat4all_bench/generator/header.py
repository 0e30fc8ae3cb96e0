"""The beginning of every message's text: whose it is, which, and when it was due.

Digits of fixed width, so that making and reading it costs little and no dialect must escape it:
`#TAGxx SSSS NNNNNNNN DDDDDDDDDDDDDDD` without the spaces. The tag tells rounds apart.
"""

from __future__ import annotations

from typing import Final

TAG: Final = 6
"""Characters."""
_SPEAKER: Final = TAG + 4
SIZE: Final = _SPEAKER + 8 + 15
"""Characters of the whole header, and the least that a text has."""
_DUE: Final = 10**15
"""Of what `due` is the rest."""


def tag_of(seed: int, round_: int) -> str:
    """Six characters that stand for a round of a run."""
    return f"#{(seed * 0x9E3779B1 + round_ * 0x85EBCA6B) % 0xFFFFF:05x}"


def write(tag: str, speaker: int, number: int, due: int, padding: str = "") -> str:
    """Write a text that says so; `due` is microseconds of the monotonic clock."""
    return f"{tag}{speaker:04d}{number * _DUE + due:023d}{padding}"  # one number for two: quicker


def read(text: str, tag: str) -> tuple[int, int, int] | None:
    """(speaker, number, due), or None for a text of somebody else's."""
    if text[:TAG] != tag:
        return None
    number, due = divmod(int(text[_SPEAKER:SIZE]), _DUE)
    return int(text[TAG:_SPEAKER]), number, due


def padding(text_bytes: int) -> str:
    """What makes a text so long: letters and spaces, as people write."""
    words = "the quick brown fox jumps over the lazy dog "
    missing = max(0, text_bytes - SIZE)
    return (words * (missing // len(words) + 1))[:missing]
