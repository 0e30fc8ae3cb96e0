"""The fake takes what the Bot API takes, and says of the rest what it says."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.fakes.telegram.methods import Methods
from tests.fakes.telegram.parameters import Bad, Parameters, Sent, parse
from tests.fakes.telegram.world import World

ANA = 7


@pytest.fixture
def methods() -> Methods:
    world = World({"id": 1, "is_bot": True, "first_name": "bot"}, lambda *_: None)
    world.user(ANA, first_name="Ana")
    world.say(ANA, ANA, {"text": "/start"})
    return Methods(world, time.time)


def refusal(methods: Methods, method: str, **values: Any) -> tuple[int, str]:
    with pytest.raises(Bad) as caught:
        methods.call(method, Parameters(values))
    return caught.value.code, caught.value.description


def test_a_message_comes_back_with_its_number_in_the_chat(methods: Methods) -> None:
    sent = methods.call("SENDMESSAGE", Parameters({"chat_id": str(ANA), "text": " hi "}))
    assert (sent["message_id"], sent["text"], sent["chat"]["id"]) == (2, "hi", ANA)


@pytest.mark.parametrize(
    ("method", "values", "description"),
    [
        ("sendMessage", {"text": "hi"}, "chat_id is empty"),
        ("sendMessage", {"chat_id": 99, "text": "hi"}, "chat not found"),
        ("sendMessage", {"chat_id": "@x", "text": "hi"}, "chat not found"),
        ("sendMessage", {"chat_id": ANA}, "message text is empty"),
        ("sendMessage", {"chat_id": ANA, "text": " \n"}, "message text is empty"),
        ("sendMessage", {"chat_id": ANA, "text": "x" * 4097}, "message is too long"),
        ("sendMessage", {"chat_id": ANA, "text": "😀" * 2049}, "message is too long"),
        ("sendMessage", {"chat_id": ANA, "text": "x", "txt": 1}, "knows no parameter txt"),
        (
            "sendMessage",
            {"chat_id": ANA, "text": "x", "reply_parameters": {"message_id": 9}},
            "message to be replied not found",
        ),
        ("sendPhoto", {"chat_id": ANA}, "there is no photo in the request"),
        ("editMessageText", {"chat_id": ANA, "message_id": 9, "text": "x"}, "to edit not found"),
        ("editMessageText", {"chat_id": ANA, "message_id": 1, "text": "x"}, "can't be edited"),
        ("deleteMessage", {"chat_id": ANA, "message_id": 9}, "to delete not found"),
        ("deleteMessage", {"chat_id": ANA}, "message_id isn't specified"),
        (
            "setMessageReaction",
            {"chat_id": ANA, "message_id": 1, "reaction": [{"type": "emoji", "emoji": "🦖"}]},
            "REACTION_INVALID",
        ),
        ("sendChatAction", {"chat_id": ANA, "action": "dance"}, "wrong parameter action"),
        ("getFile", {"file_id": "x"}, "wrong file_id or the file is temporarily unavailable"),
        ("setWebhook", {"url": "x"}, "An HTTPS URL must be provided"),
        ("setWebhook", {"url": "https://x", "secret_token": "ü"}, "unallowed characters"),
    ],
)
def test_what_is_refused_says_why(
    methods: Methods, method: str, values: dict[str, Any], description: str
) -> None:
    code, said = refusal(methods, method, **values)
    assert code == 400
    assert description in said


def test_a_method_that_is_not_there(methods: Methods) -> None:
    assert refusal(methods, "sendCake") == (404, "Not Found: method not found")


def test_a_bot_does_not_write_first(methods: Methods) -> None:
    methods.world.user(8, first_name="Bob")
    said = "Forbidden: bot can't initiate conversation with a user"
    assert refusal(methods, "sendMessage", chat_id=8, text="hi") == (403, said)


def test_an_edit_that_changes_nothing(methods: Methods) -> None:
    methods.call("sendMessage", Parameters({"chat_id": ANA, "text": "hi"}))
    code, said = refusal(methods, "editMessageText", chat_id=ANA, message_id=2, text="hi")
    assert (code, said.split(":")[1]) == (400, " message is not modified")


def test_what_is_too_old_is_not_deleted(methods: Methods) -> None:
    methods.call("sendMessage", Parameters({"chat_id": ANA, "text": "hi"}))
    methods.now = lambda: time.time() + 48 * 3600 + 5
    code, said = refusal(methods, "deleteMessage", chat_id=ANA, message_id=2)
    assert (code, said) == (400, "Bad Request: message can't be deleted for everyone")


def test_a_photo_has_a_limit_of_its_own(methods: Methods) -> None:
    for size, method, field in [(10, "sendPhoto", "photo"), (50, "sendDocument", "document")]:
        large = Sent("f", "image/png", bytes(size * 1024 * 1024 + 1))
        with pytest.raises(Bad) as caught:
            methods.call(method, Parameters({"chat_id": ANA}, {field: large}))
        assert caught.value.code == 413


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"chat_id": 7, "text": "hi"}'),
        ("application/x-www-form-urlencoded", b"chat_id=7&text=hi"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="chat_id"\r\n\r\n7\r\n'
            b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nhi\r\n--b--\r\n',
        ),
    ],
)
def test_parameters_come_in_any_form(methods: Methods, content_type: str, body: bytes) -> None:
    assert methods.call("sendMessage", parse({}, content_type, body))["text"] == "hi"


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data"])
def test_what_is_no_form_is_refused(content_type: str) -> None:
    with pytest.raises(Bad):
        parse({}, content_type, b"{")
