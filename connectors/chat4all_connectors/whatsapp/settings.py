"""What a WhatsApp account is configured with; the limits are the provider's of November 2026."""

from __future__ import annotations

from ..capabilities import Rate
from ..http import Count, Seconds  # noqa: TC001 - decoding needs them
from ..meta.settings import DAY, MB, GraphSettings, TextLength, Word


class WhatsAppSettings(GraphSettings, frozen=True, kw_only=True):
    """One business number."""

    phone_number_id: Word
    """Of the number: not the number itself."""
    waba_id: str = ""
    """Of the WhatsApp business account, if its webhooks are to be subscribed to on connecting;
    otherwise that is done in Meta's app dashboard."""

    preview_urls: bool = True
    """Whether the first address in a text is shown with a preview."""
    text_max: TextLength = 4096
    caption_max: TextLength = 1024
    image_types: tuple[str, ...] = ("image/jpeg", "image/png")
    video_types: tuple[str, ...] = ("video/mp4", "video/3gpp")
    audio_types: tuple[str, ...] = (
        "audio/aac",
        "audio/amr",
        "audio/mpeg",
        "audio/mp4",
        "audio/ogg",
    )
    document_types: tuple[str, ...] = (
        "text/plain",
        "application/pdf",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    )
    image_max_bytes: Count = 5 * MB
    video_max_bytes: Count = 16 * MB
    audio_max_bytes: Count = 16 * MB
    document_max_bytes: Count = 100 * MB
    typing_seconds: Seconds = 25.0
    """For which people see that somebody types, or until something comes."""
    window_seconds: Seconds = DAY
    """After a person's message, in which anything may be sent to them."""
    account_rate: Rate = Rate(per_second=80, burst=80)
    """In and out together; Meta raises it up to 1000, and lowers it to 20 for numbers that are
    also used in the Business app."""
    chat_rate: Rate = Rate(per_second=1 / 6, burst=45)
    """To one person; what a burst takes is held back afterwards."""
    spam_pause_seconds: Seconds = 3600.0
    """For which nothing is sent after Meta took what was sent for spam; it does not say for how
    long, and calls in the meantime prolong it."""
    ecosystem_pause_seconds: Seconds = DAY
    """For which a person is sent nothing after Meta held a message back as one too many for
    them: at least a day, it says."""
