"""REST as its users see it, row by row of the contract: statuses, fields, headers and errors."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.life.conftest import PASSWORD
from tests.life.processes import chat4all
from tests.life.rest import Rest

if TYPE_CHECKING:
    from tests.life.conftest import Names
    from tests.life.processes import ServerProcess
    from tests.life.rest import Answer

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
MESSAGE = {
    *("message_id", "conversation_id", "sequence_number", "from", "payload", "reply_to", "status"),
    *("edited_at", "deleted_at", "created_at", "metadata"),
}


def text(words: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"payload": {"type": "text", "text": words}, **fields}


class Pair:
    """Two users who are logged in."""

    def __init__(self, server: ServerProcess, ana: str, bob: str) -> None:
        self.nobody = Rest(server.port)
        self.names = (ana, bob)
        self.ana, self.bob = (self.nobody.log_in(name, PASSWORD) for name in self.names)

    def group(self, **fields: Any) -> str:
        """A new group of both, the first its owner."""
        body = {"type": "group", "members": [self.names[1]], **fields}
        id_: str = self.ana.post("/v1/conversations", body)["conversation_id"]
        return id_

    def say(self, conversation: str, words: str = "hi") -> dict[str, Any]:
        """What the first user's message is answered."""
        sent = self.ana.post("/v1/messages", text(words, conversation_id=conversation), 202)
        assert isinstance(sent, dict)
        return sent


@pytest.fixture
def pair(server: ServerProcess, names: Names) -> Pair:
    ana, bob = names(2)
    return Pair(server, ana, bob)


# --- accounts -------------------------------------------------------------------------------------


def test_who_registers_may_log_in_stay_so_and_log_out(server: ServerProcess) -> None:
    nobody, name = Rest(server.port), f"new-{uuid.uuid4().hex[:12]}"
    account = {"username": name, "password": PASSWORD, "email": "new@example.org"}
    made = nobody.post("/v1/auth/register", account)
    assert set(made) == {"user_id", "username"}
    assert UUID.fullmatch(made["user_id"])
    taken = nobody.ask("POST", "/v1/auth/register", account)
    assert taken.refusal == (409, "CONFLICT")

    login = {"username": name, "password": PASSWORD}
    tokens = nobody.post("/v1/auth/token", login, 200)
    assert tokens["token_type"] == "Bearer"
    assert 0 < tokens["expires_in"] <= 3600
    assert nobody.post("/auth/token", login, 200)["access_token"] != tokens["access_token"]
    again = nobody.post("/v1/auth/token", {"refresh_token": tokens["refresh_token"]}, 200)
    user = Rest(server.port, again["access_token"])
    me = user.get("/v1/users/me")
    assert (me["user_id"], me["username"], me["email"]) == (made["user_id"], name, account["email"])

    assert user.ask("POST", "/v1/auth/logout").status == 204
    assert user.ask("GET", "/v1/users/me").refusal == (401, "UNAUTHENTICATED")
    dead = nobody.ask("POST", "/v1/auth/token", {"refresh_token": again["refresh_token"]})
    assert dead.refusal == (401, "UNAUTHENTICATED")


def test_a_wrong_password_and_an_unknown_name_look_the_same(pair: Pair) -> None:
    def refused(name: str) -> dict[str, Any]:
        answer = pair.nobody.ask("POST", "/v1/auth/token", {"username": name, "password": "wrong"})
        assert answer.refusal == (401, "UNAUTHENTICATED")
        return {key: value for key, value in answer.error.items() if key != "trace_id"}

    assert refused(pair.names[0]) == refused(f"nobody-{uuid.uuid4().hex}")


