"""The endpoints of files, as their users see them; what the service decides is told elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from chat4all_actors.edge.rest import files as group
from chat4all_actors.edge.rest import messages
from chat4all_actors.edge.rest.app import build
from chat4all_actors.files.errors import FileRefused
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import InDoubt, Unavailable
from tests.actors.fake_files import FakeFiles, picture
from tests.actors.harness import running_node
from tests.edge.rest.harness import Api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_actors.node import Node
    from tests.edge.rest.harness import Reply

PICTURE = picture()
NEW: dict[str, Any] = {"filename": "a/plan.png", "size": 9, "mime_type": "Image/PNG"}
CHECKSUM = "sha256:" + "00" * 32
LIMITS: dict[str, Any] = {"rate_files_burst": 3, "rate_files_per_minute": 60}


class Attic:
    """A node with a picture of ana's, and who asks for it."""

    def __init__(self, node: Node) -> None:
        self.files = node.files = FakeFiles(PICTURE)
        self._app = build(node, [group.routes, messages.routes], version="1")
        self.node = node
        self.ana, self.bob = Api(self._app, node, "ana"), Api(self._app, node, "bob")

    def client(self, *scopes: str) -> Api:
        api = Api(self._app, self.node, None)
        token = self.node.tokens.issue_for_client("id of agent", "agent", {"act_as", *scopes})
        api.headers |= {"Authorization": f"Bearer {token}", "X-On-Behalf-Of": "ana"}
        return api

    async def begin(self, **headers: Any) -> Reply:
        return await self.ana.ask("POST", "/v1/files/initiate", NEW, **headers)


@pytest.fixture
async def attic() -> AsyncIterator[Attic]:
    async with running_node(**LIMITS) as node:
        yield Attic(node)


async def test_an_upload_is_begun_with_an_address_for_each_part(attic: Attic) -> None:
    begun = await attic.begin(Host="chat.example:8443")
    assert begun.status == 201
    assert begun.json == {
        "file_id": begun.json["file_id"],
        "chunk_size": 4,
        "total_chunks": 3,
        "uploads": [
            {
                "part": part,
                "method": "PUT",
                "url": f"http://chat.example:8443/{part}",
                "headers": {"x-size": size},
            }
            for part, size in ((1, "4"), (2, "4"), (3, "1"))
        ],
        "expires_at": "2023-11-14T22:23:20Z",
    }
    file = attic.files.all[begun.json["file_id"]]
    assert (file.owner, file.name, file.mime) == ("ana", "plan.png", "image/png")


async def test_where_this_server_is_reached_may_be_a_setting() -> None:
    async with running_node(public_url="https://chat.example") as node:
        begun = await Attic(node).begin()
        assert begun.json["uploads"][0]["url"] == "https://chat.example/1"


async def test_the_same_key_finds_the_upload_as_it_stands(attic: Attic) -> None:
    first = await attic.begin(Idempotency_Key="k")
    attic.files.uploaded = [2]
    again = await attic.begin(Idempotency_Key="k")
    assert again.json["file_id"] == first.json["file_id"]
    assert [each["part"] for each in again.json["uploads"]] == [1, 3]
    other = await attic.ana.ask(
        "POST", "/v1/files/initiate", NEW | {"size": 8}, Idempotency_Key="k"
    )
    assert (other.status, other.code) == (409, "CONFLICT")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"filename": ""}, "filename"),
        ({"filename": "x" * 256}, "filename"),
        ({"size": 0}, "size"),
        ({"size": 2**63}, "size"),
        ({"mime_type": "png"}, "mime_type"),
        ({"mime_type": "text/plain; charset=utf-8"}, "mime_type"),
        ({"conversation_id": "../1"}, "conversation_id"),
    ],
)
async def test_what_no_file_can_be_is_refused_by_its_field(
    attic: Attic, fields: dict[str, Any], field: str
) -> None:
    refused = await attic.ana.ask("POST", "/v1/files/initiate", NEW | fields)
    assert (refused.status, refused.code, refused.field) == (400, "INVALID_PAYLOAD", field)


