"""What an account on Instagram is configured with; the limits are Meta's of November 2026."""

from __future__ import annotations

from ..capabilities import Rate
from ..http import Count, Seconds  # noqa: TC001 - decoding needs them
from ..meta.settings import DAY, MB, GraphSettings, TextLength, Url, Word


class InstagramSettings(GraphSettings, frozen=True, kw_only=True):
    """One professional account: by Instagram Login, unless `page_id` is given."""

    account_id: Word
    """Of the Instagram account, as its webhooks have it."""
    base_url: Url = "https://graph.instagram.com"
    page_id: str = ""
    """Of the Facebook page that the account belongs to, with Facebook Login: the token is then the
    page's, and `base_url` that of Facebook. Only so can files be uploaded."""

    human_agent: bool = False
    """Whether people write what is sent and the app may say so (`HUMAN_AGENT`): the window is then
    `human_agent_window_seconds`."""
    standby: bool = False
    """Whether to read what people write while another app has the conversation."""
    subscribed_fields: tuple[str, ...] = (
        "messages",
        "message_reactions",
        "messaging_postbacks",
        "messaging_seen",
    )
    """Of the account's webhooks, on connecting; none: that is done elsewhere."""
    text_max_bytes: TextLength = 1000
    image_types: tuple[str, ...] = ("image/png", "image/jpeg")
    audio_types: tuple[str, ...] = (
        "audio/aac",
        "audio/mp4",
        "audio/m4a",
        "audio/x-m4a",
        "audio/wav",
        "audio/x-wav",
    )
    video_types: tuple[str, ...] = (
        "video/mp4",
        "video/ogg",
        "video/x-msvideo",
        "video/quicktime",
        "video/webm",
    )
    document_types: tuple[str, ...] = ("application/pdf",)
    image_max_bytes: Count = 8 * MB
    media_max_bytes: Count = 25 * MB
    """Of sounds, videos and documents."""
    typing_seconds: Seconds = 20.0
    """For which people see that somebody types, or until something comes."""
    window_seconds: Seconds = DAY
    """After a person's message, in which they may be written to."""
    human_agent_window_seconds: Seconds = 7 * DAY
    account_rate: Rate = Rate(per_second=40, burst=40)
    """Meta takes 300 texts and 10 sounds or videos a second."""
    chat_rate: Rate = Rate(per_second=2, burst=20)
    """Meta limits single conversations too, and does not say how; this is our guess."""
