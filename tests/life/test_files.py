"""Files as their users see them, on each kind of store: up, sent, down, and away again."""

from __future__ import annotations

import io
import random
import re
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from chat4all_protocol.frames import AskFile, Edit, FileBody, FileProgress, Msg, Send, Sent
from chat4all_protocol.ids import new_id
from tests.life.crowd import Member, member
from tests.life.devices import Device, people
from tests.life.file_client import PDF, at, begin_and_leave, checksum, pdf, upload_of
from tests.life.file_servers import CHUNK, MIB, QUOTA

if TYPE_CHECKING:
    from tests.life.file_servers import FileServer

pytestmark = pytest.mark.xdist_group("files")  # one server on each store for all of them

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
FILE = {
    *("file_id", "filename", "size", "mime_type", "status", "checksum", "conversation_id"),
    *("uploaded_by", "created_at", "width", "height", "thumbnail", "reason"),
}


async def next_of(device: Device, kind: type[Any]) -> Any:
    """The next frame of this kind; what else comes meanwhile is passed over."""
    while not isinstance(frame := await device.receive(), kind):
        pass
    return frame


# --- up and down ----------------------------------------------------------------------------------


def test_a_file_goes_up_in_parts_in_any_order_and_comes_down_as_it_was(files: FileServer) -> None:
    (ana,) = files.users(1)
    data = pdf(2 * CHUNK + 1000)
    body = {"filename": "plan é.pdf", "size": len(data), "mime_type": PDF}
    promised = ana.rest.post("/v1/files/initiate", body)
    assert promised.keys() >= {"file_id", "chunk_size", "total_chunks", "uploads", "expires_at"}
    assert UUID.fullmatch(promised["file_id"])
    assert TIME.fullmatch(promised["expires_at"])
    assert (promised["chunk_size"], promised["total_chunks"]) == (CHUNK, 3)
    assert [each["part"] for each in promised["uploads"]] == [1, 2, 3]
    assert all(each.keys() == {"part", "method", "url", "headers"} for each in promised["uploads"])

    upload = upload_of(promised, data)
    for number in (3, 1, 3):
        assert upload.put(number).status == 200
    status = ana.status(upload.id)
    assert (status["status"], status["uploaded_chunks"]) == ("uploading", [1, 3])
    assert status["missing_chunks"] == [2]
    assert status["progress_percentage"] == pytest.approx(100 * (CHUNK + 1000) / len(data), abs=1)
    assert ana.show(upload.id)["status"] == "uploading"
    assert upload.put(2).status == 200
    assert ana.status(upload.id)["missing_chunks"] == []

    done = ana.complete(upload.id, data)
    assert done.status == 200
    file = done.json
    assert file.keys() >= FILE
    assert file == ana.show(upload.id)
    assert {name: file[name] for name in FILE - {"created_at"}} == {
        "file_id": upload.id,
        "filename": "plan é.pdf",
        "size": len(data),
        "mime_type": PDF,
        "status": "ready",
        "checksum": checksum(data),
        "conversation_id": None,
        "uploaded_by": ana.name,
        "width": None,
        "height": None,
        "thumbnail": False,
        "reason": None,
    }
    status = ana.status(upload.id)
    assert (status["missing_chunks"], status["progress_percentage"]) == ([], 100)

    fetched = ana.fetch(upload.id)
    assert fetched.status == 200
    assert fetched.body == data
    assert fetched.headers["content-type"] == PDF
    assert fetched.headers["accept-ranges"] == "bytes"
    shown = fetched.headers["content-disposition"]
    assert shown.startswith("attachment;")
    assert "filename*=UTF-8''plan%20%C3%A9.pdf" in shown
    if files.s3 is None:
        assert fetched.headers["x-content-type-options"] == "nosniff"


