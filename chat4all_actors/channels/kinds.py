"""Which channels there are, and how an account of each is made.

A channel's connector is imported when an account of it is set up: those that speak HTTP take a
tenth of a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_connectors.base import Connector

    from ..config import Settings


class Kind(Struct, frozen=True, kw_only=True):
    """A channel whose connector is there."""

    settings: type[Struct]
    """What its accounts are set up with."""
    make: Callable[[Any, str, Settings], Connector]
    """From these, the account's name and the server's settings."""
    templates: bool = False
    """Whether approved templates can be sent on it."""
    calls_back: Callable[[Any], bool] = lambda settings: False
    """Whether an account with such settings tells the provider where to call back."""


def _instagram() -> Kind:
    from chat4all_connectors.instagram import Instagram, InstagramSettings

    return Kind(settings=InstagramSettings, make=lambda settings, *_: Instagram(settings))


def _loopback() -> Kind:
    from chat4all_connectors.loopback.connector import Loopback
    from chat4all_connectors.loopback.settings import LoopbackSettings

    return Kind(
        settings=LoopbackSettings,
        make=lambda settings, account, server: Loopback(
            replace(settings, socket=str(stage_path(account, server)))
        ),
        templates=True,
    )


def _messenger() -> Kind:
    from chat4all_connectors.messenger import Messenger, MessengerSettings

    return Kind(settings=MessengerSettings, make=lambda settings, *_: Messenger(settings))


def _telegram() -> Kind:
    from chat4all_connectors.telegram.connector import Telegram
    from chat4all_connectors.telegram.settings import TelegramSettings

    return Kind(
        settings=TelegramSettings,
        make=lambda settings, account, server: Telegram(
            settings, callback_url=callback_url(account, server)
        ),
        calls_back=lambda settings: settings.mode == "webhook",
    )


def _whatsapp() -> Kind:
    from chat4all_connectors.whatsapp import WhatsApp, WhatsAppSettings

    return Kind(
        settings=WhatsAppSettings, make=lambda settings, *_: WhatsApp(settings), templates=True
    )


KINDS: Final[dict[str, Callable[[], Kind]]] = {
    "instagram": _instagram,
    "loopback": _loopback,
    "messenger": _messenger,
    "telegram": _telegram,
    "whatsapp": _whatsapp,
}
"""By the channel's name."""


def stage_path(account: str, settings: Settings) -> Path:
    """Where the people of a loopback account can be played from other processes."""
    given = settings.channels.get(account, {}).get("socket")
    return Path(given or Path(settings.data_dir) / "channels" / f"{account}.sock")


def callback_path(account: str) -> str:
    """Where on this server an account's provider calls back."""
    return f"/v1/channels/{account.replace(':', '/')}/webhook"


def callback_url(account: str, settings: Settings) -> str | None:
    """The whole address, if it is known where this server is reached."""
    if settings.public_url is None:
        return None
    return settings.public_url.rstrip("/") + callback_path(account)
