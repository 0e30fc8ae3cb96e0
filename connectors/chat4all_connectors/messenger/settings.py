"""What a page on Messenger is configured with; the limits are Meta's of November 2026."""

from __future__ import annotations

from ..capabilities import Rate
from ..http import Count, Seconds  # noqa: TC001 - decoding needs them
from ..meta.settings import DAY, MB, GraphSettings, TextLength, Word


class MessengerSettings(GraphSettings, frozen=True, kw_only=True):
    """One Facebook page, with a page access token."""

    page_id: Word

    human_agent: bool = False
    """Whether people write what is sent and the app may say so (`HUMAN_AGENT`): the window is then
    `human_agent_window_seconds`."""
    standby: bool = False
    """Whether to read what people write while another app has the conversation."""
    subscribed_fields: tuple[str, ...] = (
        "messages",
        "message_echoes",
        "message_deliveries",
        "message_reads",
        "message_reactions",
        "message_edits",
        "messaging_postbacks",
    )
    """Of the page's webhooks, on connecting; none: that is done elsewhere."""
    text_max: TextLength = 1999
    """Meta says: fewer than 2000."""
    image_types: tuple[str, ...] = ("image/jpeg", "image/png", "image/gif")
    """What is shown as an image; of other kinds every type is taken."""
    media_max_bytes: Count = 25 * MB
    typing_seconds: Seconds = 20.0
    """For which people see that somebody types, or until something comes."""
    window_seconds: Seconds = DAY
    """After a person's message, in which they may be written to."""
    human_agent_window_seconds: Seconds = 7 * DAY
    account_rate: Rate = Rate(per_second=40, burst=40)
    """Meta takes 300 texts and 10 sounds or videos a second; beyond 40 a second the page's inbox
    stops to work."""
    chat_rate: Rate = Rate(per_second=2, burst=20)
    """Meta limits single conversations too, and does not say how; this is our guess."""
