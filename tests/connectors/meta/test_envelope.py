from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw, Struct

from chat4all_connectors.base import WebhookCall
from chat4all_connectors.errors import WebhookRefused
from chat4all_connectors.incoming import AccountNotice
from chat4all_connectors.meta.envelope import (
    Unreadable,
    confirm,
    entries,
    fingerprint,
    read,
    unreadable,
)
from chat4all_connectors.meta.settings import GraphSettings
from chat4all_connectors.meta.signature import HEADER, sign

SETTINGS = GraphSettings(access_token="t", app_secret="secret", verify_token="verify")


def question(**changed: str) -> WebhookCall:
    query = {"hub.mode": "subscribe", "hub.challenge": "115820", "hub.verify_token": "verify"}
    query |= {name.replace("_", ".", 1): value for name, value in changed.items()}
    return WebhookCall("GET", {k: v for k, v in query.items() if v}, {}, b"")


def signed(content: Any) -> WebhookCall:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return WebhookCall("POST", {}, {HEADER: sign("secret", body)}, body)


def status_of(call: WebhookCall, object_: str = "page") -> int:
    with pytest.raises(WebhookRefused) as caught:
        entries(call, object_, SETTINGS)
    return caught.value.status


def test_metas_question_is_answered_with_its_challenge() -> None:
    answer = confirm(question(), "verify")
    assert (answer.status, answer.body, answer.media_type) == (200, b"115820", "text/plain")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"hub_verify_token": "other"}, 403),
        ({"hub_verify_token": ""}, 403),
        ({"hub_mode": "unsubscribe"}, 400),
        ({"hub_challenge": ""}, 400),
    ],
)
def test_another_question_is_refused(changed: dict[str, str], status: int) -> None:
    with pytest.raises(WebhookRefused) as caught:
        confirm(question(**changed), "verify")
    assert caught.value.status == status


def test_entries_have_their_updates_as_they_came() -> None:
    content = {
        "object": "page",
        "entry": [
            {"id": "1", "time": 5, "messaging": [{"a": 1}], "standby": [{"b": 2}]},
            {"id": "2", "changes": [{"field": "messages", "value": {"c": "\u00e9"}}]},
        ],
    }
    first, second = entries(signed(content), "page", SETTINGS)
    assert [bytes(raw) for raw in first.messaging] == [b'{"a": 1}']
    assert [bytes(raw) for raw in first.standby] == [b'{"b": 2}']
    assert bytes(second.changes[0].value) == b'{"c": "\\u00e9"}'


def test_only_what_is_signed_is_read() -> None:
    call = signed({"object": "page", "entry": []})
    assert status_of(WebhookCall("POST", {}, {}, call.body)) == 401
    assert status_of(WebhookCall("POST", {}, call.headers, call.body + b" ")) == 401


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"{}", b'{"object":"page"}', {"object": "page", "entry": [{}]}],
)
def test_what_can_not_be_read_is_refused(content: Any) -> None:
    assert status_of(signed(content)) == 400


def test_what_is_about_something_else_is_refused() -> None:
    assert status_of(signed({"object": "instagram", "entry": []})) == 400


def test_what_is_too_large_is_refused() -> None:
    assert status_of(signed(b" " * (SETTINGS.webhook_max_bytes + 1))) == 413
    many: list[dict[str, Any]] = [
        {"id": "1", "messaging": [{}] * 600},
        {"id": "1", "standby": [{}] * 401},
    ]
    assert status_of(signed({"object": "page", "entry": many})) == 413
    many[1]["standby"] = [{}] * 400
    assert len(entries(signed({"object": "page", "entry": many}), "page", SETTINGS)) == 2
    whole = b'{"object":"page","entry":[]}'.ljust(SETTINGS.webhook_max_bytes)
    assert list(entries(signed(whole), "page", SETTINGS)) == []


class Thing(Struct):
    number: int


def test_an_update_of_another_form_is_told_without_what_is_in_it() -> None:
    raw = Raw(b'{"number":"private"}')
    with pytest.raises(Unreadable) as caught:
        read(raw, Thing)
    [event] = unreadable(raw, 5, caught.value)
    assert isinstance(event, AccountNotice)
    assert (event.at, event.severity) == (5, "warning")
    assert "number" in str(event)
    assert "private" not in str(event)
    assert event.key.endswith(fingerprint(raw))
    assert len(fingerprint(raw)) == 32


def test_numbers_may_be_strings_only_if_that_is_said() -> None:
    raw = Raw(b'{"number":"7"}')
    assert read(raw, Thing, strict=False) == Thing(7)
    with pytest.raises(Unreadable):
        read(raw, Thing)