def test_a_download_may_be_by_ranges(files: FileServer) -> None:
    (ana,) = files.users(1)
    data = pdf(100_000)
    url = ana.download(ana.upload(data)).headers["location"]
    for asked, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=5000-9999", 5000, 9999),
        ("bytes=99000-", 99_000, 99_999),
        ("bytes=-10", 99_990, 99_999),
    ):
        answer = at(url, headers={"Range": asked})
        assert answer.status == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/100000"
        assert answer.body == data[first : last + 1]
    assert at(url, headers={"Range": "bytes=100000-"}).status == 416
    assert at(url).body == data


def test_parts_go_up_at_the_same_time_and_again_after_a_failure(files: FileServer) -> None:
    (ana,) = files.users(1)
    data = pdf(4 * CHUNK - 1, seed=1)
    upload = ana.promise(data)
    for number in (2, 4):
        begin_and_leave(upload.url(number), upload.piece(number), 200_000)
    upload.put_all()
    begin_and_leave(upload.url(3), upload.piece(3), 200_000)
    assert ana.status(upload.id)["uploaded_chunks"] == [1, 2, 3, 4]
    for number in (2, 3, 3):
        assert upload.put(number).status == 200
    assert ana.complete(upload.id, data).status == 200
    assert ana.fetch(upload.id).body == data


def test_who_has_lost_the_addresses_asks_for_those_of_what_is_missing(files: FileServer) -> None:
    (ana,) = files.users(1)
    data = pdf(2 * CHUNK, seed=2)
    upload = ana.promise(data)
    assert upload.put(1).status == 200
    found = ana.status(upload.id)
    again = upload_of({**found, "file_id": upload.id, "chunk_size": upload.chunk}, data)
    assert [each["part"] for each in again.uploads] == [2]
    again.put_all()
    assert ana.status(upload.id)["uploads"] == []
    assert ana.complete(upload.id, data).status == 200
    assert ana.fetch(upload.id).body == data


def test_the_same_request_again_is_answered_the_same(files: FileServer) -> None:
    (ana,) = files.users(1)
    data = pdf(50_000)
    body = {"filename": "a.pdf", "size": len(data), "mime_type": PDF}
    key = str(uuid.uuid4())
    first, again = (
        ana.rest.ask("POST", "/v1/files/initiate", body, Idempotency_Key=key) for _ in range(2)
    )
    assert (first.status, again.status) == (201, 201)
    assert first.json["file_id"] == again.json["file_id"]
    upload_of(again.json, data).put_all()
    done = [ana.complete(first.json["file_id"], data) for _ in range(2)]
    assert [answer.status for answer in done] == [200, 200]
    assert done[0].json == done[1].json
    assert len(ana.rest.get("/v1/files")["files"]) == 1
    other = ana.rest.ask("POST", "/v1/files/initiate", {**body, "size": 1}, Idempotency_Key=key)
    assert other.refusal == (409, "CONFLICT")


def test_a_picture_has_dimensions_and_a_thumbnail(files: FileServer) -> None:
    ana, bob = files.users(2)
    made = io.BytesIO()
    Image.frombytes("RGB", (800, 600), random.Random(3).randbytes(800 * 600 * 3)).save(made, "PNG")
    id_ = ana.upload(made.getvalue(), name="view.png", mime="image/png")
    file = ana.show(id_)
    assert (file["width"], file["height"], file["thumbnail"]) == (800, 600, True)
    sent = ana.say(files.group(ana, bob), id_)
    message = bob.rest.get(f"/v1/messages/{sent['message_id']}")
    assert message["payload"]["thumbnail"] is True
    found = bob.rest.ask("GET", f"/v1/files/{id_}/thumbnail")
    assert found.status == 302
    thumbnail = at(found.headers["location"])
    assert thumbnail.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(thumbnail.body)) as image:
        assert (image.format, image.size) == ("JPEG", (320, 240))


# --- in messages ----------------------------------------------------------------------------------


