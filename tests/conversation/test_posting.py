"""What a message must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chat4all_actors.config import Settings
from chat4all_actors.conversation.posting import judge
from chat4all_protocol.frames import FileBody, TextBody

if TYPE_CHECKING:
    from chat4all_protocol.frames import SendBody

SETTINGS = Settings(max_text=5, max_meta=10)
TEXT = TextBody("12345")


@pytest.mark.parametrize(
    ("body", "meta", "channels", "refused"),
    [
        (TEXT, None, None, None),
        (TextBody("äöüß!"), None, None, None),
        (TEXT, {"a": "b"}, ["internal", "all"], None),
        (TextBody("123456"), None, None, ("TOO_LARGE", "body.text")),
        (FileBody("id"), None, None, None),
        (FileBody("id", "12345"), None, None, None),
        (FileBody("id", "123456"), None, None, ("TOO_LARGE", "body.text")),
        (TEXT, {"a": "1234567"}, None, ("TOO_LARGE", "meta")),
        (TEXT, {"a": "123456"}, None, None),
        (TEXT, None, ["internal", "telegram:support"], None),
        (TEXT, None, ["telegram"], ("CHANNEL_UNAVAILABLE", "channels")),
        (TEXT, None, ["internal", "whatsapp"], ("CHANNEL_UNAVAILABLE", "channels")),
    ],
)
def test_a_refusal_names_the_field_at_fault_and_says_why(
    body: SendBody,
    meta: dict[str, Any] | None,
    channels: list[str] | None,
    refused: tuple[str, str] | None,
) -> None:
    unfit = judge(SETTINGS, body, meta, channels, {"telegram:support"})
    assert (None if unfit is None else (unfit.code, unfit.field)) == refused
    assert unfit is None or unfit.message
