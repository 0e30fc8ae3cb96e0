"""Each error of the Bot API has the class by which it is known what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_connectors.errors import (
    Misconfigured,
    Moved,
    Refused,
    SendError,
    Throttled,
    Transient,
    UnknownOutcome,
    Unreachable,
)
from chat4all_connectors.http import Answer
from chat4all_connectors.telegram.refusals import BotApiRefused, error_of


def answer(code: int, description: str, **parameters: Any) -> Answer:
    content = {"ok": False, "error_code": code, "description": description}
    if parameters:
        content["parameters"] = parameters
    return Answer(code, {}, json.dumps(content).encode())


def meaning(given_answer: Answer, *, chat: str | None = "7", sends: bool = True) -> SendError:
    return error_of(given_answer, chat=chat, sends=sends)


@pytest.mark.parametrize(
    ("code", "description", "expected"),
    [
        (400, "Bad Request: chat not found", Unreachable),
        (400, "Bad Request: user not found", Unreachable),
        (400, "Bad Request: PEER_ID_INVALID", Unreachable),
        (400, "Bad Request: not enough rights to send text messages to the chat", Unreachable),
        (400, "Bad Request: not enough rights to send photos to the chat", BotApiRefused),
        (400, "Bad Request: message to be replied not found", BotApiRefused),
        (400, "Bad Request: message is too long", BotApiRefused),
        (400, "Bad Request: chat_id is empty", BotApiRefused),
        (400, "Bad Request: file is too big", BotApiRefused),
        (400, "Bad Request: wrong file_id or the file is temporarily unavailable", Transient),
        (401, "Unauthorized", Misconfigured),
        (401, "Unauthorized: invalid token specified", Misconfigured),
        (403, "Forbidden: bot was blocked by the user", Unreachable),
        (403, "Forbidden: user is deactivated", Unreachable),
        (403, "Forbidden: bot was kicked from the supergroup chat", Unreachable),
        (403, "Forbidden: bot is not a member of the channel chat", Unreachable),
        (403, "Forbidden: bot can't initiate conversation with a user", Unreachable),
        (404, "Not Found", Misconfigured),
        (404, "Not Found: method not found", Misconfigured),
        (409, "Conflict: can't use getUpdates method while webhook is active", Misconfigured),
        (409, "Conflict: terminated by other getUpdates request", Transient),
        (409, "Conflict: terminated by setWebhook request", Transient),
        (413, "Request Entity Too Large", BotApiRefused),
        (421, "Misdirected Request: unallowed token specified", Misconfigured),
        (500, "Internal Server Error: restart", Transient),
        (502, "Bad Gateway", Transient),
    ],
)
def test_an_error_is_told_by_what_is_to_be_done(
    code: int, description: str, expected: type[SendError]
) -> None:
    error = meaning(answer(code, description))
    assert type(error) is expected
    assert (error.message, error.code) == (description, str(code))


@pytest.mark.parametrize(("chat", "scope"), [("7", "chat"), (None, "account")])
def test_too_many_calls_say_how_long_to_wait_and_what(chat: str | None, scope: str) -> None:
    error = meaning(answer(429, "Too Many Requests: retry after 31", retry_after=31), chat=chat)
    assert isinstance(error, Throttled)
    assert (error.retry_after, error.scope) == (31, scope)
    assert (error.message, error.code) == ("Too Many Requests: retry after 31", "429")


def test_the_header_says_it_too() -> None:
    header = {"retry-after": "5"}
    for body in (b"slow down", answer(429, "Too Many Requests").body):
        error = meaning(Answer(429, header, body))
        assert isinstance(error, Throttled)
        assert (error.retry_after, error.code) == (5, "429")
    for unreadable in ({}, {"retry-after": "Sat, 28 Nov 2026 04:00:00 GMT"}, {"retry-after": "²"}):
        error = meaning(Answer(429, unreadable, b"slow down"))
        assert isinstance(error, Throttled)
        assert error.retry_after is None


def test_the_status_is_that_of_http_where_the_answer_has_none() -> None:
    error = meaning(Answer(401, {}, b'{"ok": false}'))
    assert isinstance(error, Misconfigured)
    assert (error.message, error.code) == ("status 401", "401")


def test_a_group_that_became_a_supergroup_has_moved() -> None:
    said = "Bad Request: group chat was upgraded to a supergroup chat"
    error = meaning(answer(400, said, migrate_to_chat_id=-1001234567890))
    assert isinstance(error, Moved)
    assert (error.chat, error.message, error.code) == ("-1001234567890", said, "400")


@pytest.mark.parametrize(
    ("description", "property_"),
    [
        ("Bad Request: message is not modified: specified new message …", "done_already"),
        ("Bad Request: MESSAGE_NOT_MODIFIED", "done_already"),
        ("Bad Request: message to delete not found", "done_already"),
        ("Bad Request: there is no text in the message to edit", "has_no_text"),
        ("Bad Request: PHOTO_INVALID_DIMENSIONS", "no_photo"),
        ("Bad Request: IMAGE_PROCESS_FAILED", "no_photo"),
        ("Bad Request: message to edit not found", None),
    ],
)
def test_what_is_refused_may_be_known_to_be_harmless(
    description: str, property_: str | None
) -> None:
    error = meaning(answer(400, description))
    assert isinstance(error, BotApiRefused)
    for name in ("done_already", "has_no_text", "no_photo"):
        assert getattr(error, name) == (name == property_)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, UnknownOutcome),
        (300, Misconfigured),
        (302, Misconfigured),
        (400, Transient),
        (401, Misconfigured),
        (403, Misconfigured),
        (404, Misconfigured),
        (407, Misconfigured),
        (408, Transient),
        (413, Refused),
        (429, Throttled),
        (500, UnknownOutcome),
        (502, UnknownOutcome),
        (503, Transient),
        (504, UnknownOutcome),
    ],
)
def test_an_answer_of_something_before_the_api(status: int, expected: type[SendError]) -> None:
    page = Answer(status, {}, b"<html>nginx</html>")
    error = meaning(page)
    assert type(error) is expected
    said = f"an answer that is not the Bot API's, status {status}"
    assert (error.message, error.code) == (said, str(status))
    if expected is UnknownOutcome:
        assert type(meaning(page, sends=False)) is Transient


@given(
    st.integers(100, 599),
    st.binary(max_size=60),
    st.dictionaries(st.just("retry-after"), st.text()),
)
def test_any_answer_means_something(status: int, body: bytes, headers: dict[str, str]) -> None:
    assert isinstance(meaning(Answer(status, headers, body)), SendError)


def test_a_description_is_not_told_beyond_a_bound() -> None:
    assert len(meaning(answer(400, "x" * 10_000)).message) == 200
