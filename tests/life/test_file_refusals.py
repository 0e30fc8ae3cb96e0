"""What is refused of files, and that nothing has changed by it: on each kind of store."""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest

from chat4all_storage.local.addresses import Addresses
from chat4all_storage.ports.objects import Shown
from tests.life.file_client import PDF, Uploader, at, field_of, pdf
from tests.life.file_servers import LARGEST
from tests.life.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.life.file_servers import FileServer

pytestmark = pytest.mark.xdist_group("files")  # one server on each store for all of them

CODES = {400: "INVALID_PAYLOAD", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
NOBODYS = "00000000-0000-4000-8000-000000000000"
WEEK = 7 * 24 * 3600
TRAVERSALS = ("../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "....//x", "%2e%2e%2fx")


def promise(user: Uploader, **changes: Any) -> Any:
    """The answer to a promise that is right but for these changes; None leaves a field out."""
    body = {"filename": "plan.pdf", "size": 1000, "mime_type": PDF, **changes}
    told = {name: value for name, value in body.items() if value is not None}
    return user.rest.ask("POST", "/v1/files/initiate", told)


def changed(url: str, **changes: str) -> str:
    """The address with other values in its query."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    assert query.keys() >= changes.keys()
    return urlunsplit(parts._replace(query=urlencode(query | changes)))


def moved(url: str, old: str, new: str) -> str:
    """The address with another path."""
    parts = urlsplit(url)
    assert old in parts.path
    return urlunsplit(parts._replace(path=parts.path.replace(old, new)))


# --- promises -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"size": LARGEST + 1}, 413, "TOO_LARGE", "size"),
        ({"size": 2**62}, 413, "TOO_LARGE", "size"),
        ({"size": 0}, 400, "INVALID_PAYLOAD", "size"),
        ({"size": -1}, 400, "INVALID_PAYLOAD", "size"),
        ({"size": 1.5}, 400, "INVALID_PAYLOAD", "size"),
        ({"size": "1000"}, 400, "INVALID_PAYLOAD", "size"),
        ({"size": None}, 400, "INVALID_PAYLOAD", "size"),
        ({"filename": None}, 400, "INVALID_PAYLOAD", "filename"),
        ({"filename": ""}, 400, "INVALID_PAYLOAD", "filename"),
        ({"filename": 7}, 400, "INVALID_PAYLOAD", "filename"),
        ({"mime_type": None}, 400, "INVALID_PAYLOAD", "mime_type"),
        ({"mime_type": "pdf"}, 400, "INVALID_PAYLOAD", "mime_type"),
        ({"mime_type": "text/plain\r\nX: y"}, 400, "INVALID_PAYLOAD", "mime_type"),
        ({"mime_type": "text/html"}, 415, "UNSUPPORTED_MEDIA_TYPE", "mime_type"),
        ({"mime_type": "application/x-msdownload"}, 415, "UNSUPPORTED_MEDIA_TYPE", "mime_type"),
        ({"mime_type": "image/svg+xml"}, 415, "UNSUPPORTED_MEDIA_TYPE", "mime_type"),
        ({"conversation_id": "x"}, 400, "INVALID_PAYLOAD", "conversation_id"),
        ({"conversation_id": NOBODYS}, 404, "NOT_FOUND", "conversation_id"),
    ],
    ids=str,
)
def test_what_may_not_be_uploaded_is_refused_before_its_first_byte(
    files: FileServer,
    unchanged: Callable[[], None],
    changes: dict[str, Any],
    status: int,
    code: str,
    field: str,
) -> None:
    (ana,) = files.users(1)
    unchanged()
    refused = promise(ana, **changes)
    assert refused.refusal == (status, code)
    assert field_of(refused) == field


def test_nobody_uploads_for_a_conversation_of_others_or_without_a_token(
    files: FileServer, unchanged: Callable[[], None]
) -> None:
    ana, bob, stranger = files.users(3)
    group = files.group(ana, bob)
    unchanged()
    assert promise(stranger, conversation_id=group).refusal == (404, "NOT_FOUND")
    for token in (None, "not-a-token"):
        nobody = Uploader(Rest(files.port, token), "")
        assert promise(nobody).refusal == (401, "UNAUTHENTICATED")
        for path in ("", "/upload", "/download", "/thumbnail"):
            asked = nobody.rest.ask("GET", f"/v1/files/{uuid.uuid4()}{path}")
            assert asked.refusal == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("name", TRAVERSALS)
def test_a_name_is_never_a_path(files: FileServer, name: str) -> None:
    (ana,) = files.users(1)
    id_ = ana.upload(pdf(500), name=name)
    shown = ana.show(id_)["filename"]
    assert "/" not in shown
    assert "\\" not in shown
    told = ana.fetch(id_).headers["content-disposition"]
    assert not re.search(r"[/\\]", told)
    (row,) = (row for row in files.stored.rows() if str(row["id"]) == id_)
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", row["key"])
    assert row["key"] in files.stored.objects()


# --- parts ----------------------------------------------------------------------------------------


def _tampered(files: FileServer, url: str, other: str) -> dict[str, str]:
    """What somebody could make of the address of a part, to put something else."""
    key = urlsplit(url).path.split("/")[2]
    if files.s3 is not None:
        return {
            "no signature": url.partition("?")[0],
            "another signature": changed(url, **{"X-Amz-Signature": "0" * 64}),
            "another part": changed(url, partNumber="2"),
            "a longer life": changed(url, **{"X-Amz-Expires": "604800"}),
            "another key": moved(url, key, urlsplit(other).path.split("/")[2]),
            "dots": moved(url, key, f"x/../{key}"),
        }
    return {
        "no signature": url.partition("?")[0],
        "another signature": changed(url, signature="A" * 43),
        "another part": moved(url, f"{key}/1", f"{key}/2"),
        "a longer life": changed(url, until=str(int(time.time()) + WEEK)),
        "another size": changed(url, size="1001"),
        "another key": moved(url, key, urlsplit(other).path.split("/")[2]),
        "a second field": f"{url}&size=1000",
    }


def test_a_changed_address_takes_no_part(files: FileServer, unchanged: Callable[[], None]) -> None:
    ana, eve = files.users(2)
    data = pdf(1000)
    upload, other = ana.promise(data), eve.promise(data)
    unchanged()
    for how, url in _tampered(files, upload.url(), other.url()).items():
        headers = upload.uploads[0]["headers"]
        refused = at(url, "PUT", data, headers)
        assert refused.status in (403, 400) if files.s3 else refused.status == 403, how
        if files.s3 is None:
            assert refused.refusal == (403, "FORBIDDEN")
    for method in ("POST", "GET", "DELETE", "PATCH"):
        refused = at(upload.url(), method, data if method in ("POST", "PATCH") else None)
        assert refused.status == (403 if files.s3 else 405), method


@pytest.mark.parametrize(
    "path", ["/files/../x/1", "/files/%2e%2e/1", "/files/%2e%2e%2fx", "/files/"]
)
def test_a_path_leads_nowhere_but_to_keys(
    files: FileServer, unchanged: Callable[[], None], path: str
) -> None:
    unchanged()
    query = f"?upload=x&size=1&until={int(time.time()) + 60}&signature=x"
    for method, data in (("PUT", b"x"), ("GET", None)):
        refused = at(f"http://127.0.0.1:{files.port}{path}{query}", method, data)
        assert refused.status in (400, 403, 404), refused.body
        assert refused.error["message"]


def test_a_part_has_the_size_that_was_agreed(
    files: FileServer, unchanged: Callable[[], None]
) -> None:
    (ana,) = files.users(1)
    upload = ana.promise(pdf(1000))
    unchanged()
    for size, status in ((1001, 413), (999, 400), (0, 400)):
        refused = at(upload.url(), "PUT", pdf(size))
        assert refused.status == (403 if files.s3 else status)
        if files.s3 is None:
            assert field_of(refused) == "content-length"
    missing = ana.complete(upload.id, upload.data)
    assert missing.refusal == (409, "CONFLICT")
    assert missing.error["details"]["missing_chunks"] == [1]


def test_an_expired_address_takes_and_gives_nothing(
    files: FileServer, unchanged: Callable[[], None]
) -> None:
    (ana,) = files.users(1)
    upload, ready = ana.promise(pdf(1000)), ana.upload(pdf(2000))
    keys = {str(row["id"]): row for row in files.stored.rows()}
    unchanged()
    found = ana.download(ready).headers["location"]
    if files.s3 is not None:
        files.s3.later(2 * 24 * 3600)
        put, got = upload.put(1), at(found)
        files.s3.later(-2 * 24 * 3600)
        assert (put.status, got.status) == (403, 403)
        return
    row, base = keys[upload.id], f"http://127.0.0.1:{files.port}"
    hour_ago = Addresses(files.sign, lambda: time.time() - 3600)
    put_then = hour_ago.upload(row["key"], row["upload"], 1, 1000, lifetime=3500, base=base)
    shown = Shown("plan.pdf", PDF)
    got_then = hour_ago.download(keys[ready]["key"], shown, lifetime=3500, base=base)
    for refused in (at(put_then.url, "PUT", upload.data), at(got_then.url)):
        assert refused.refusal == (403, "FORBIDDEN")
        assert "expired" in refused.error["message"]


# --- downloads ------------------------------------------------------------------------------------


def test_a_changed_address_gives_nothing(files: FileServer) -> None:
    ana, eve = files.users(2)
    hers, his = (
        user.download(user.upload(pdf(size))).headers["location"]
        for user, size in ((ana, 1000), (eve, 2000))
    )
    key, other = (urlsplit(url).path.split("/")[2] for url in (hers, his))
    tampered = [hers.partition("?")[0], moved(hers, key, other)]
    if files.s3 is not None:
        tampered.append(changed(hers, **{"X-Amz-Expires": "604800"}))
        tampered.append(changed(hers, **{"response-content-type": "text/html"}))
    else:
        tampered.append(changed(hers, until=str(int(time.time()) + WEEK)))
        tampered.append(changed(hers, type="text/html"))
        tampered.append(changed(hers, name="other.exe"))
    for url in tampered:
        refused = at(url)
        assert refused.status == 403
        assert pdf(1000)[:100] not in refused.body
    for method in ("PUT", "DELETE", "POST"):
        assert at(hers, method).status == (403 if files.s3 else 405)
    assert at(hers).body == pdf(1000)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/files/initiate", 405),
        ("PUT", "/v1/files/complete", 405),
        ("POST", "/v1/files/{id}", 405),
        ("DELETE", "/v1/files/{id}/upload", 405),
        ("POST", "/v1/files/{id}/download", 405),
        ("GET", "/v1/files/not-an-id", 404),
        ("GET", "/v1/files/..%2f..%2fetc%2fpasswd", 400),
        ("GET", "/v1/files/%2e%2e/%2e%2e/etc/passwd", 400),
        ("GET", "/v1/files/{id}/../../users/me", 400),
    ],
)
def test_other_methods_and_paths_are_refused_in_the_one_format(
    files: FileServer, unchanged: Callable[[], None], method: str, path: str, status: int
) -> None:
    (ana,) = files.users(1)
    id_ = ana.upload(pdf(1000))
    unchanged()
    refused = ana.rest.ask(method, path.format(id=id_))
    assert refused.refusal == (status, CODES[status])
