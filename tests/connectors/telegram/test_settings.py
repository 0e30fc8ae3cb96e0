"""Settings are checked where they are read, and tell no secrets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from chat4all_connectors.telegram.settings import TelegramSettings, capabilities

TOKEN = "123:abc"


def read(**given: Any) -> TelegramSettings:
    return msgspec.convert({"token": TOKEN, **given}, TelegramSettings)


def test_what_the_contract_names_is_enough() -> None:
    settings = read(base_url="https://t.example/", mode="webhook", secret_token="s3cret-_")
    assert (settings.token, settings.secret_token) == (TOKEN, "s3cret-_")
    assert read(mode="polling").base_url == "https://api.telegram.org"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "secret_token is needed"),
        ({"secret_token": "no blanks"}, r"secret_token"),
        ({"mode": "pushing"}, "mode"),
        ({"mode": "polling", "token": "abc"}, "token"),
        ({"mode": "polling", "base_url": "t.example"}, "base_url"),
        ({"mode": "polling", "poll_seconds": 51}, "poll_seconds"),
        ({"mode": "polling", "tokn": "x"}, "tokn"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        read(**given)


def test_secrets_are_not_shown() -> None:
    shown = repr(read(secret_token="s3cret"))
    assert TOKEN not in shown
    assert "s3cret" not in shown


def test_limits_that_are_set_are_declared() -> None:
    able = capabilities(read(mode="polling", text_limit=100, photo_max_bytes=5, upload_max_bytes=9))
    assert able.text.fits("😀" * 50)
    assert not able.text.fits("😀" * 51)
    for mime, size, kind in [
        ("image/png", 5, "image"),
        ("image/png", 6, "document"),
        ("image/gif", 5, "document"),
        ("video/mp4", 9, "video"),
        ("video/webm", 9, "document"),
        ("audio/ogg", 9, "audio"),
    ]:
        limit = able.media_for(mime, size)
        assert limit is not None
        assert limit.kind == kind
    assert able.media_for("video/mp4", 10) is None