@pytest.mark.parametrize(
    ("failure", "status", "details"),
    [
        (
            FileRefused(ErrorCode.TOO_LARGE, "full", field="size", details={"quota_bytes": 7}),
            413,
            {"field": "size", "quota_bytes": 7},
        ),
        (FileRefused(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "no"), 415, None),
        (FileRefused(ErrorCode.NOT_FOUND, "none"), 404, None),
        (FileRefused(ErrorCode.TIMEOUT, "later", retry_after=2), 504, None),
        (Unavailable("away"), 503, None),
        (InDoubt("lost"), 504, None),
    ],
)
async def test_every_refusal_has_its_answer(
    attic: Attic, failure: Exception, status: int, details: dict[str, Any] | None
) -> None:
    attic.files.failure = failure
    refused = await attic.begin()
    assert refused.status == status
    assert refused.json["error"].get("details") == details
    assert ("retry-after" in refused.headers) == (status in (503, 504))


async def test_so_many_uploads_may_be_begun(attic: Attic) -> None:
    assert [(await attic.begin()).status for _ in range(4)] == [201, 201, 201, 429]


async def test_an_upload_tells_what_is_missing(attic: Attic) -> None:
    id_ = (await attic.begin()).json["file_id"]
    attic.files.uploaded = [1, 3]
    told = await attic.ana.ask("GET", f"/v1/files/{id_}/upload")
    assert told.status == 200
    assert {name: told.json[name] for name in list(told.json)[:5]} == {
        "status": "uploading",
        "uploaded_chunks": [1, 3],
        "missing_chunks": [2],
        "progress_percentage": 55.6,
        "chunk_size": 4,
    }
    assert [each["part"] for each in told.json["uploads"]] == [2]
    assert (await attic.bob.ask("GET", f"/v1/files/{id_}/upload")).status == 404


async def test_a_complete_upload_is_a_file(attic: Attic) -> None:
    id_ = (await attic.begin()).json["file_id"]
    body = {"file_id": id_, "checksum": CHECKSUM}
    done = await attic.ana.ask("POST", "/v1/files/complete", body)
    assert (done.status, done.json["status"], done.json["checksum"]) == (200, "ready", CHECKSUM)
    assert (await attic.ana.ask("POST", "/v1/files/complete", body)).body == done.body
    other = {"file_id": id_, "checksum": "sha256:" + "11" * 32}
    refused = await attic.ana.ask("POST", "/v1/files/complete", other)
    assert (refused.status, refused.code, refused.field) == (409, "CONFLICT", "checksum")
    for checksum in ("00" * 32, "sha256:" + "0" * 63, "sha256:" + "AA" * 32, "md5:" + "0" * 64):
        bad = await attic.ana.ask("POST", "/v1/files/complete", body | {"checksum": checksum})
        assert (bad.status, bad.field) == (400, "checksum")


async def test_what_is_known_of_a_file_says_nothing_of_where_it_is(attic: Attic) -> None:
    shown = await attic.ana.ask("GET", f"/v1/files/{PICTURE.id}")
    assert shown.status == 200
    assert shown.json == {
        "file_id": PICTURE.id,
        "filename": "plan.png",
        "size": 9,
        "mime_type": "image/png",
        "status": "ready",
        "checksum": CHECKSUM,
        "conversation_id": None,
        "uploaded_by": "ana",
        "created_at": "2023-11-14T22:13:20Z",
        "width": 3,
        "height": 2,
        "thumbnail": True,
        "reason": None,
    }
    assert (await attic.bob.ask("GET", f"/v1/files/{PICTURE.id}")).status == 404
    assert (await attic.ana.ask("GET", f"/v1/files/{new_id()}")).status == 404
    assert (await attic.ana.ask("GET", "/v1/files/..%2f1")).status == 404


