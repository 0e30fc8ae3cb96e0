"""A copy of what is one's own, and its erasure."""

from __future__ import annotations

import io
import json
import math
import zipfile
from typing import TYPE_CHECKING, Any

import trio

from chat4all_actors.edge.rest.api import GROUPS
from chat4all_actors.edge.rest.app import build
from chat4all_actors.upkeep.erasure import DELAY, INTERVAL
from chat4all_storage.ports.contacts import Link
from tests.actors.harness import running_node
from tests.edge.rest.harness import Api
from tests.storage.files import HASH, in_state

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_actors.node import Node

PASSWORD = "correct horse"


async def registered(node: Node, name: str) -> Api:
    """A user with a password and a token of a login."""
    api = Api(build(node, GROUPS, version="1"), node, None)
    body = {"username": name, "password": PASSWORD}
    made = await api.ask("POST", "/v1/auth/register", body)
    assert made.status == 201, made.body
    granted = await api.ask("POST", "/v1/auth/token", body)
    api.headers["Authorization"] = f"Bearer {granted.json['access_token']}"
    return api


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"payload": {"type": "text", "text": words}, **fields}


async def test_an_archive_has_everything_that_is_the_users_own() -> None:
    async with running_node(bcrypt_cost=4) as node:
        dora, emil = await registered(node, "dora"), await registered(node, "emil")
        sent = await dora.ask("POST", "/v1/messages", text("hello", recipient_id="emil"))
        await emil.ask("POST", "/v1/messages", text("hi dora", recipient_id="dora"))
        held = node._storage.files
        ready = await in_state(held, "ready", owner="dora")
        begun = await in_state(held, "uploading", owner="dora")
        await in_state(held, "removing", owner="dora")
        await in_state(held, "ready", owner="emil")
        link = Link("dora", "telegram", "telegram:7", "7", None)
        contacts = node._storage.channels.contacts
        await contacts.ask_link(link, code_hash=b"of the code", expires_at=1)
        export = await dora.ask("GET", "/v1/users/me/export")
        assert (export.status, export.headers["content-type"]) == (200, "application/zip")
        with zipfile.ZipFile(io.BytesIO(export.body)) as archive:
            assert archive.testzip() is None
            assert json.loads(archive.read("profile.json"))["username"] == "dora"
            (device,) = json.loads(archive.read("devices.json"))
            assert device["created_at"]
            (link,) = json.loads(archive.read("channels.json"))
            assert link == {"channel": "telegram", "address": "telegram:7", "verified_at": None}
            acts = [entry["act"] for entry in json.loads(archive.read("activity.json"))]
            assert {"user.added", "login.opened"} <= set(acts)
            (listed,) = json.loads(archive.read("conversations.json"))
            conversation = sent.json["conversation_id"]
            assert listed["conversation_id"] == conversation
            lines = archive.read(f"conversations/{conversation}.jsonl").splitlines()
            texts = [json.loads(line)["payload"]["text"] for line in lines]
            assert texts == ["hello", "hi dora"]
            told = [json.loads(line) for line in archive.read("files.jsonl").splitlines()]
            statuses = {each["file_id"]: each["status"] for each in told}
            assert statuses == {ready.id: "ready", begun.id: "uploading"}
            (of_it,) = [each for each in told if each["file_id"] == ready.id]
            assert (of_it["filename"], of_it["mime_type"]) == ("holiday.png", "image/png")
            assert (of_it["size"], of_it["width"], of_it["height"]) == (100, 4, 3)
            assert of_it["checksum"] == f"sha256:{HASH.hex()}"
            assert of_it["completed_at"] >= of_it["created_at"]


async def test_an_erased_user_leaves_neither_name_nor_words(mock_clock: MockClock) -> None:
    async with running_node(bcrypt_cost=4) as node:
        dora, emil = await registered(node, "dora"), await registered(node, "emil")
        file = await in_state(node._storage.files, "ready", owner="dora")
        await dora.ask("POST", "/v1/messages", text("a secret", recipient_id="emil"))
        body = {"type": "group", "members": ["emil"], "title": "t"}
        group = (await dora.ask("POST", "/v1/conversations", body)).json["conversation_id"]
        await dora.ask("POST", "/v1/messages", text("another", conversation_id=group))
        await emil.ask("POST", "/v1/messages", text("an answer", conversation_id=group))
        wrong = await dora.ask("POST", "/v1/users/me/erasure", {"password": "wrong horse"})
        assert wrong.status == 401
        gone = await dora.ask("POST", "/v1/users/me/erasure", {"password": PASSWORD})
        assert gone.status == 202
        assert (await dora.ask("GET", "/v1/users/me")).status == 401
        mock_clock.autojump_threshold = 0  # not before: it does not wait for threads that hash
        await trio.sleep(DELAY + 2 * INTERVAL)
        mock_clock.autojump_threshold = math.inf
        listed = (await emil.ask("GET", "/v1/conversations")).body
        assert b"dora" not in listed
        assert b"secret" not in listed
        history = await emil.ask("GET", f"/v1/conversations/{group}/messages")
        assert b"dora" not in history.body
        assert b"another" not in history.body
        assert b"an answer" in history.body
        members = (await emil.ask("GET", f"/v1/conversations/{group}")).json
        assert members["roles"] == {"emil": "owner"}
        left = await node._storage.files.find(file.id)
        assert left is not None
        assert (left.state, left.name) == ("removing", "")
        assert "dora" not in repr(left)
        await registered(node, "dora")