def test_a_file_is_sent_over_rest_and_fetched_by_who_can_read_it(files: FileServer) -> None:
    ana, bob, carla = files.users(3)
    data = pdf(70_000)
    id_ = ana.upload(data)
    group = files.group(ana, bob)
    message_id = str(uuid.uuid4())
    sent = ana.say(group, id_, "the plan", message_id=message_id)
    assert ana.say(group, id_, "the plan", message_id=message_id) == sent
    (message,) = bob.rest.get(f"/v1/conversations/{group}/messages")["messages"]
    payload = message["payload"]
    assert (payload["type"], payload["file_id"], payload["text"]) == ("file", id_, "the plan")
    assert (payload["filename"], payload["size"], payload["mime_type"]) == (
        *("plan.pdf", 70_000, PDF),
    )
    assert bob.show(id_)["uploaded_by"] == ana.name
    assert bob.fetch(id_).body == data
    assert carla.download(id_).refusal == (404, "NOT_FOUND")

    forwarded = bob.say(files.group(bob, carla), id_)
    assert carla.rest.get(f"/v1/messages/{forwarded['message_id']}")["payload"]["size"] == 70_000
    assert carla.fetch(id_).body == data


async def test_a_file_is_sent_over_a_socket_and_told_by_the_server(files: FileServer) -> None:
    ana, bob = files.users(2)
    first, second = (ana.upload(pdf(size), name=f"{size}.pdf") for size in (10_000, 20_000))
    group = files.group(ana, bob)
    async with people(files.process) as here:
        sender, reader = [await here.connect(each.name) for each in (ana, bob)]
        lie = FileBody(first, "look", name="other.exe", size=1, mime="text/html", width=9)
        send = Send(rid=1, conv=group, id=new_id(), body=lie)
        await sender.send(send)
        sent = await next_of(sender, Sent)
        seen = await next_of(reader, Msg)
        told = FileBody(first, "look", name="10000.pdf", size=10_000, mime=PDF)
        assert (seen.seq, seen.body) == (sent.seq, told)
        await sender.send(send)
        assert (await next_of(sender, Sent)).dup

        await sender.send(
            Edit(rid=2, conv=group, id=new_id(), target=sent.seq, body=FileBody(second))
        )
        await next_of(sender, Sent)
        edit = await next_of(reader, Msg)
        assert (edit.kind, edit.target) == ("edit", sent.seq)
        assert edit.body == FileBody(second, name="20000.pdf", size=20_000, mime=PDF)
    assert bob.fetch(second).body == pdf(20_000)
    assert bob.download(first).refusal == (404, "NOT_FOUND")  # no message has it any more


def test_a_message_may_be_edited_to_carry_a_file(files: FileServer) -> None:
    ana, bob = files.users(2)
    group, id_ = files.group(ana, bob), ana.upload(pdf(3000))
    body = {"conversation_id": group, "payload": {"type": "text", "text": "wait"}}
    sent = ana.rest.post("/v1/messages", body, 202)
    edited = ana.rest.ask(
        "PATCH",
        f"/v1/messages/{sent['message_id']}",
        {"payload": {"type": "file", "file_id": id_}},
    )
    assert (edited.status, edited.json["payload"]["filename"]) == (200, "plan.pdf")
    assert bob.fetch(id_).body == pdf(3000)


def test_messages_of_one_sender_stay_in_order_with_files_among_them(files: FileServer) -> None:
    ana, bob = files.users(2)
    group, id_ = files.group(ana, bob), ana.upload(pdf(3000))
    for number in range(6):
        if number % 2:
            ana.say(group, id_, str(number))
        else:
            payload = {"type": "text", "text": str(number)}
            ana.rest.post("/v1/messages", {"conversation_id": group, "payload": payload}, 202)
    found = bob.rest.get(f"/v1/conversations/{group}/messages")["messages"]
    assert [message["payload"]["text"] for message in found] == list("012345")


# --- what the uploader is told --------------------------------------------------------------------


async def on_each_node(stack: AsyncExitStack, files: FileServer, name: str) -> list[Member]:
    """A device of this user on each of two nodes."""
    found: dict[str, Member] = {}
    while len(found) < 2:
        device = await stack.enter_async_context(member(files.port, name, f"device{len(found)}"))
        found.setdefault(device.node, device)
    return list(found.values())