def test_a_program_writes_for_those_it_may_act_for(
    server: ServerProcess, life_database: str, names: Names
) -> None:
    ana, bob = names(2)

    def client(scopes: str) -> Rest:
        """A new service client that has shown its secret."""
        flags = ["--scope", scopes, "--json", "--postgres", life_database]
        done = chat4all("client", "add", f"c-{uuid.uuid4().hex[:12]}", *flags)
        assert done.returncode == 0, done.stderr
        added = json.loads(done.stdout)
        body = {key: added[key] for key in ("client_id", "client_secret")}
        return Rest(server.port, Rest(server.port).post("/auth/token", body, 200)["access_token"])

    every = client("conversations:write messages:write act_as")
    new = {"type": "private", "members": [ana, bob], "metadata": {}}
    made = every.post("/v1/conversations", new)
    assert set(made["members"]) == {ana, bob}
    body = {
        **text("Load test", message_id=str(uuid.uuid4()), metadata={"test": "load"}),
        "conversation_id": made["conversation_id"],
        "from": ana,
        "to": [bob],
        "channels": ["internal"],
    }
    sent = every.post("/v1/messages", body, 202)
    assert (sent["message_id"], sent["status"]) == (body["message_id"], "accepted")
    (message,) = (
        Rest(server.port)
        .log_in(bob, PASSWORD)
        .get(f"/v1/conversations/{made['conversation_id']}/messages")["messages"]
    )
    assert message["from"] == ana
    assert client("messages:write").ask("POST", "/v1/messages", body).refusal == (403, "FORBIDDEN")
    assert every.ask("GET", "/v1/presence?users=x").refusal == (403, "FORBIDDEN")


# --- conversations --------------------------------------------------------------------------------


def test_a_pair_has_one_private_conversation(pair: Pair) -> None:
    ana, bob = pair.names
    made = pair.ana.post("/v1/conversations", {"type": "private", "members": [bob]})
    assert UUID.fullmatch(made["conversation_id"])
    assert (made["type"], made["title"], made["last_seq"]) == ("private", None, 0)
    assert set(made["members"]) == {ana, bob}
    same = pair.bob.post("/v1/conversations", {"type": "private", "members": [ana]}, 200)
    assert same["conversation_id"] == made["conversation_id"]


def test_a_group_has_roles_and_its_members_come_and_go(pair: Pair, names: Names) -> None:
    (carla,) = names(1)
    group = pair.group(title="Team", metadata={"colour": "red"})
    path = f"/v1/conversations/{group}"
    found = pair.bob.get(path)
    assert found["roles"] == dict(zip(pair.names, ("owner", "member"), strict=True))
    assert (found["title"], found["metadata"]) == ("Team", {"colour": "red"})
    added = pair.ana.post(f"{path}/members", {"username": carla, "role": "admin"})
    assert added["roles"][carla] == "admin"
    assert pair.bob.ask("DELETE", f"{path}/members/{carla}").refusal == (403, "FORBIDDEN")
    assert pair.ana.ask("DELETE", f"{path}/members/{carla}").status == 204
    gone = pair.nobody.log_in(carla, PASSWORD)
    assert gone.ask("GET", path).refusal == (404, "NOT_FOUND")
    missing = gone.ask("GET", f"/v1/conversations/{uuid.uuid4()}")
    assert missing.refusal == (404, "NOT_FOUND")
    assert missing.error["message"] == gone.ask("GET", path).error["message"]


def test_conversations_are_listed_by_activity_page_by_page_to_the_end(pair: Pair) -> None:
    groups = [pair.group(title=str(number)) for number in range(5)]
    pair.say(groups[2], "the latest")
    pages: list[list[str]] = []
    query = "limit=2"
    while True:
        page = pair.bob.get(f"/v1/conversations?{query}")
        assert set(page) == {"conversations", "next_cursor"}
        pages.append([each["conversation_id"] for each in page["conversations"]])
        if page["next_cursor"] is None:
            break
        query = f"limit=2&cursor={page['next_cursor']}"
    assert pages == [[groups[2], groups[4]], [groups[3], groups[1]], [groups[0]]]
    first = pair.bob.get("/v1/conversations?limit=1")["conversations"][0]
    assert (first["unread"], first["last_seq"]) == (1, 1)
    assert first["last_message"]["payload"] == {"type": "text", "text": "the latest"}


def test_history_is_paged_to_the_end_in_both_directions(pair: Pair) -> None:
    group = pair.group()
    for number in range(1, 8):
        assert pair.say(group, str(number))["sequence_number"] == number

    def walk(way: str, start: int) -> list[list[int]]:
        pages, cursor = [], start
        while True:
            page = pair.bob.get(f"/v1/conversations/{group}/messages?{way}={cursor}&limit=3")
            assert set(page) == {"messages", "next_cursor", "has_more"}
            pages.append([message["sequence_number"] for message in page["messages"]])
            assert page["has_more"] == (page["next_cursor"] is not None)
            if not page["has_more"]:
                return pages
            cursor = page["next_cursor"]

    assert walk("after", 0) == [[1, 2, 3], [4, 5, 6], [7]]
    assert walk("before", 8) == [[5, 6, 7], [2, 3, 4], [1]]
    for limit in (0, 101, "x"):
        path = f"/v1/conversations/{group}/messages?limit={limit}"
        refused = pair.bob.ask("GET", path)
        assert refused.refusal == (400, "INVALID_PAYLOAD")
        assert refused.error["details"]["field"] == "limit"


