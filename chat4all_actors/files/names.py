"""What users call their files, made fit to be shown: never a path, and nothing that misleads."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import filetype

from .kinds import UNKNOWN

MAX_NAME: Final = 255
"""Characters."""
UNNAMED: Final = "file"
"""What a file is called whose name has nothing to show."""

_FAMILIES: Final = frozenset({"image", "video", "audio"})
_SEPARATORS: Final = re.compile(r"[/\\]")
_JOINERS: Final = "\u200c\u200d"
"""Format characters that scripts and emoji need; others are invisible, or turn the text around."""
_LEFT_OUT: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def clean_name(told: str) -> str:
    """The last part of what may be a path, without what can't be seen; at least one character."""
    name = _SEPARATORS.split(told)[-1]
    kept = "".join(
        char for char in name if char in _JOINERS or unicodedata.category(char) not in _LEFT_OUT
    )
    kept = kept.strip()
    return UNNAMED if not kept.strip("." + _JOINERS) else kept[:MAX_NAME]


def name_for(mime: str) -> str:
    """What a file of this type is called that came without a name: `image.jpg`."""
    family = mime.partition("/")[0]
    kind = None if mime == UNKNOWN else filetype.get_type(mime)
    stem = family if family in _FAMILIES else UNNAMED
    return stem if kind is None else f"{stem}.{kind.extension}"