async def told_of(device: Member, file: str, state: str) -> dict[str, Any]:
    """The frame that tells of this state; what else comes meanwhile is passed over."""
    while True:
        frame = await device.receive()
        if frame["t"] == "file" and (frame["file"], frame["state"]) == (file, state):
            return frame


async def test_the_uploader_learns_on_every_node_what_has_become_of_a_file(
    files: FileServer,
) -> None:
    (ana,) = files.users(1)
    async with AsyncExitStack() as stack:
        devices = await on_each_node(stack, files, ana.name)
        good = ana.upload(pdf(3000))
        bad = ana.promise(pdf(4000))
        bad.put_all()
        assert ana.complete(bad.id, b"something else").refusal == (409, "CONFLICT")
        for device in devices:
            frame = await told_of(device, good, "ready")
            assert (frame["size"], frame["uploaded"], frame["name"]) == (3000, 3000, "plan.pdf")
            assert "rid" not in frame
            assert (await told_of(device, bad.id, "rejected"))["reason"] == "checksum"


async def test_the_uploader_may_ask_over_the_socket_how_far_a_file_is(files: FileServer) -> None:
    ana, bob = files.users(2)
    upload = ana.promise(pdf(CHUNK + 2 * MIB))
    assert upload.put(2).status == 200
    async with people(files.process) as here:
        device, stranger = [await here.connect(each.name) for each in (ana, bob)]
        asked = await device.ask(AskFile(rid=device.next_rid(), file=upload.id), FileProgress)
        assert (asked.state, asked.uploaded, asked.size) == (
            *("uploading", 2 * MIB, CHUNK + 2 * MIB),
        )
        for file in (upload.id, new_id()):
            refused = await stranger.refused(AskFile(rid=stranger.next_rid(), file=file))
            assert refused.code == "NOT_FOUND"


# --- away -----------------------------------------------------------------------------------------


def test_who_removes_a_file_ends_it_for_everybody(files: FileServer) -> None:
    ana, bob = files.users(2)
    id_ = ana.upload(pdf(3000))
    sent = ana.say(files.group(ana, bob), id_)
    assert bob.rest.ask("DELETE", f"/v1/files/{id_}").refusal == (404, "NOT_FOUND")
    assert bob.fetch(id_).status == 200
    assert ana.rest.ask("DELETE", f"/v1/files/{id_}").status == 204
    assert ana.rest.ask("DELETE", f"/v1/files/{id_}").refusal == (404, "NOT_FOUND")
    for user in (ana, bob):
        assert user.rest.ask("GET", f"/v1/files/{id_}").refusal == (404, "NOT_FOUND")
        assert user.download(id_).refusal == (404, "NOT_FOUND")
    # The message stays, and tells what was there.
    message = bob.rest.get(f"/v1/messages/{sent['message_id']}")
    assert message["payload"]["filename"] == "plan.pdf"


def test_all_files_of_a_user_have_a_bound_and_what_is_removed_makes_room(files: FileServer) -> None:
    (ana,) = files.users(1)
    size = QUOTA // 2
    body = {"filename": "a.pdf", "size": size, "mime_type": PDF}
    kept = [ana.rest.post("/v1/files/initiate", body)["file_id"] for _ in range(2)]
    before = files.stored.everything()
    refused = ana.rest.ask("POST", "/v1/files/initiate", {**body, "size": 1})
    assert refused.refusal == (413, "TOO_LARGE")
    assert refused.error["details"]["quota_bytes"] == QUOTA
    assert files.stored.everything() == before
    assert ana.rest.ask("DELETE", f"/v1/files/{kept[0]}").status == 204
    ana.rest.post("/v1/files/initiate", body)


def test_own_files_are_listed_page_by_page(files: FileServer) -> None:
    ana, _ = files.users(2)
    made = sorted(ana.upload(pdf(1000 + number)) for number in range(3))
    first = ana.rest.get("/v1/files?limit=2")
    rest = ana.rest.get(f"/v1/files?limit=2&cursor={first['next_cursor']}")
    assert [file["file_id"] for file in first["files"] + rest["files"]] == made
    assert rest["next_cursor"] is None