# --- messages -------------------------------------------------------------------------------------


def test_a_message_is_accepted_once_and_read_as_it_was_written(pair: Pair) -> None:
    ana, bob = pair.names
    body = text(recipient_id=bob, message_id=str(uuid.uuid4()), metadata={"a": [1, None, "é"]})
    sent = pair.ana.post("/v1/messages", body, 202)
    assert set(sent) == {
        *("message_id", "conversation_id", "sequence_number", "status", "accepted_at"),
    }
    assert (sent["message_id"], sent["status"]) == (body["message_id"], "accepted")
    assert TIME.fullmatch(sent["accepted_at"])
    assert pair.ana.post("/v1/messages", body, 202) == sent
    other = pair.ana.ask("POST", "/v1/messages", body | text("ho"))
    assert other.refusal == (409, "CONFLICT")

    reply = text("hi too", recipient_id=ana, reply_to=sent["message_id"])
    replied = pair.bob.post("/v1/messages", reply, 202)
    found = pair.bob.get(f"/v1/messages/{sent['message_id']}")
    assert found.keys() >= MESSAGE
    assert (found["from"], found["payload"], found["metadata"]) == (
        ana,
        body["payload"],
        body["metadata"],
    )
    assert TIME.fullmatch(found["created_at"])
    answer = pair.ana.get(f"/v1/messages/{replied['message_id']}")
    assert answer["reply_to"] == sent["message_id"]


def test_the_status_of_a_message_tells_who_has_read_it(pair: Pair) -> None:
    message = pair.say(pair.group())["message_id"]
    path = f"/v1/messages/{message}"
    sent = pair.ana.get(f"{path}/status")
    assert set(sent) == {"message_id", "status", "status_history", "channel_delivery"}
    assert [step["status"] for step in sent["status_history"]] == ["SENT"]
    assert pair.bob.ask("POST", f"{path}/read").status == 204
    read = pair.ana.get(f"{path}/status")
    assert (read["status"], pair.ana.get(path)["status"]) == ("READ", "READ")
    last = read["status_history"][-1]
    assert (last["status"], last["user"]) == ("READ", pair.names[1])
    assert TIME.fullmatch(last["timestamp"])


def test_a_message_is_edited_and_deleted_and_keeps_its_place(pair: Pair) -> None:
    group = pair.group()
    message = pair.say(group, "helo")["message_id"]
    path = f"/v1/messages/{message}"
    edited = pair.ana.ask("PATCH", path, text("hello"))
    assert (edited.status, edited.json["payload"]["text"]) == (200, "hello")
    assert TIME.fullmatch(edited.json["edited_at"])
    assert pair.bob.ask("PATCH", path, text("no")).refusal == (403, "FORBIDDEN")
    assert pair.ana.ask("DELETE", path).status == 204
    gone = pair.bob.get(path)
    assert (gone["sequence_number"], gone["payload"]) == (1, None)
    assert TIME.fullmatch(gone["deleted_at"])
    history = pair.bob.get(f"/v1/conversations/{group}/messages")["messages"]
    assert [event["kind"] for event in history] == ["message", "edit", "delete"]
    assert "hello" not in str(history)
    assert "helo" not in str(history)
    for method in ("PATCH", "DELETE"):  # the edit is an event of its own, and no message
        body = text("x") if method == "PATCH" else None
        refused = pair.ana.ask(method, f"/v1/messages/{history[1]['message_id']}", body)
        assert refused.refusal == (409, "CONFLICT")


def test_a_message_is_reacted_to(pair: Pair) -> None:
    group = pair.group()
    path = f"/v1/messages/{pair.say(group, 'lunch?')['message_id']}/reactions"
    assert pair.bob.ask("POST", path, {"emoji": "👍"}).status == 204
    assert pair.ana.ask("POST", path, {"emoji": "👍"}).status == 204
    assert pair.bob.ask("POST", path, {"emoji": "👍", "on": False}).status == 204
    alike = [{"emoji": "👍", "users": [pair.names[0]]}]
    assert pair.bob.get(path) == {"reactions": alike}
    history = pair.bob.get(f"/v1/conversations/{group}/messages")["messages"]
    assert [(event["kind"], event["target"], event["metadata"]) for event in history[1:]] == [
        ("react", 1, {"emoji": "👍", "on": on}) for on in (True, True, False)
    ]
    assert pair.ana.ask("POST", path, {"emoji": ""}).refusal == (400, "INVALID_PAYLOAD")