async def test_where_a_file_was_meant_for_is_told_to_its_owner_alone(
    attic: Attic, monkeypatch: pytest.MonkeyPatch
) -> None:
    meant = replace(PICTURE, conversation=new_id())

    async def show(*_: object) -> object:
        return meant

    monkeypatch.setattr(attic.files, "show", show)
    path = f"/v1/files/{meant.id}"
    assert (await attic.ana.ask("GET", path)).json["conversation_id"] == meant.conversation
    assert (await attic.bob.ask("GET", path)).json["conversation_id"] is None


@pytest.mark.parametrize(("what", "url"), [("download", "file"), ("thumbnail", "thumbnail")])
async def test_a_download_leads_to_the_bytes(attic: Attic, what: str, url: str) -> None:
    path = f"/v1/files/{PICTURE.id}/{what}"
    led = await attic.ana.ask("GET", path, Host="chat.example")
    assert (led.status, led.body) == (302, b"")
    assert led.headers["location"] == f"http://chat.example/{url}?signed"
    assert (await attic.bob.ask("GET", path)).status == 404
    attic.files.all[PICTURE.id] = replace(PICTURE, state="checking")
    assert (await attic.ana.ask("GET", path)).status == 409


async def test_own_files_are_listed_page_by_page(attic: Attic) -> None:
    ids = sorted([PICTURE.id, *[(await attic.begin()).json["file_id"] for _ in range(2)]])
    attic.files.all[new_id()] = picture("bob")
    first = await attic.ana.ask("GET", "/v1/files?limit=2")
    assert [file["file_id"] for file in first.json["files"]] == ids[:2]
    assert first.json["next_cursor"] == ids[1]
    rest = await attic.ana.ask("GET", f"/v1/files?limit=2&cursor={ids[1]}")
    assert [file["file_id"] for file in rest.json["files"]] == ids[2:]
    assert rest.json["next_cursor"] is None


async def test_an_own_file_is_removed_once_for_a_key(attic: Attic) -> None:
    path = f"/v1/files/{PICTURE.id}"
    assert (await attic.bob.ask("DELETE", path)).status == 404
    assert (await attic.ana.ask("DELETE", path, Idempotency_Key="k")).status == 204
    assert (await attic.ana.ask("DELETE", path, Idempotency_Key="k")).status == 204
    assert (await attic.ana.ask("DELETE", path)).status == 404


async def test_a_service_client_needs_the_scopes_of_files(attic: Attic) -> None:
    path = f"/v1/files/{PICTURE.id}"
    assert (await attic.client("files:read").ask("GET", path)).status == 200
    assert (await attic.client("files:write").ask("GET", path)).status == 403
    assert (await attic.client("files:read").ask("DELETE", path)).status == 403
    assert (await attic.client("files:write").ask("DELETE", path)).status == 204


async def test_a_message_with_a_file_tells_what_it_is_and_comes_again_without_it(
    attic: Attic,
) -> None:
    told = {"type": "file", "file_id": PICTURE.id, "text": "look", "filename": "x", "size": 1}
    body = {"recipient_id": "bob", "message_id": new_id(), "payload": told}
    sent = await attic.ana.ask("POST", "/v1/messages", body)
    assert sent.status == 202
    path = f"/v1/messages/{body['message_id']}"
    payload = {
        "type": "file",
        "file_id": PICTURE.id,
        "text": "look",
        "filename": "plan.png",
        "size": 9,
        "mime_type": "image/png",
        "width": 3,
        "height": 2,
        "thumbnail": True,
    }
    assert (await attic.bob.ask("GET", path)).json["payload"] == payload
    edit = {"payload": {"type": "file", "file_id": PICTURE.id}}
    edited = await attic.ana.ask("PATCH", path, edit)
    assert (edited.status, edited.json["payload"]) == (200, payload | {"text": None})
    await attic.files.remove("ana", PICTURE.id)
    assert (await attic.ana.ask("POST", "/v1/messages", body)).json == sent.json
    refused = await attic.ana.ask("POST", "/v1/messages", body | {"message_id": new_id()})
    assert (refused.status, refused.field) == (404, "payload.file_id")
    assert (await attic.ana.ask("PATCH", path, edit)).field == "payload.file_id"
