"""Fields of Meta's JSON, with bounds: what is beyond them is no update of Meta's."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from msgspec import Meta

_SECOND: Final = 1000

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512)]
"""Of a message, a person, an account or a file. None is nearly as long as that."""
Seconds: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]{1,11}$")]
"""Since the epoch, as WhatsApp writes them."""
Millis: TypeAlias = Annotated[int, Meta(ge=0, lt=10**14)]
"""Since the epoch, as Messenger and Instagram write them."""


def millis(seconds: Seconds) -> int:
    """WhatsApp's time in our unit."""
    return int(seconds) * _SECOND
