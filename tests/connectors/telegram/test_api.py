"""How calls go out, and what is made of answers that are none; without a network."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING

import httpx2
import pytest

from chat4all_connectors.errors import (
    Misconfigured,
    Refused,
    SendError,
    Transient,
    UnknownOutcome,
)
from chat4all_connectors.incoming import Media
from chat4all_connectors.outgoing import Message
from chat4all_connectors.telegram.connector import Telegram
from chat4all_connectors.telegram.settings import TelegramSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Handler = Callable[[httpx2.Request], httpx2.Response]

MEDIA = Media(ref="F", kind="document")


class Streamed(httpx2.AsyncByteStream):
    """A body that comes as from the network."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


def telegram(handler: Handler) -> Telegram:
    settings = TelegramSettings(token="12:x", base_url="https://t.example/api/", mode="polling")
    return Telegram(settings, transport=httpx2.MockTransport(handler))


def response(status: int, content: bytes) -> httpx2.Response:
    return httpx2.Response(status, stream=Streamed(content))


def result(content: object) -> httpx2.Response:
    return response(200, json.dumps({"ok": True, "result": content}).encode())


async def fetched(account: Telegram) -> bytes:
    async with account.download(MEDIA) as download, aclosing(download) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_a_call_is_json_to_the_method_s_address() -> None:
    calls: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(request)
        return result({"message_id": 5, "chat": {"id": -1001}})

    sent = await telegram(answer).send_message(Message(chat="-5", text="hi", reply_to="4"))
    assert (sent.message, sent.chat) == ("5", "-1001")
    [call] = calls
    assert str(call.url) == "https://t.example/api/bot12:x/sendMessage"
    assert isinstance(call.stream, httpx2.AsyncByteStream)
    assert json.loads(b"".join([piece async for piece in call.stream])) == {
        "chat_id": "-5",
        "text": "hi",
        "reply_parameters": {"message_id": 4, "allow_sending_without_reply": True},
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"ok": true}',
        b'{"ok": true, "result": {"message_id": "x"}}',
        b'{"ok": "yes"}',
        b"[" * 9999,
    ],
    ids=range(6),
)
async def test_a_good_answer_that_can_not_be_read_leaves_it_open_whether_it_was_sent(
    body: bytes,
) -> None:
    account = telegram(lambda _: response(200, body))
    with pytest.raises(UnknownOutcome):
        await account.send_message(Message(chat="5", text="hi"))
    with pytest.raises(Transient):
        await account.connect()


async def test_a_file_is_fetched_from_its_path() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/getFile"):
            return result({"file_path": "documents/a b?.txt"})
        assert request.url.raw_path == b"/api/file/bot12:x/documents/a%20b%3F.txt"
        return response(200, b"content")

    assert await fetched(telegram(answer)) == b"content"


@pytest.mark.parametrize(
    ("status", "expected"), [(404, Transient), (401, Misconfigured), (500, Transient)]
)
async def test_a_path_may_serve_no_more(status: int, expected: type[SendError]) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/getFile"):
            return result({"file_path": "documents/1.txt"})
        return response(status, json.dumps({"ok": False, "error_code": status}).encode())

    with pytest.raises(expected):
        await fetched(telegram(answer))


async def test_a_file_without_a_path_is_never_to_be_had() -> None:
    with pytest.raises(Refused):
        await fetched(telegram(lambda _: result({"file_id": "F"})))


async def test_what_is_polled_without_a_number_is_no_update() -> None:
    with pytest.raises(Transient, match="without a number"):
        await telegram(lambda _: result([{"message": {}}])).poll(None)


async def test_nothing_that_was_polled_before_any_cursor_is_known() -> None:
    polled = await telegram(lambda _: result([])).poll(None)
    assert (polled.events, polled.cursor) == ([], "")
    assert (await telegram(lambda _: result([])).poll(polled.cursor)).cursor == ""
