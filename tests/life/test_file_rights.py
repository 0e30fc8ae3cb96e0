"""Whose a file is, and who may have it now: on each kind of store."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.life.file_client import Uploader, field_of, message, pdf

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.life.file_servers import FileServer

pytestmark = pytest.mark.xdist_group("files")  # one server on each store for all of them


def _hidden(user: Uploader, id_: str) -> None:
    """It looks to this user as if there were no such file."""
    for path in ("", "/upload", "/download", "/thumbnail"):
        refused = user.rest.ask("GET", f"/v1/files/{id_}{path}")
        missing = user.rest.ask("GET", f"/v1/files/{uuid.uuid4()}{path}")
        assert refused.refusal == missing.refusal == (404, "NOT_FOUND"), path
        assert refused.error["message"] == missing.error["message"]
    refused = user.rest.ask("DELETE", f"/v1/files/{id_}")
    assert refused.refusal == (404, "NOT_FOUND")


def test_a_file_of_somebody_else_looks_as_if_it_were_not_there(
    files: FileServer, unchanged: Callable[[], None]
) -> None:
    ana, eve, friend = files.users(3)
    ready, unready = ana.upload(pdf(1000)), ana.promise(pdf(1000))
    own = files.group(eve, friend)
    files.group(ana, eve)  # to have a conversation in common is not enough
    unchanged()
    for id_ in (ready, unready.id, str(uuid.uuid4())):
        _hidden(eve, id_)
        refused = eve.complete(id_, unready.data)
        assert refused.refusal == (404, "NOT_FOUND")
        said = eve.rest.ask("POST", "/v1/messages", message(own, id_))
        assert said.refusal == (404, "NOT_FOUND")
        assert field_of(said) == "payload.file_id"
    assert eve.rest.get(f"/v1/conversations/{own}/messages")["messages"] == []


def test_a_file_can_be_sent_when_it_is_ready(
    files: FileServer, unchanged: Callable[[], None]
) -> None:
    ana, bob = files.users(2)
    group, upload = files.group(ana, bob), ana.promise(pdf(1000))
    upload.put_all()
    unchanged()
    refused = ana.rest.ask("POST", "/v1/messages", message(group, upload.id))
    assert refused.refusal == (409, "CONFLICT")
    assert field_of(refused) == "payload.file_id"
    assert ana.download(upload.id).refusal == (409, "CONFLICT")
    assert bob.rest.get(f"/v1/conversations/{group}/messages")["messages"] == []


def test_who_has_left_fetches_no_more_and_who_comes_later_nothing_of_before(
    files: FileServer,
) -> None:
    ana, bob, late = files.users(3)
    group, id_ = files.group(ana, bob), ana.upload(pdf(1000))
    ana.say(group, id_)
    assert bob.fetch(id_).status == 200
    members = f"/v1/conversations/{group}/members"
    assert bob.rest.ask("DELETE", f"{members}/{bob.name}").status == 204
    _hidden(bob, id_)
    said = bob.rest.ask("POST", "/v1/messages", message(files.group(bob, late), id_))
    assert said.refusal == (404, "NOT_FOUND")
    assert ana.fetch(id_).status == 200
    assert ana.rest.ask("POST", members, {"username": late.name}).status == 201
    seen = late.rest.get(f"/v1/conversations/{group}/messages")["messages"]
    if any(event["payload"] and event["payload"]["type"] == "file" for event in seen):
        assert late.fetch(id_).status == 200  # what a member reads, it may fetch
    else:
        _hidden(late, id_)


def test_a_deleted_message_hands_out_no_file(files: FileServer) -> None:
    ana, bob = files.users(2)
    group, id_ = files.group(ana, bob), ana.upload(pdf(1000))
    sent = ana.say(group, id_)
    assert bob.fetch(id_).status == 200
    assert ana.rest.ask("DELETE", f"/v1/messages/{sent['message_id']}").status == 204
    _hidden(bob, id_)
    assert ana.fetch(id_).status == 200
    ana.say(group, id_)
    assert bob.fetch(id_).status == 200
