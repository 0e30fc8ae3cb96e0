"""What a loopback account is set up with."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from chat4all_connectors.capabilities import ANY_TYPE, Capabilities, MediaLimit, Rate, TextLimit

Count = Annotated[int, Meta(ge=1)]


class LoopbackSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[channels.loopback]`: everything has a default."""

    name: str = "loopback"
    """Of the account, to its people."""
    text_limit: Annotated[int, Meta(ge=4)] = 4096
    """Characters."""
    media_max_bytes: Count = 16 * 1024 * 1024
    delete_within: float | None = None
    window: float | None = None
    """Seconds for which people may be written to after they wrote; None: always."""
    delivers: bool = True
    """Whether it is told at once that messages have arrived."""
    per_second: Annotated[float, Meta(gt=0)] = 1000.0
    """Of one chat, and of all."""

    socket: str | None = None
    """The path of a Unix socket at which other processes can play its people; None: none can.

    Whoever is written to is there then, whether somebody has played them yet or not.
    """
    players: Count = 16
    """Who play at once."""

    # --- what is kept

    people_kept: Count = 10_000
    """Nobody more is there only because of being written to."""
    messages_kept: Count = 1000
    """In each chat."""
    events_kept: Count = 10_000
    """That nobody has polled; then the oldest are lost."""
    files_kept_bytes: Count = 64 * 1024 * 1024
    """Of all files together; then the oldest are empty."""


def capabilities(settings: LoopbackSettings) -> Capabilities:
    """Everything that there is."""
    most = settings.media_max_bytes
    rate = Rate(settings.per_second, max(1, int(settings.per_second)))
    return Capabilities(
        text=TextLimit(settings.text_limit),
        caption=TextLimit(settings.text_limit),
        media=(
            MediaLimit("image", ("image/*",), most),
            MediaLimit("video", ("video/*",), most),
            MediaLimit("audio", ("audio/*",), most),
            MediaLimit("document", ANY_TYPE, most),
        ),
        reply=True,
        edit=True,
        delete=True,
        delete_within=settings.delete_within,
        reaction=True,
        typing=5.0,
        mark_read=True,
        delivered="message",
        read="message",
        window=settings.window,
        starts=settings.window is None,
        templates=True,
        groups=True,
        account_rate=rate,
        chat_rate=rate,
    )
