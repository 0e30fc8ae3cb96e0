from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from chat4all_connectors.instagram import InstagramSettings
from chat4all_connectors.messenger import MessengerSettings
from chat4all_connectors.whatsapp import WhatsAppSettings

if TYPE_CHECKING:
    from chat4all_connectors.meta.settings import GraphSettings

SECRETS = {"access_token": "EAAx", "app_secret": "s3cr3t", "verify_token": "v3r1fy"}
ACCOUNTS: list[tuple[type[GraphSettings], dict[str, Any], str]] = [
    (WhatsAppSettings, {"phone_number_id": "1"}, "https://graph.facebook.com"),
    (MessengerSettings, {"page_id": "1"}, "https://graph.facebook.com"),
    (InstagramSettings, {"account_id": "1"}, "https://graph.instagram.com"),
]


@pytest.mark.parametrize(("type_", "id_", "base_url"), ACCOUNTS)
def test_what_the_file_has_to_say_is_enough(
    type_: type[GraphSettings], id_: dict[str, Any], base_url: str
) -> None:
    settings = msgspec.convert({**SECRETS, **id_}, type_)
    assert settings.base_url == base_url
    assert settings.version == "v26.0"


@pytest.mark.parametrize(("type_", "id_", "base_url"), ACCOUNTS)
def test_limits_can_be_given_too(
    type_: type[GraphSettings], id_: dict[str, Any], base_url: str
) -> None:
    given = {**SECRETS, **id_, "version": "v27.0", "chat_rate": {"per_second": 1, "burst": 2}}
    settings = msgspec.convert({**given, "http": {"read_seconds": 5}}, type_)
    assert (settings.version, settings.http.read_seconds) == ("v27.0", 5)


@pytest.mark.parametrize(("type_", "id_", "base_url"), ACCOUNTS)
def test_no_secret_is_in_their_text(
    type_: type[GraphSettings], id_: dict[str, Any], base_url: str
) -> None:
    text = repr(msgspec.convert({**SECRETS, **id_}, type_))
    assert not [secret for secret in SECRETS.values() if secret in text]


@pytest.mark.parametrize(("type_", "id_", "base_url"), ACCOUNTS)
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("access_token", ""),
        ("base_url", "graph.facebook.com"),
        ("version", "26"),
        ("chat_rate", {"per_second": 0, "burst": 1}),
        ("http", {"read_seconds": 0}),
        ("window_second", 1),
    ],
)
def test_what_can_not_be_meant_is_refused(
    type_: type[GraphSettings], id_: dict[str, Any], base_url: str, setting: str, value: object
) -> None:
    with pytest.raises(msgspec.ValidationError, match=setting):
        msgspec.convert({**SECRETS, **id_, setting: value}, type_)
