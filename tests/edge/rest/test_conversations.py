"""Conversations over REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_protocol.frames import Conv, Msg
from tests.actors.harness import person

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.edge.rest.conftest import Town
    from tests.edge.rest.harness import Api

OTHER = "0b6f5a0e-6c1d-4b8a-9f43-2d1c7a9e4b10"


async def say(api: Api, conversation: str, words: str = "hi") -> str:
    body = {"conversation_id": conversation, "payload": {"type": "text", "text": words}}
    accepted = await api.ask("POST", "/v1/messages", body)
    assert accepted.status == 202, accepted.body
    id_: str = accepted.json["message_id"]
    return id_


async def test_a_pair_has_one_conversation(town: Town) -> None:
    body = {"type": "private", "members": ["bob"]}
    first = await town.ana.ask("POST", "/v1/conversations", body)
    assert first.status == 201
    assert first.json["members"] == ["ana", "bob"]
    assert (first.json["type"], first.json["last_seq"]) == ("private", 0)
    again = await town.bob.ask("POST", "/v1/conversations", body | {"members": ["ana"]})
    assert again.status == 200
    assert again.json["conversation_id"] == first.json["conversation_id"]


async def test_a_group_is_made_with_its_owner_and_its_members_are_told(town: Town) -> None:
    bob = await person(town.node, "bob")
    body = {"type": "group", "members": ["bob"], "title": "Team", "metadata": {"colour": "red"}}
    made = await town.ana.ask("POST", "/v1/conversations", body)
    assert made.status == 201
    assert made.json["roles"] == {"ana": "owner", "bob": "member"}
    assert (made.json["title"], made.json["metadata"]) == ("Team", {"colour": "red"})
    await trio.testing.wait_all_tasks_blocked()
    assert bob.outlet.of(Conv)[-1].conv == made.json["conversation_id"]


async def test_the_same_request_makes_a_group_once(town: Town) -> None:
    async def make(title: str) -> Any:
        body = {"type": "group", "members": ["bob"], "title": title}
        return await town.ana.ask("POST", "/v1/conversations", body, Idempotency_Key="k")

    first, again = await make("Team"), await make("Team")
    assert (first.status, again.status) == (201, 200)
    assert again.json["conversation_id"] == first.json["conversation_id"]
    assert (await make("Other")).code == "CONFLICT"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"type": "private", "members": []}, 400, "members"),
        ({"type": "private", "members": ["bob", "carla"]}, 400, "members"),
        ({"type": "private", "members": ["ana"]}, 400, "members"),
        ({"type": "private", "members": ["bob"], "title": "T"}, 400, "title"),
        ({"type": "group", "members": ["nobody"]}, 404, "members"),
        ({"type": "group", "members": ["bob"], "title": ""}, 400, "title"),
        ({"type": "other", "members": ["bob"]}, 400, "type"),
        ({"type": "group", "members": ["bob"], "metadata": {"a": "x" * 5000}}, 413, "metadata"),
    ],
)
async def test_what_is_no_conversation_is_refused_by_its_field(
    town: Town, body: dict[str, Any], status: int, field: str
) -> None:
    refused = await town.ana.ask("POST", "/v1/conversations", body)
    assert (refused.status, refused.field) == (status, field)


async def test_the_list_is_by_activity_and_comes_in_pages(
    town: Town, mock_clock: MockClock
) -> None:
    groups = [await town.group(town.ana, "bob", title=f"g{n}") for n in range(5)]
    mock_clock.jump(1.0)  # what is told apart by its time has one of its own
    await say(town.bob, groups[1], "latest")
    seen: list[dict[str, Any]] = []
    path: str | None = "/v1/conversations?limit=2"
    while path is not None:
        page = (await town.ana.ask("GET", path)).json
        assert len(page["conversations"]) <= 2
        seen += page["conversations"]
        cursor = page["next_cursor"]
        path = None if cursor is None else f"/v1/conversations?limit=2&cursor={cursor}"
    ids = [one["conversation_id"] for one in seen]
    assert ids[0] == groups[1]
    assert sorted(ids) == sorted(groups)
    assert (seen[0]["unread"], seen[0]["last_seq"]) == (1, 1)
    assert seen[0]["last_message"]["payload"]["text"] == "latest"
    assert seen[1]["last_message"] is None
    refused = await town.ana.ask("GET", "/v1/conversations?cursor=abc")
    assert (refused.status, refused.field) == (400, "cursor")


async def test_history_is_exactly_the_range_that_was_asked_for(town: Town) -> None:
    pair = await town.pair(town.ana, "bob")
    for number in range(1, 8):
        await say(town.ana, pair, str(number))

    async def page(query: str) -> tuple[list[int], int | None, bool]:
        found = (await town.bob.ask("GET", f"/v1/conversations/{pair}/messages?{query}")).json
        numbers = [message["sequence_number"] for message in found["messages"]]
        return numbers, found["next_cursor"], found["has_more"]

    assert await page("limit=3") == ([5, 6, 7], 5, True)
    assert await page("limit=3&before=5") == ([2, 3, 4], 2, True)
    assert await page("limit=3&before=2") == ([1], None, False)
    assert await page("limit=3&after=0") == ([1, 2, 3], 3, True)
    assert await page("limit=3&after=4") == ([5, 6, 7], None, False)
    assert await page("limit=3&after=9") == ([], None, False)
    assert await page("limit=3&after=2&before=5") == ([3, 4], None, False)
    assert await page("limit=3&after=1&before=9") == ([2, 3, 4], 4, True)
    assert await page("limit=3&after=5&before=2") == ([], None, False)


async def test_members_come_and_go_by_the_rules_of_their_roles(town: Town) -> None:
    group = await town.group(town.ana, "bob")
    path = f"/v1/conversations/{group}/members"
    bob = await person(town.node, "bob")
    refused = await town.bob.ask("POST", path, {"username": "carla"})
    assert (refused.status, refused.code) == (403, "FORBIDDEN")
    added = await town.ana.ask("POST", path, {"username": "CARLA"})
    assert (added.status, added.json["members"]) == (201, ["ana", "bob", "carla"])
    await trio.testing.wait_all_tasks_blocked()
    assert [event.kind for event in bob.outlet.of(Msg)] == ["join"]
    assert (await town.ana.ask("POST", path, {"username": "carla"})).status == 409
    assert (await town.ana.ask("POST", path, {"username": "nobody"})).status == 404
    promoted = await town.ana.ask("PATCH", f"{path}/bob", {"role": "admin"})
    assert promoted.json["roles"]["bob"] == "admin"
    assert (await town.bob.ask("PATCH", f"{path}/carla", {"role": "admin"})).status == 403
    assert (await town.bob.ask("DELETE", f"{path}/ana")).status == 403
    assert (await town.bob.ask("DELETE", f"{path}/carla")).status == 204
    assert (await town.carla.ask("GET", f"/v1/conversations/{group}")).status == 404
    assert (await town.ana.ask("DELETE", f"{path}/carla")).status == 404


async def test_the_last_owner_leaves_when_there_is_another(town: Town) -> None:
    group = await town.group(town.ana, "bob")
    path = f"/v1/conversations/{group}/members"
    refused = await town.ana.ask("DELETE", f"{path}/ana")
    assert (refused.status, refused.code) == (409, "CONFLICT")
    assert (await town.ana.ask("PATCH", f"{path}/bob", {"role": "owner"})).status == 200
    assert (await town.ana.ask("DELETE", f"{path}/ana")).status == 204
    assert (await town.bob.ask("DELETE", f"{path}/bob")).status == 204


async def test_who_was_removed_gets_nothing_later(town: Town) -> None:
    group = await town.group(town.ana, "bob", "carla")
    carla = await person(town.node, "carla")
    await town.ana.ask("DELETE", f"/v1/conversations/{group}/members/carla")
    await say(town.ana, group)
    await trio.testing.wait_all_tasks_blocked()
    assert carla.outlet.of(Msg) == []
    assert carla.outlet.of(Conv)[-1].left
    for path in ("", "/messages"):
        answer = await town.carla.ask("GET", f"/v1/conversations/{group}{path}")
        assert answer.status == 404
    assert (await town.carla.ask("GET", "/v1/conversations")).json["conversations"] == []


async def test_a_group_is_changed_by_who_may(town: Town) -> None:
    group = await town.group(town.ana, "bob", title="old")
    bob = await person(town.node, "bob")
    path = f"/v1/conversations/{group}"
    changed = await town.ana.ask("PATCH", path, {"title": "new", "retention_days": 7})
    assert (changed.status, changed.json["title"]) == (200, "new")
    assert (await town.bob.ask("PATCH", path, {"title": "x"})).status == 403
    assert (await town.carla.ask("PATCH", path, {"title": "x"})).status == 404
    assert (await town.ana.ask("PATCH", path, {})).status == 400
    await trio.testing.wait_all_tasks_blocked()
    assert bob.outlet.of(Conv)[-1].title == "new"
    pair = await town.pair(town.ana, "bob")
    assert (await town.ana.ask("PATCH", f"/v1/conversations/{pair}", {"title": "x"})).status == 403


async def test_presence_is_for_acquaintances(town: Town) -> None:
    await town.pair(town.ana, "bob")
    await person(town.node, "bob")
    await person(town.node, "carla")
    found = (await town.ana.ask("GET", "/v1/presence?users=bob,carla,nobody")).json["presences"]
    assert [(one["username"], one["status"], one["devices"]) for one in found] == [
        ("bob", "online", 1),
        ("carla", "offline", 0),
        ("nobody", "offline", 0),
    ]
    for query in ("", "?users=", "?users=a,,b", "?users=" + ",".join(f"u{n}" for n in range(101))):
        assert (await town.ana.ask("GET", f"/v1/presence{query}")).status == 400


async def test_nothing_is_there_for_strangers(town: Town) -> None:
    group = await town.group(town.ana, "bob")
    for id_ in (group, OTHER):
        for path in ("", "/messages"):
            answer = await town.carla.ask("GET", f"/v1/conversations/{id_}{path}")
            assert (answer.status, answer.json["error"]["message"]) == (404, "no such conversation")
