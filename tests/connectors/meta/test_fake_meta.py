"""What the made-up Meta is strict about, and how its webhooks come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from chat4all_connectors.testing.http_server import Response, open_server
from tests.fakes.meta import acts
from tests.fakes.meta.failing import Fault
from tests.fakes.meta.model import Account, Person, beginning
from tests.fakes.meta.webhooks import Manner, sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_connectors.testing.http_server import Request
    from tests.fakes.meta.client import MetaControl

pytestmark = pytest.mark.xdist_group("meta")

ANA = "+5511999990000"
ACCOUNT = beginning()["whatsapp"]
MESSAGES = f"/v26.0/{ACCOUNT.id}/messages"
TEXT = {"messaging_product": "whatsapp", "to": ANA, "type": "text", "text": {"body": "hello"}}


@pytest.fixture
async def client(meta: MetaControl) -> AsyncIterator[httpx2.AsyncClient]:
    token = {"authorization": f"Bearer {ACCOUNT.access_token}"}
    async with httpx2.AsyncClient(base_url=meta.base_url, headers=token, verify=False) as client:
        yield client


class Callback:
    """An address of ours, which answers Meta's question."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        """Statuses for the next calls; then 200."""
        self.calls: list[tuple[bytes, str]] = []
        """Bodies and signatures."""

    async def handle(self, request: Request) -> Response:
        if request.method == "GET":
            return Response(200, request.query["hub.challenge"].encode(), "text/plain")
        self.calls.append((await request.read(), request.headers["x-hub-signature-256"]))
        return Response(self.answers.pop(0) if self.answers else 200)

    def texts(self) -> list[str]:
        return [
            change["value"]["messages"][0]["text"]["body"]
            for body, _ in self.calls
            for change in json.loads(body)["entry"][0]["changes"]
        ]


@pytest.fixture
async def callback(meta: MetaControl) -> AsyncIterator[Callback]:
    callback = Callback()
    async with open_server(callback.handle) as url:
        account = beginning()["whatsapp"]
        account.webhook = f"{url}/webhook"
        assert await meta.account("whatsapp", account)
        await meta.person("whatsapp", Person(id=ANA))
        yield callback


def code_of(answer: httpx2.Response) -> int:
    return int(answer.json()["error"]["code"])


async def say(meta: MetaControl, text: str) -> str:
    return await meta.act(acts.Write(channel="whatsapp", person=ANA, text=text))


# --- calls


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"to": "5511999990000"}, 131009),
        ({"to": None}, 131008),
        ({"text": None}, 131008),
        ({"text": {"body": "x" * 4097}}, 100),
        ({"text": {"body": "x", "colour": "red"}}, 100),
        ({"colour": "red"}, 100),
        ({"messaging_product": "telegram"}, 100),
        ({"type": "telepathy"}, 100),
        ({"context": {"message_id": "wamid.none"}}, 131009),
    ],
)
async def test_a_call_has_what_it_needs_and_nothing_else(
    client: httpx2.AsyncClient, change: dict[str, Any], code: int
) -> None:
    answer = await client.post(MESSAGES, json={**TEXT, **change})
    assert (answer.status_code, code_of(answer)) == (400, code)


async def test_a_call_has_a_token_and_a_version(client: httpx2.AsyncClient) -> None:
    wrong = {"authorization": "Bearer another"}
    assert code_of(await client.post(MESSAGES, json=TEXT, headers=wrong)) == 190
    assert code_of(await client.post(MESSAGES.replace("v26.0", "latest"), json=TEXT)) == 2500
    assert code_of(await client.get(MESSAGES)) == 100
    assert code_of(await client.post(MESSAGES, content=b"hello")) == 100


async def test_faults_are_for_so_many_calls_that_match(
    meta: MetaControl, client: httpx2.AsyncClient
) -> None:
    await meta.fault(Fault(kind="graph_error", path="/messages", code=4, skip=1, times=2))
    answers = [await client.post(MESSAGES, json=TEXT) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 400, 400, 200]
    await meta.fault(Fault(kind="refuse", method="GET"))
    with pytest.raises(httpx2.TransportError):
        await client.get(f"/v26.0/{ACCOUNT.id}")


# --- webhooks


async def test_an_address_is_ours_only_if_it_answers(meta: MetaControl) -> None:
    asked: list[str] = []

    async def stranger(request: Request) -> Response:
        asked.append(request.method)
        return Response(200, b"hello", "text/plain")

    async with open_server(stranger) as url:
        account = beginning()["whatsapp"]
        account.webhook = url
        assert not await meta.account("whatsapp", account)
        await meta.person("whatsapp", Person(id=ANA))
        await say(meta, "hello")
        await meta.settle()
        assert asked == ["GET"]


async def test_updates_are_signed_over_bytes_that_have_no_other_characters(
    meta: MetaControl, callback: Callback
) -> None:
    await say(meta, "olá 😀")
    await meta.settle()
    [(body, signature)] = callback.calls
    assert b"ol\\u00e1 \\ud83d\\ude00" in body
    assert signature == sign(Account(id="1"), body)["X-Hub-Signature-256"]


async def test_updates_come_in_order(meta: MetaControl, callback: Callback) -> None:
    for number in range(5):
        await say(meta, f"{number}")
    await meta.settle()
    assert callback.texts() == ["0", "1", "2", "3", "4"]


async def test_what_is_not_taken_is_repeated_and_holds_up_nothing(
    meta: MetaControl, callback: Callback
) -> None:
    callback.answers += [500, 503]
    await meta.manner(Manner(retry_seconds=0.001))
    await say(meta, "1")
    await meta.settle()
    assert callback.texts() == ["1", "1", "1"]
    [delivery] = await meta.deliveries()
    assert (delivery.statuses, delivery.done) == ([500, 503, 200], True)


async def test_what_is_held_comes_in_any_order_and_in_batches(
    meta: MetaControl, callback: Callback
) -> None:
    await meta.manner(Manner(hold=True, batch=2))
    for number in range(3):
        await say(meta, f"{number}")
    await meta.release([2, 1, 0, 0])
    await meta.settle()
    assert [delivery.updates for delivery in await meta.deliveries()] == [2, 2]
    assert callback.texts() == ["2", "1", "0", "0"]
