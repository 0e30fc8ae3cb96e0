"""What a message must be, whichever way it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from chat4all_protocol.codec import encode_meta
from chat4all_protocol.codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from chat4all_protocol.frames import SendBody

    from ..config import Settings

_OWN_CHANNELS: Final = frozenset({"internal", "all"})


class Unfit(Struct, frozen=True):
    """Why a message can't be taken, and the field at fault."""

    code: ErrorCode
    message: str
    field: str


def judge(
    settings: Settings,
    body: SendBody,
    meta: dict[str, Any] | None,
    channels: Sequence[str] | None,
    accounts: Collection[str],
) -> Unfit | None:
    """Why the message can't be taken, if so; `accounts` are those that there are on channels."""
    if body.text is not None and len(body.text) > settings.max_text:
        words = f"a text has at most {settings.max_text} characters"
        return Unfit(ErrorCode.TOO_LARGE, words, "body.text")
    if meta is not None and len(encode_meta(meta)) > settings.max_meta:
        return Unfit(ErrorCode.TOO_LARGE, f"meta has at most {settings.max_meta} bytes", "meta")
    for channel in channels or ():
        if channel not in _OWN_CHANNELS and channel not in accounts:
            words = f"channel {channel} is not configured"
            return Unfit(ErrorCode.CHANNEL_UNAVAILABLE, words, "channels")
    return None