def test_presence_tells_of_acquaintances(pair: Pair) -> None:
    pair.group()
    ana, bob = pair.names
    found = pair.ana.get(f"/v1/presence?users={bob},{ana}")
    assert [each["username"] for each in found["presences"]] == [bob, ana]
    assert set(found["presences"][0]) == {"username", "status", "last_seen", "devices"}
    assert found["presences"][0]["status"] == "offline"


def test_where_a_message_may_not_go_is_told(pair: Pair) -> None:
    refused = pair.ana.ask("POST", "/v1/messages", text(recipient_id="whatsapp:+5511999998888"))
    assert refused.refusal == (422, "CHANNEL_UNAVAILABLE")
    stranger = pair.ana.ask("POST", "/v1/messages", text(conversation_id=str(uuid.uuid4())))
    assert stranger.refusal == (404, "NOT_FOUND")


# --- the same request again -----------------------------------------------------------------------


def test_a_write_with_an_idempotency_key_is_carried_out_once(pair: Pair, names: Names) -> None:
    (carla,) = names(1)

    def twice(method: str, path: str, body: Any = None) -> Answer:
        key = str(uuid.uuid4())
        first = pair.ana.ask(method, path, body, Idempotency_Key=key)
        again = pair.ana.ask(method, path, body, Idempotency_Key=key)
        assert first.status < 300, first.body
        assert again.status < 300, again.body
        return again

    made = twice("POST", "/v1/conversations", {"type": "group", "members": [pair.names[1]]})
    path = f"/v1/conversations/{made.json['conversation_id']}"
    sent = twice("POST", "/v1/messages", text(conversation_id=made.json["conversation_id"])).json
    message = f"/v1/messages/{sent['message_id']}"
    twice("PATCH", message, text("ho"))
    twice("POST", f"{message}/read")
    twice("POST", f"{message}/reactions", {"emoji": "👍"})
    twice("POST", f"{path}/members", {"username": carla})
    twice("PATCH", f"{path}/members/{carla}", {"role": "admin"})
    twice("DELETE", f"{path}/members/{carla}")
    twice("PATCH", path, {"title": "Another"})
    twice("DELETE", message)
    leaving = [
        pair.bob.ask("DELETE", f"{path}/members/{pair.names[1]}", Idempotency_Key="leaving").status
        for _ in range(2)
    ]
    assert leaving == [204, 204]
    twice("PATCH", "/v1/users/me", {"display_name": "Ana"})
    twice("POST", "/v1/auth/register", {"username": f"x-{uuid.uuid4().hex}", "password": PASSWORD})
    history = pair.ana.get(f"{path}/messages")["messages"]
    assert [event["kind"] for event in history] == [
        *("message", "edit", "react", "join", "change", "leave", "change", "delete", "leave"),
    ]
    assert len(pair.ana.get("/v1/conversations")["conversations"]) == 1


def test_an_idempotency_key_is_for_one_request(pair: Pair) -> None:
    group, name = pair.group(), f"x-{uuid.uuid4().hex}"
    for path, body, other in (
        ("/v1/messages", text(conversation_id=group), text("ho", conversation_id=group)),
        (
            "/v1/auth/register",
            {"username": name, "password": PASSWORD},
            {"username": name, "password": "another password"},
        ),
    ):
        assert pair.ana.ask("POST", path, body, Idempotency_Key="k").status < 300
        refused = pair.ana.ask("POST", path, other, Idempotency_Key="k")
        assert refused.refusal == (409, "CONFLICT")


# --- the document ---------------------------------------------------------------------------------


def test_the_document_and_its_page_need_nothing_from_elsewhere(pair: Pair) -> None:
    document = pair.nobody.get("/openapi.json")
    assert document["openapi"].startswith("3.1")
    page = pair.nobody.ask("GET", "/docs")
    assert page.status in (200, 301, 302, 307, 308)
    assert b"//cdn" not in page.body
