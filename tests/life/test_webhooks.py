"""Webhooks and the feed of events, of the real server, at a real receiver."""

from __future__ import annotations

import json
import signal
import ssl
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_client import open_client
from chat4all_protocol.ids import new_id
from tests.life.conftest import PASSWORD
from tests.life.hook_receiver import Receiver
from tests.life.processes import chat4all, serving
from tests.life.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.life.conftest import Certificate, Names, StartServer
    from tests.life.processes import ServerProcess

QUICK = " ".join(["0.5"] * 100)
"""A schedule for receivers that come back soon."""
FLAGS: dict[str, str] = {
    "CHAT4ALL_WEBHOOK_ALLOW_PRIVATE": "1",
    "CHAT4ALL_WEBHOOK_LEASE": "3",
    "CHAT4ALL_PRESENCE_DAMPING": "0.2",
}


@pytest.fixture(scope="module")
def hooked(life_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of two workers that may tell receivers on this machine."""
    flags = ["--workers", "2", "--postgres", life_database]
    env = FLAGS | {"CHAT4ALL_WEBHOOK_SCHEDULE": QUICK}
    with serving(tmp_path_factory.mktemp("hooks"), *flags, env=env) as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().open() as receiver:
        yield receiver


def log_in(server: ServerProcess, name: str) -> Rest:
    answer = Rest(server.port).ask(
        "POST", "/v1/auth/token", {"username": name, "password": PASSWORD}
    )
    return Rest(server.port, answer.json["access_token"])


def send(sender: Rest, recipient: str, text: str = "hi") -> dict[str, Any]:
    body = {"recipient_id": recipient, "payload": {"type": "text", "text": text}}
    answer = sender.ask("POST", "/v1/messages", body)
    assert answer.status == 202, answer.body
    found: dict[str, Any] = answer.json
    return found


def add(user: Rest, url: str, *events: str) -> dict[str, Any]:
    body = {"url": url, "events": list(events or ("message.created",))}
    answer = user.ask("POST", "/v1/webhooks", body)
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json
    return found


def test_events_arrive_signed_and_in_order_at_those_who_may_read_them(
    hooked: ServerProcess, receiver: Receiver, names: Names
) -> None:
    ana, bob, carla = names(3)
    writer, other = log_in(hooked, ana), log_in(hooked, carla)
    mine = add(writer, receiver.url)
    add(other, f"{receiver.url}/carla")
    sent = [send(writer, bob, f"text {number}") for number in range(10)]
    send(writer, carla, "for carla, too")
    receiver.until(lambda: len(receiver.taken()) == 11 and bool(receiver.taken("/hook/carla")))
    with_bob = sent[0]["conversation_id"]
    first = [each for each in receiver.taken() if each.json["data"]["conversation_id"] == with_bob]
    assert [each.seq for each in first] == list(range(1, 11))
    assert [each.json["data"]["message_id"] for each in first] == [
        each["message_id"] for each in sent
    ]
    for each in receiver.taken():
        assert each.is_signed_with(mine["secret"])
        assert not each.is_signed_with(add_secret(other))
        assert each.headers["content-type"] == "application/json"
    (only,) = receiver.taken("/hook/carla")
    assert only.json["data"]["payload"]["text"] == "for carla, too"
    found = writer.ask("GET", f"/v1/webhooks/{mine['webhook_id']}").json
    assert found["state"] == "active"
    assert found["secret"] is None
    assert other.ask("GET", f"/v1/webhooks/{mine['webhook_id']}").refusal == (404, "NOT_FOUND")


def add_secret(user: Rest) -> str:
    """Another secret than any that was given."""
    (webhook,) = user.ask("GET", "/v1/webhooks").json["webhooks"]
    secret: str = user.ask("POST", f"/v1/webhooks/{webhook['webhook_id']}/rotate").json["secret"]
    return secret


def test_receipts_are_told_too(hooked: ServerProcess, receiver: Receiver, names: Names) -> None:
    ana, bob = names(2)
    writer, reader = log_in(hooked, ana), log_in(hooked, bob)
    add(writer, receiver.url, "message.delivered", "message.read")
    sent = send(writer, bob)
    assert reader.ask("POST", f"/v1/messages/{sent['message_id']}/read").status == 204
    receiver.until(lambda: len(receiver.taken()) == 2)
    data = {"conversation_id": sent["conversation_id"], "username": bob, "sequence_number": 1}
    assert [(each.json["type"], each.json["data"]) for each in receiver.taken()] == [
        ("message.delivered", data),
        ("message.read", data),
    ]


def test_reactions_are_told_whichever_way_they_came(
    hooked: ServerProcess, receiver: Receiver, names: Names
) -> None:
    ana, bob = names(2)
    writer, reader = log_in(hooked, ana), log_in(hooked, bob)
    sent = send(writer, bob, "lunch?")
    add(writer, receiver.url, "message.reaction")
    assert reader.token is not None
    trio.run(react, hooked.url, reader.token, sent["conversation_id"], "👍")
    path = f"/v1/messages/{sent['message_id']}/reactions"
    assert reader.ask("POST", path, {"emoji": "👍", "on": False}).status == 204
    receiver.until(lambda: len(receiver.taken()) == 2)
    told = [each.json for each in receiver.taken()]
    assert [each["type"] for each in told] == ["message.reaction"] * 2
    for each, on in zip(told, (True, False), strict=True):
        data = each["data"]
        assert (data["kind"], data["from"], data["target"]) == ("react", bob, 1)
        assert (data["payload"], data["metadata"]) == (None, {"emoji": "👍", "on": on})


async def react(url: str, token: str, conversation: str, emoji: str) -> None:
    """React to the first message over a WebSocket."""
    async with open_client(url, token=token, device=new_id()) as client:
        await client.react(conversation, 1, emoji)


def test_who_comes_and_goes_is_told_to_those_who_ask(
    hooked: ServerProcess, receiver: Receiver, names: Names
) -> None:
    ana, bob, carla = names(3)
    writer = log_in(hooked, ana)
    add(writer, receiver.url, "message.created", "presence.online", "presence.offline")
    send(writer, bob)
    receiver.until(lambda: len(receiver.taken()) == 1)  # so it is served by now

    async def come_and_go() -> None:
        for name in (carla, bob):
            token = log_in(hooked, name).token
            assert token is not None
            async with open_client(hooked.url, token=token, device="desk") as client:
                await client.set_mode(background=False)  # answered: so it is there
                if name == bob:
                    came = partial(receiver.until, lambda: len(receiver.taken()) == 2)
                    await trio.to_thread.run_sync(came)

    trio.run(come_and_go)
    receiver.until(lambda: len(receiver.taken()) == 3)
    told = [(each.json["type"], each.json["data"]["username"]) for each in receiver.taken()[1:]]
    assert told == [("presence.online", bob), ("presence.offline", bob)]


def test_a_receiver_that_was_down_gets_everything_in_order(
    hooked: ServerProcess, names: Names
) -> None:
    ana, bob, carla = names(3)
    writer = log_in(hooked, ana)
    receiver = Receiver()
    with receiver.open():
        webhook = add(writer, receiver.url)
        send(writer, bob)
        receiver.until(lambda: len(receiver.taken()) == 1)
    for _ in range(5):
        send(writer, bob)
        send(writer, carla)
    with receiver.open():
        receiver.status = 503
        receiver.until(lambda: receiver.told[-1].status == 503)
        receiver.status = 200
        receiver.until(lambda: len(receiver.taken()) == 11)
    conversations: dict[str, list[int]] = {}
    for each in receiver.taken():
        conversations.setdefault(each.json["data"]["conversation_id"], []).append(each.seq)
    assert sorted(conversations.values()) == [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6]]
    assert writer.ask("GET", f"/v1/webhooks/{webhook['webhook_id']}").json["failed"] > 0


def test_a_server_that_is_killed_loses_nothing_and_keeps_the_order(
    life_database: str, tmp_path: Path, receiver: Receiver, names: Names
) -> None:
    ana, bob = names(2)
    count = 60
    flags = ["--postgres", life_database]
    with serving(tmp_path / "data", *flags, env=FLAGS) as server:
        writer = log_in(server, ana)
        add(writer, receiver.url)
        for _ in range(3):
            for _ in range(count // 4):
                send(writer, bob)
            receiver.until(lambda: bool(receiver.taken()))  # in the midst of it
        server.stop(signal.SIGKILL)
    with serving(tmp_path / "data", *flags, env=FLAGS) as server:
        writer = log_in(server, ana)
        for _ in range(count // 4):
            send(writer, bob)
        receiver.until(lambda: len(receiver.taken()) == count)
    assert [each.seq for each in receiver.taken()] == list(range(1, count + 1))


def test_a_receiver_with_tls_is_asked_for_by_its_name_and_checked(
    start_server: StartServer, certificate: Certificate, names: Names
) -> None:
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    ana, bob = names(2)
    trusting = start_server(webhook_allow_private=1, webhook_ca=certificate.cert)
    with Receiver(tls=context).open() as receiver:
        writer = log_in(trusting, ana)
        webhook = add(writer, receiver.url)
        send(writer, bob)
        receiver.until(lambda: len(receiver.taken()) == 1)
        writer.ask("DELETE", f"/v1/webhooks/{webhook['webhook_id']}")
    assert set(asked) == {"localhost"}


def test_private_addresses_are_refused_and_what_is_wrong_is_told(
    server: ServerProcess, names: Names
) -> None:
    (ana,) = names(1)
    user = log_in(server, ana)
    for body, field in (
        ({"url": "http://127.0.0.1:80/", "events": ["*"]}, "url"),
        ({"url": "http://localhost/", "events": ["*"]}, "url"),
        ({"url": "https://example.com:22/", "events": ["*"]}, "url"),
        ({"url": "https://example.com/", "events": ["message.lost"]}, "events"),
        ({"url": "https://example.com/", "events": []}, "events"),
        ({"url": "https://example.com/", "events": ["*"], "secret": "whsec_x"}, "secret"),
        ({"events": ["*"]}, "url"),
    ):
        answer = user.ask("POST", "/v1/webhooks", body)
        assert answer.refusal == (400, "INVALID_PAYLOAD"), body
        assert answer.error["details"]["field"].startswith(field)
    assert user.ask("GET", "/v1/webhooks").json == {"webhooks": []}


def test_the_same_creation_again_is_answered_alike(hooked: ServerProcess, names: Names) -> None:
    user = log_in(hooked, names(1)[0])
    body = {"url": "http://localhost:9/", "events": ["file.ready"]}
    key = new_id()
    first, again = [user.ask("POST", "/v1/webhooks", body, Idempotency_Key=key) for _ in range(2)]
    assert first.status == again.status == 201
    assert first.json == again.json
    other = user.ask("POST", "/v1/webhooks", body | {"events": ["*"]}, Idempotency_Key=key)
    assert other.refusal == (409, "CONFLICT")
    id_ = first.json["webhook_id"]
    assert user.ask("DELETE", f"/v1/webhooks/{id_}").status == 204
    assert user.ask("DELETE", f"/v1/webhooks/{id_}").refusal == (404, "NOT_FOUND")


# --- the feed -------------------------------------------------------------------------------------


def test_the_feed_has_the_same_events_with_the_same_ids(
    hooked: ServerProcess, receiver: Receiver, names: Names
) -> None:
    ana, bob = names(2)
    writer = log_in(hooked, ana)
    add(writer, receiver.url, "*")
    cursor = writer.ask("GET", "/v1/events").json["next_cursor"]
    for number in range(7):
        send(writer, bob, str(number))
    receiver.until(lambda: len(receiver.taken()) == 8)
    pulled: list[Any] = []
    while len(pulled) < 8:
        page = writer.ask("GET", f"/v1/events?cursor={cursor}&limit=3&wait=10").json
        assert len(page["events"]) <= 3
        pulled += page["events"]
        cursor = page["next_cursor"]
    assert [(each["id"], each["type"]) for each in pulled] == [
        (each.id, each.json["type"]) for each in receiver.taken()
    ]
    # What a conversation has come to since is shown as it is when it is told.
    messages = [each["data"] for each in pulled if each["type"] == "message.created"]
    assert messages == [each.json["data"] for each in receiver.taken()][1:]
    end = writer.ask("GET", f"/v1/events?cursor={cursor}").json
    assert (end["events"], end["has_more"]) == ([], False)


def test_who_waits_is_answered_when_something_happens(hooked: ServerProcess, names: Names) -> None:
    ana, bob = names(2)
    writer, reader = log_in(hooked, ana), log_in(hooked, bob)
    cursor = reader.ask("GET", "/v1/events").json["next_cursor"]
    pages: list[Any] = []
    path = f"/v1/events?cursor={cursor}&wait=30&types=message.*"
    waiting = threading.Thread(target=lambda: pages.append(reader.ask("GET", path).json))
    waiting.start()
    sent = send(writer, bob)
    waiting.join()
    (event,) = pages[0]["events"]
    assert event["type"] == "message.created"
    assert event["data"]["message_id"] == sent["message_id"]


def test_a_client_with_the_scope_is_told_everything_and_without_it_nothing(
    hooked: ServerProcess, life_database: str, names: Names
) -> None:
    ana, bob = names(2)
    writer = log_in(hooked, ana)
    tokens = {}
    for name, scope in (("all-events", "events:read"), ("no-events", "messages:read")):
        made = chat4all(
            "client", "add", name, "--scope", scope, "--json", "--postgres", life_database
        )
        assert made.returncode == 0, made.stderr
        tokens[name] = client_token(hooked, made.stdout)
    refused = Rest(hooked.port, tokens["no-events"]).ask("GET", "/v1/events")
    assert refused.refusal == (403, "FORBIDDEN")
    client = Rest(hooked.port, tokens["all-events"])
    cursor = client.ask("GET", "/v1/events").json["next_cursor"]
    sent = send(writer, bob)
    found: list[Any] = []
    while not found:
        page = client.ask("GET", f"/v1/events?cursor={cursor}&wait=10&types=message.created").json
        cursor = page["next_cursor"]
        found = [
            each for each in page["events"] if each["data"]["message_id"] == sent["message_id"]
        ]


def client_token(server: ServerProcess, told: str) -> str:
    client = json.loads(told)
    answer = Rest(server.port).ask(
        "POST",
        "/v1/auth/token",
        {"client_id": client["client_id"], "client_secret": client["client_secret"]},
    )
    token: str = answer.json["access_token"]
    return token


def test_what_is_no_cursor_is_refused(server: ServerProcess, names: Names) -> None:
    user = log_in(server, names(1)[0])
    for query, field in (
        ("cursor=abc", "cursor"),
        ("cursor=", "cursor"),
        ("types=message.lost", "types"),
        ("wait=31", "wait"),
        ("limit=101", "limit"),
    ):
        answer = user.ask("GET", f"/v1/events?{query}")
        assert answer.refusal == (400, "INVALID_PAYLOAD"), query
        assert answer.error["details"]["field"] == field
