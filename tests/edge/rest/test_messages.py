"""Messages over REST: the same log, the same people, the same promises as over a WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_actors.limits.gcra import RateLimiter
from chat4all_actors.limits.limits import MESSAGES
from chat4all_protocol.frames import Msg, Receipt, Send, Sent, TextBody
from chat4all_protocol.ids import new_id
from tests.actors.harness import person

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.edge.rest.conftest import Town

ID = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
OTHER = "0b6f5a0e-6c1d-4b8a-9f43-2d1c7a9e4b10"


def text(words: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"payload": {"type": "text", "text": words}, **fields}


async def test_a_message_is_accepted_when_it_is_stored_and_pushed_to_who_is_connected(
    town: Town,
) -> None:
    conversation = await town.pair(town.ana, "bob")
    bob = await person(town.node, "bob")
    accepted = await town.ana.ask(
        "POST", "/v1/messages", text(conversation_id=conversation, message_id=ID)
    )
    assert accepted.status == 202
    assert accepted.json | {"accepted_at": ""} == {
        "message_id": ID,
        "conversation_id": conversation,
        "sequence_number": 1,
        "status": "accepted",
        "accepted_at": "",
    }
    await trio.testing.wait_all_tasks_blocked()
    (pushed,) = bob.outlet.of(Msg)
    assert (pushed.seq, pushed.id, pushed.from_, pushed.body) == (1, ID, "ana", TextBody("hi"))


async def test_what_a_websocket_sent_is_in_the_history(town: Town) -> None:
    conversation = await town.pair(town.ana, "bob")
    ana = await person(town.node, "ana")
    await ana.say(Send(rid=1, conv=conversation, id=ID, body=TextBody("hi"), meta={"a": 1}))
    history = await town.bob.ask("GET", f"/v1/conversations/{conversation}/messages")
    assert history.status == 200
    (message,) = history.json["messages"]
    assert message | {"created_at": ""} == {
        "message_id": ID,
        "conversation_id": conversation,
        "sequence_number": 1,
        "from": "ana",
        "payload": {"type": "text", "text": "hi"},
        "reply_to": None,
        "status": "SENT",
        "edited_at": None,
        "deleted_at": None,
        "created_at": "",
        "metadata": {"a": 1},
        "kind": "message",
        "target": None,
        "channel": None,
    }
    assert (history.json["has_more"], history.json["next_cursor"]) == (False, None)


async def test_an_id_is_stored_once_whichever_way_it_comes(town: Town) -> None:
    conversation = await town.pair(town.ana, "bob")
    ana = await person(town.node, "ana")
    await ana.say(Send(rid=1, conv=conversation, id=ID, body=TextBody("hi")))
    again = await town.ana.ask("POST", "/v1/messages", text(recipient_id="bob", message_id=ID))
    assert (again.status, again.json["sequence_number"]) == (202, 1)
    await ana.say(Send(rid=2, conv=conversation, id=ID, body=TextBody("hi")))
    assert [(sent.seq, sent.dup) for sent in ana.outlet.of(Sent)] == [(1, False), (1, True)]
    other = await town.ana.ask(
        "POST", "/v1/messages", text("ho", recipient_id="bob", message_id=ID)
    )
    assert (other.status, other.code) == (409, "CONFLICT")


async def test_many_sends_of_one_id_over_both_ways_are_one_message(town: Town) -> None:
    conversation = await town.pair(town.ana, "bob")
    ana = await person(town.node, "ana")
    seqs: set[int] = set()

    async def post() -> None:
        body = text(conversation_id=conversation, message_id=ID)
        accepted = await town.ana.ask("POST", "/v1/messages", body)
        seqs.add(accepted.json["sequence_number"])

    async with trio.open_nursery() as nursery:
        for rid in range(50):
            nursery.start_soon(post)
            nursery.start_soon(
                ana.say, Send(rid=rid, conv=conversation, id=ID, body=TextBody("hi"))
            )
    assert seqs == {1}
    assert {sent.seq for sent in ana.outlet.of(Sent)} == {1}
    history = await town.bob.ask("GET", f"/v1/conversations/{conversation}/messages")
    assert len(history.json["messages"]) == 1


async def test_an_idempotency_key_stands_in_for_the_message_id(town: Town) -> None:
    async def post(words: str, key: str) -> Any:
        return await town.ana.ask(
            "POST", "/v1/messages", text(words, recipient_id="bob"), Idempotency_Key=key
        )

    first, again, other = await post("hi", "k"), await post("hi", "k"), await post("hi", "l")
    assert again.json == first.json
    assert other.json["sequence_number"] == 2
    assert (await post("ho", "k")).code == "CONFLICT"


async def test_a_first_message_to_somebody_makes_their_conversation(town: Town) -> None:
    first = await town.ana.ask("POST", "/v1/messages", text(recipient_id="bob"))
    back = await town.bob.ask("POST", "/v1/messages", text(recipient_id="ana"))
    assert first.json["conversation_id"] == back.json["conversation_id"]
    assert back.json["sequence_number"] == 2


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({}, 400, "INVALID_PAYLOAD", "payload"),
        ({"payload": {"type": "text", "text": "hi"}}, 400, "INVALID_PAYLOAD", "conversation_id"),
        (text(recipient_id="nobody"), 404, "NOT_FOUND", "members"),
        (text(recipient_id="whatsapp:+5511"), 422, "CHANNEL_UNAVAILABLE", "recipient_id"),
        (text(recipient_id="bob", channels=["telegram"]), 422, "CHANNEL_UNAVAILABLE", "channels"),
        (text(recipient_id="bob", message_id="1"), 400, "INVALID_PAYLOAD", "message_id"),
        (text("", recipient_id="bob"), 400, "INVALID_PAYLOAD", "payload.text"),
        (text("a\0b", recipient_id="bob"), 400, "INVALID_PAYLOAD", "payload.text"),
        (text("x" * 10_001, recipient_id="bob"), 413, "TOO_LARGE", "payload.text"),
        (text(recipient_id="bob", metadata={"a": "x" * 5000}), 413, "TOO_LARGE", "metadata"),
        (text(recipient_id="bob", metadata={"a": "\0"}), 400, "INVALID_PAYLOAD", "metadata"),
        (text(recipient_id="bob", metadata={"a": 2**63}), 400, "INVALID_PAYLOAD", "metadata"),
        (text(recipient_id="bob", reply_to=OTHER), 400, "INVALID_PAYLOAD", "reply_to"),
        (text(recipient_id="bob", reply_to=7), 400, "INVALID_PAYLOAD", "reply_to"),
        (text(conversation_id=OTHER), 404, "NOT_FOUND", None),
        (text(conversation_id=OTHER, recipient_id="bob"), 400, "INVALID_PAYLOAD", "recipient_id"),
        (text(recipient_id="bob", **{"from": "bob"}), 403, "FORBIDDEN", None),
    ],
)
async def test_what_is_no_message_is_refused_by_its_field(
    town: Town, body: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    refused = await town.ana.ask("POST", "/v1/messages", body)
    assert (refused.status, refused.code, refused.field) == (status, code, field)


async def test_a_reply_names_a_message_by_its_id_or_its_number(town: Town) -> None:
    await town.ana.ask("POST", "/v1/messages", text(recipient_id="bob", message_id=ID))
    for target in (ID, 1):
        reply = text(recipient_id="ana", reply_to=target)
        accepted = await town.bob.ask("POST", "/v1/messages", reply)
        message = await town.bob.ask("GET", f"/v1/messages/{accepted.json['message_id']}")
        assert message.json["reply_to"] == ID


async def test_a_message_is_shown_to_members_alone(town: Town) -> None:
    await town.ana.ask("POST", "/v1/messages", text(recipient_id="bob", message_id=ID))
    assert (await town.bob.ask("GET", f"/v1/messages/{ID}")).json["message_id"] == ID
    for path in (f"/v1/messages/{ID}", f"/v1/messages/{ID}/status"):
        hidden, missing = (
            await town.carla.ask("GET", path),
            await town.ana.ask("GET", path.replace(ID, OTHER)),
        )
        assert hidden.status == missing.status == 404
        assert hidden.json["error"]["message"] == missing.json["error"]["message"]


async def test_a_message_is_read_and_its_sender_learns_it(town: Town) -> None:
    await town.ana.ask("POST", "/v1/messages", text(recipient_id="bob", message_id=ID))
    ana = await person(town.node, "ana")
    before = (await town.ana.ask("GET", f"/v1/messages/{ID}/status")).json
    assert [step["status"] for step in before["status_history"]] == ["SENT"]
    assert (await town.bob.ask("POST", f"/v1/messages/{ID}/read")).status == 204
    report = (await town.ana.ask("GET", f"/v1/messages/{ID}/status")).json
    assert report["status"] == "READ"
    steps = [(step["status"], step["user"]) for step in report["status_history"]]
    assert steps == [("SENT", "ana"), ("DELIVERED", "bob"), ("READ", "bob")]
    assert report["channel_delivery"] == {"internal": {"status": "READ"}}
    await trio.testing.wait_all_tasks_blocked()
    assert [(r.user, r.read) for r in ana.outlet.of(Receipt)] == [("bob", 1)]


async def test_marks_at_the_same_time_are_all_answered(
    autojump_clock: MockClock, town: Town
) -> None:
    await town.ana.ask("POST", "/v1/messages", text(recipient_id="bob", message_id=ID))
    await town.ana.ask("POST", "/v1/messages", text(recipient_id="bob", message_id=OTHER))
    statuses: list[int] = []

    async def read(id_: str) -> None:
        statuses.append((await town.bob.ask("POST", f"/v1/messages/{id_}/read")).status)

    async with trio.open_nursery() as nursery:
        for id_ in (ID, OTHER) * 5:
            nursery.start_soon(read, id_)
    assert statuses == [204] * 10
    report = await town.ana.ask("GET", f"/v1/messages/{OTHER}/status")
    assert report.json["status"] == "READ"


async def test_a_message_is_edited_by_its_author_alone(town: Town) -> None:
    await town.ana.ask("POST", "/v1/messages", text(recipient_id="bob", message_id=ID))
    bob = await person(town.node, "bob")
    change = {"payload": {"type": "text", "text": "hello"}}
    edited = await town.ana.ask("PATCH", f"/v1/messages/{ID}", change)
    assert (edited.status, edited.json["payload"]["text"]) == (200, "hello")
    assert edited.json["edited_at"] is not None
    await trio.testing.wait_all_tasks_blocked()
    (event,) = bob.outlet.of(Msg)
    assert (event.kind, event.target, event.body) == ("edit", 1, TextBody("hello"))
    refused = await town.bob.ask("PATCH", f"/v1/messages/{ID}", change)
    assert (refused.status, refused.code) == (403, "FORBIDDEN")
    history = await town.bob.ask("GET", f"/v1/messages/{ID}/revisions")
    (before,) = history.json["revisions"]
    assert before["payload"] == {"type": "text", "text": "hi"}
    assert (await town.carla.ask("GET", f"/v1/messages/{ID}/revisions")).status == 404


async def test_a_deleted_message_keeps_its_place_and_nothing_else(town: Town) -> None:
    await town.ana.ask("POST", "/v1/messages", text(recipient_id="bob", message_id=ID))
    assert (await town.bob.ask("DELETE", f"/v1/messages/{ID}")).status == 403
    assert (await town.ana.ask("DELETE", f"/v1/messages/{ID}")).status == 204
    assert (await town.ana.ask("DELETE", f"/v1/messages/{ID}")).status == 204
    message = (await town.bob.ask("GET", f"/v1/messages/{ID}")).json
    assert (message["payload"], message["sequence_number"]) == (None, 1)
    assert message["deleted_at"] is not None
    change = {"payload": {"type": "text", "text": "hello"}}
    assert (await town.ana.ask("PATCH", f"/v1/messages/{ID}", change)).status == 409


async def test_messages_of_a_user_are_limited(town: Town) -> None:
    town.node.limits.limiters = dict(town.node.limits.limiters) | {MESSAGES: RateLimiter(60, 2)}
    answers = [
        await town.ana.ask("POST", "/v1/messages", text(recipient_id="bob", message_id=new_id()))
        for _ in range(3)
    ]
    assert [answer.status for answer in answers] == [202, 202, 429]
    assert answers[-1].headers["retry-after"] == "1"
