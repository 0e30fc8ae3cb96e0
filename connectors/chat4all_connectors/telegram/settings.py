"""What an account on Telegram is set up with; every limit of the provider's can be changed."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from chat4all_connectors.capabilities import ANY_TYPE, Capabilities, MediaLimit, Rate, TextLimit
from chat4all_connectors.http import Count, HttpSettings, Seconds

MEGABYTE = 1024 * 1024


class TelegramSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[channels.telegram]`. The limits are those of the Bot API as of its version 10."""

    token: Annotated[str, Meta(pattern=r"^[0-9]+:[A-Za-z0-9_-]+$")]
    """As the provider's BotFather gives it."""
    base_url: Annotated[str, Meta(pattern=r"^https?://[^/]+(/.*)?$")] = "https://api.telegram.org"
    """Of any server that speaks the Bot API."""
    mode: Literal["webhook", "polling"] = "webhook"
    secret_token: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,256}$")] = ""
    """Comes with each webhook call; needed for them."""

    # --- how it is called

    http: HttpSettings = HttpSettings()
    poll_seconds: Annotated[int, Meta(ge=1, le=50)] = 25
    """For which a poll waits at the provider."""
    poll_limit: Annotated[int, Meta(ge=1, le=100)] = 100
    """Updates that one poll brings."""
    webhook_connections: Annotated[int, Meta(ge=1, le=100)] = 40
    """Webhook calls that the provider makes at once."""
    late_updates: Count = 1000
    """Updates that wait at the provider from which on the account is `degraded`."""

    # --- limits

    text_limit: Annotated[int, Meta(ge=4)] = 4096
    caption_limit: Annotated[int, Meta(ge=4)] = 1024
    photo_max_bytes: Count = 10 * MEGABYTE
    upload_max_bytes: Count = 50 * MEGABYTE
    download_max_bytes: Count = 20 * MEGABYTE
    delete_within: Seconds = 48 * 3600.0
    """Seconds."""
    account_per_second: Annotated[float, Meta(gt=0)] = 30.0
    chat_per_second: Annotated[float, Meta(gt=0)] = 1.0
    """In groups the provider takes 20 a minute; it says so when it does not take more."""
    chat_burst: Count = 3
    """Short bursts pass."""

    def __post_init__(self) -> None:
        """See that what comes in can be told from what others send.

        Raises:
            ValueError: it can't.
        """
        if self.mode == "webhook" and not self.secret_token:
            raise ValueError('secret_token is needed with mode = "webhook"')

    def __repr__(self) -> str:
        return f"TelegramSettings(base_url={self.base_url!r}, mode={self.mode!r}, …)"


def capabilities(settings: TelegramSettings) -> Capabilities:
    """What Telegram carries. A text's length is that of UTF-16, as in its own clients.

    A bot is told nothing of what people received, read or deleted, and can't write to a person
    before that person has written to it.
    """
    most = settings.upload_max_bytes
    return Capabilities(
        text=TextLimit(settings.text_limit, "utf16"),
        caption=TextLimit(settings.caption_limit, "utf16"),
        media=(
            MediaLimit(
                "image", ("image/jpeg", "image/png", "image/webp"), settings.photo_max_bytes
            ),
            MediaLimit("video", ("video/mp4",), most),
            MediaLimit("audio", ("audio/mpeg", "audio/mp4", "audio/x-m4a", "audio/ogg"), most),
            MediaLimit("document", ANY_TYPE, most),
        ),
        reply=True,
        edit=True,
        delete=True,
        delete_within=settings.delete_within,
        reaction=True,
        typing=5.0,
        groups=True,
        account_rate=Rate(settings.account_per_second, max(1, int(settings.account_per_second))),
        chat_rate=Rate(settings.chat_per_second, settings.chat_burst),
    )
