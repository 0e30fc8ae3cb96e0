"""One way into every operation, and one way out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest
import trio
from msgspec import Meta, Struct

from chat4all_actors.edge.rest.app import build
from chat4all_actors.edge.rest.errors import ApiError
from chat4all_actors.edge.rest.operations import Answer, Routes
from chat4all_protocol.codes import ErrorCode
from chat4all_storage.ports.errors import InDoubt, Unavailable
from tests.actors.harness import running_node
from tests.edge.rest.harness import Api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from chat4all_actors.edge.rest.call import Call

ID = "7d444840-9dc0-41d1-b245-5ffdce74fad2"


class Thing(Struct, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=5)]
    size: Annotated[int, Meta(ge=1, le=9)] = 1


class Which(Struct, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=9)] = 5


class Made(Struct, frozen=True):
    id: str
    what: dict[str, Any]


routes = Routes("Things", "To try things with.")


@routes.post("/v1/things", body=Thing, answers={201: Made, 200: Made}, scope="things:write")
async def make_thing(call: Call, body: Thing) -> Answer:
    """Make a thing."""
    return Answer(Made(call.id("thing"), {"name": body.name}), 201 if body.size == 1 else 200)


@routes.get("/v1/things/{message_id}", query=Which, answers={200: Made}, public=True)
async def read_thing(call: Call, message_id: str, query: Which) -> Made:
    """Read a thing."""
    return Made(message_id, {"limit": query.limit})


@routes.delete("/v1/things/{message_id}", answers={204: None})
async def delete_thing(call: Call, message_id: str) -> None:
    """Delete a thing."""


FAULTS = {
    "bug": RuntimeError("a defect"),
    "away": Unavailable("away"),
    "doubt": InDoubt("in doubt"),
    "limit": ApiError(ErrorCode.RATE_LIMITED, "too many", retry_after=1.2),
}


@routes.post("/v1/faults", body=Thing, answers={204: None}, public=True)
async def fail(call: Call, body: Thing) -> None:
    """Fail in some way."""
    if body.name == "sleep":
        await trio.sleep_forever()
    raise FAULTS[body.name]


@routes.post(
    "/v1/patience",
    answers={204: None},
    public=True,
    time=lambda settings: 4 * settings.request_timeout,
)
async def wait(call: Call) -> None:
    """Take longer than others may."""
    await trio.sleep(3 * call.services.settings.request_timeout)


class Scene:
    def __init__(self, node: Any) -> None:
        app = build(node, [routes], version="1")
        self.ana = Api(app, node, "ana")
        self.bob = Api(app, node, "bob")
        self.nobody = Api(app, node, None)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with running_node() as node:
        yield Scene(node)


async def test_a_handler_gets_what_was_sent_and_returns_what_is_answered(scene: Scene) -> None:
    made = await scene.ana.ask("POST", "/v1/things", {"name": "a", "more": 1})
    assert (made.status, made.json["what"]) == (201, {"name": "a"})
    assert (await scene.ana.ask("POST", "/v1/things", {"name": "a", "size": 2})).status == 200
    read = await scene.nobody.ask("GET", f"/v1/things/{ID}?limit=7")
    assert (read.status, read.json) == (200, {"id": ID, "what": {"limit": 7}})
    gone = await scene.ana.ask("DELETE", f"/v1/things/{ID}")
    assert (gone.status, gone.body) == (204, b"")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"size": 2}', "name"),
        (b'{"name": "abcdef"}', "name"),
        (b'{"name": "a", "size": 10}', "size"),
        (b'{"name": "a", "size": "2"}', "size"),
        (b'{"name": null}', "name"),
        (b"[]", None),
        (b'{"name": "a"', None),
        (b'{"name": "\xff"}', None),
        (b'{"name": "\\ud800"}', None),
        (b"", None),
        (b"[" * 50_000, None),
    ],
)
async def test_a_body_that_is_not_of_the_model_is_refused_by_its_field(
    scene: Scene, body: bytes, field: str | None
) -> None:
    refused = await scene.ana.ask("POST", "/v1/things", data=body)
    assert (refused.status, refused.code, refused.field) == (400, "INVALID_PAYLOAD", field)


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1&limit=2", "limit=1%00"])
async def test_a_query_that_is_not_of_the_model_is_refused_by_its_field(
    scene: Scene, query: str
) -> None:
    refused = await scene.nobody.ask("GET", f"/v1/things/{ID}?{query}")
    assert (refused.status, refused.field) == (400, "limit")


async def test_only_json_is_taken_and_no_more_than_allowed(scene: Scene) -> None:
    other = await scene.ana.ask("POST", "/v1/things", data=b"name=a", Content_Type="text/plain")
    assert (other.status, other.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
    large = await scene.ana.ask("POST", "/v1/things", {"name": "x" * 70_000})
    assert (large.status, large.code) == (413, "TOO_LARGE")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/things/not-an-id", f"/v1/things/{ID}/x"])
async def test_what_is_not_there_looks_the_same_everywhere(scene: Scene, path: str) -> None:
    missing = await scene.ana.ask("GET", path)
    assert (missing.status, missing.code) == (404, "NOT_FOUND")
    assert missing.json["error"]["message"] == "there is nothing here"


async def test_another_method_is_told_which_there_are(scene: Scene) -> None:
    refused = await scene.ana.ask("PUT", f"/v1/things/{ID}")
    assert (refused.status, refused.code) == (405, "METHOD_NOT_ALLOWED")
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "DELETE"}


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer x", "Basic YTpi", "Bearer a b"])
async def test_without_a_valid_token_nobody_gets_in(scene: Scene, value: str | None) -> None:
    if value is not None:
        scene.nobody.headers["Authorization"] = value
    refused = await scene.nobody.ask("POST", "/v1/things", {"name": "a"})
    assert (refused.status, refused.code) == (401, "UNAUTHENTICATED")
    assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_a_user_acts_in_no_other_name(scene: Scene) -> None:
    refused = await scene.ana.ask("POST", "/v1/things", {"name": "a"}, X_On_Behalf_Of="bob")
    assert (refused.status, refused.code) == (403, "FORBIDDEN")


async def test_an_idempotency_key_names_what_a_caller_makes(scene: Scene) -> None:
    async def make(api: Api, key: str) -> str:
        made = await api.ask("POST", "/v1/things", {"name": "a"}, Idempotency_Key=key)
        id_: str = made.json["id"]
        return id_

    first = await make(scene.ana, "k")
    assert await make(scene.ana, "k") == first
    assert await make(scene.ana, "other") != first
    assert await make(scene.bob, "k") != first
    refused = await scene.ana.ask("POST", "/v1/things", {"name": "a"}, Idempotency_Key="k" * 256)
    assert (refused.status, refused.field) == (400, "Idempotency-Key")


@pytest.mark.parametrize(
    ("fault", "status", "code", "retry_after"),
    [
        ("bug", 500, "INTERNAL", None),
        ("away", 503, "UNAVAILABLE", "1"),
        ("doubt", 504, "TIMEOUT", "1"),
        ("limit", 429, "RATE_LIMITED", "2"),
        ("sleep", 504, "TIMEOUT", None),
    ],
)
async def test_every_failure_has_its_answer(
    autojump_clock: MockClock,
    scene: Scene,
    fault: str,
    status: int,
    code: str,
    retry_after: str | None,
) -> None:
    failed = await scene.nobody.ask("POST", "/v1/faults", {"name": fault})
    assert (failed.status, failed.code) == (status, code)
    assert failed.headers.get("retry-after") == retry_after
    assert len(failed.json["error"]["trace_id"]) == 32


async def test_an_operation_may_have_a_time_of_its_own(
    autojump_clock: MockClock, scene: Scene
) -> None:
    assert (await scene.nobody.ask("POST", "/v1/patience")).status == 204


async def test_the_document_tells_what_is_served(scene: Scene) -> None:
    document = (await scene.nobody.ask("GET", "/openapi.json")).json
    assert document["openapi"] == "3.1.0"
    make = document["paths"]["/v1/things"]["post"]
    assert make["operationId"] == "make_thing"
    assert set(make["responses"]) >= {"201", "200", "400", "401", "403", "413", "415", "429", "503"}
    read = document["paths"]["/v1/things/{message_id}"]["get"]
    assert read["security"] == []
    parameters = {part["name"]: part["schema"] for part in read["parameters"]}
    assert parameters["limit"] == {"type": "integer", "minimum": 1, "maximum": 9, "default": 5}
    assert parameters["message_id"]["pattern"].startswith("^[0-9a-f]{8}")
    for name in ("Thing", "Made", "ErrorBody"):
        assert name in document["components"]["schemas"]
    assert msgspec.json.encode(document)
