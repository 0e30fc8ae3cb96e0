"""What every account at Meta is configured with."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct, field

from ..http import Count, HttpSettings, Seconds

MB: Final = 1_000_000
"""Meta's limits are told in MB; where it means more than this, less is taken than could be."""
DAY: Final = 24 * 3600.0
"""In seconds."""

Url: TypeAlias = Annotated[str, Meta(pattern=r"^https?://[^/]+(/.*)?$")]
Word: TypeAlias = Annotated[str, Meta(min_length=1)]
TextLength: TypeAlias = Annotated[int, Meta(ge=4)]
"""So that any one character fits."""


class GraphSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one account. Its text (`repr`) has no secret in it."""

    access_token: Word
    app_secret: Word
    """Of the app: webhooks are signed with it (`X-Hub-Signature-256`)."""
    verify_token: Word
    """What Meta says when the callback address is entered there (`hub.verify_token`)."""
    base_url: Url = "https://graph.facebook.com"
    """Any server that speaks the Graph API."""
    version: Annotated[str, Meta(pattern=r"^v[0-9]+\.[0-9]+$")] = "v26.0"

    http: HttpSettings = field(default_factory=HttpSettings)
    appsecret_proof: bool = False
    """Whether calls prove that they know the app secret: for apps that demand it."""
    token_expires_at: int | None = None
    """When the access token ends, in seconds since the epoch; None: it does not, or who knows."""
    token_warning_seconds: Seconds = 7 * DAY
    """Before its end, in which the account's health is `token_expiring`."""
    usage_warning_percent: Annotated[float, Meta(gt=0, le=100)] = 90.0
    """Of Meta's limits, from which on the account's health is `degraded`."""
    webhook_max_bytes: Count = 4 * 1024 * 1024
    """Of a webhook call: WhatsApp's have up to 3 MB."""
    webhook_max_updates: Count = 1000
    """In one webhook call; Meta sends no more."""
    download_max_bytes: Count = 100 * MB
    """Of a file that came in: WhatsApp's largest are documents of 100 MB."""
    media_hosts: tuple[str, ...] = (
        "*.fbsbx.com",
        "*.fbcdn.net",
        "*.whatsapp.net",
        "*.cdninstagram.com",
    )
    """From where files that came in are fetched, with `*` for any; beside them, from `base_url`.

    Where files lie is told by Meta in each case, so a file from elsewhere, or the access token
    to elsewhere, is a mistake or an attack.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url}, {self.version})"
