"""When an upload is no file: it is not what was told, or not whole. On each kind of store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.life.file_client import PDF, Uploader, checksum, field_of, message, pdf
from tests.life.file_servers import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.life.file_client import Upload
    from tests.life.file_servers import FileServer

pytestmark = pytest.mark.xdist_group("files")  # one server on each store for all of them

HTML = b"<!DOCTYPE html><script>alert(1)</script>"
PROGRAM = b"\x7fELF" + bytes(200)


def _unusable(files: FileServer, owner: Uploader, upload: Upload, reason: str) -> None:
    """It is rejected, nothing can be done with it, and nothing of it is in the store."""
    shown = owner.show(upload.id)
    assert (shown["status"], shown["reason"]) == ("rejected", reason)
    assert owner.download(upload.id).refusal == (409, "CONFLICT")
    assert owner.rest.ask("GET", f"/v1/files/{upload.id}/thumbnail").refusal == (409, "CONFLICT")
    group = files.group(owner, *files.users(1))
    said = owner.rest.ask("POST", "/v1/messages", message(group, upload.id))
    assert said.refusal == (409, "CONFLICT")
    assert owner.rest.get(f"/v1/conversations/{group}/messages")["messages"] == []
    (row,) = (row for row in files.stored.rows() if str(row["id"]) == upload.id)
    assert row["key"] not in files.stored.objects()
    assert row["key"] not in files.stored.uploads()
    assert upload.put(1).status in (403, 404)


def test_a_wrong_checksum_leaves_nothing_that_can_be_used(files: FileServer) -> None:
    (ana,) = files.users(1)
    upload = ana.promise(pdf(CHUNK + 1000))
    upload.put_all()
    refused = ana.complete(upload.id, b"other bytes")
    assert refused.refusal == (409, "CONFLICT")
    assert refused.error["details"] == {"field": "checksum", "reason": "checksum"}
    _unusable(files, ana, upload, "checksum")
    again = ana.complete(upload.id, upload.data)  # too late: it is gone
    assert again.refusal == (409, "CONFLICT")
    assert ana.complete(ana.upload(upload.data), upload.data).status == 200


def test_bytes_that_are_not_text_are_no_text(files: FileServer) -> None:
    (ana,) = files.users(1)
    data = bytes(range(256)) * 10
    upload = ana.promise(data, mime="text/plain", name="a.txt")
    if upload.put(1).status == 200:
        assert ana.complete(upload.id, data).refusal == (409, "CONFLICT")
        _unusable(files, ana, upload, "type")
    else:
        assert ana.status(upload.id)["uploaded_chunks"] == []


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({}, "checksum"),
        ({"checksum": "sha256:00"}, "checksum"),
        ({"checksum": "md5:" + "0" * 32}, "checksum"),
        ({"checksum": "sha256:" + "g" * 64}, "checksum"),
        ({"file_id": "x", "checksum": checksum(b"")}, "file_id"),
    ],
    ids=str,
)
def test_a_completion_says_which_file_and_its_hash(
    files: FileServer, unchanged: Callable[[], None], told: dict[str, str], field: str
) -> None:
    (ana,) = files.users(1)
    upload = ana.promise(pdf(1000))
    upload.put_all()
    unchanged()
    refused = ana.rest.ask("POST", "/v1/files/complete", {"file_id": upload.id, **told})
    assert refused.refusal == (400, "INVALID_PAYLOAD")
    assert field_of(refused) == field


def test_a_completion_without_all_parts_changes_nothing(
    files: FileServer, unchanged: Callable[[], None]
) -> None:
    (ana,) = files.users(1)
    upload = ana.promise(pdf(2 * CHUNK + 1))
    assert upload.put(2).status == 200
    unchanged()
    refused = ana.complete(upload.id, upload.data)
    assert refused.refusal == (409, "CONFLICT")
    assert refused.error["details"]["missing_chunks"] == [1, 3]
    assert ana.show(upload.id)["status"] == "uploading"


@pytest.mark.parametrize(
    ("mime", "data"),
    [("image/png", HTML * 30), ("image/png", pdf(1000)), (PDF, PROGRAM), ("video/mp4", PROGRAM)],
)
def test_bytes_of_another_type_are_refused_and_removed(
    files: FileServer, mime: str, data: bytes
) -> None:
    (ana,) = files.users(1)
    before = files.stored.objects()
    upload = ana.promise(data, mime=mime, name="harmless")
    put = upload.put(1)
    if files.s3 is None:  # the node sees them come
        assert put.refusal == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert ana.status(upload.id)["uploaded_chunks"] == []
        return
    assert put.status == 200
    refused = ana.complete(upload.id, data)
    assert refused.refusal == (409, "CONFLICT")
    assert refused.error["details"]["reason"] == "type"
    _unusable(files, ana, upload, "type")
    assert files.stored.objects() == before
