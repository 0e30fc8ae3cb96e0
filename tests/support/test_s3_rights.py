"""The judge of signatures refuses whatever was not signed, as S3 does."""

from __future__ import annotations

from hashlib import sha256

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from msgspec.structs import replace

from chat4all_storage.s3.presigning import Credentials, Presigner
from tests.support.s3_rights import SKEW, Refused, Request, judge

KEYS = {"tests": "secret"}
NOW = 1_800_000_000.0
SENT = Request(
    "PUT",
    "/files/key?partNumber=1&uploadId=up",
    {"host": "s3.example", "content-length": "4"},
    b"data",
)


def presigned(lifetime: float = 60, secret: str = "secret") -> Request:
    presigner = Presigner("http://s3.example", "files", "us-east-1", path_style=True)
    url = presigner.sign(
        Credentials("tests", secret),
        "PUT",
        "key",
        {"partNumber": "1", "uploadId": "up"},
        lifetime=lifetime,
        now=NOW,
        headers={"content-length": "4"},
    )
    return replace(SENT, target=url.removeprefix("http://s3.example"))


def signed_by_botocore() -> tuple[Request, float]:
    """A request with an Authorization header, and when it was made."""
    signer = botocore.auth.S3SigV4Auth(
        botocore.credentials.Credentials("tests", "secret"), "s3", "us-east-1"
    )
    request = botocore.awsrequest.AWSRequest("PUT", f"http://s3.example{SENT.target}", data=b"data")
    signer.add_auth(request)
    headers = {name.lower(): text for name, text in request.headers.items()}
    at = botocore.auth.get_current_datetime().timestamp()
    return replace(SENT, headers={**SENT.headers, **headers}), at


def test_what_was_signed_passes_until_it_expires() -> None:
    judge(presigned(), KEYS, NOW)
    judge(presigned(), KEYS, NOW + 60)
    for now in (NOW + 61, NOW - SKEW - 1):
        with pytest.raises(Refused, match="AccessDenied"):
            judge(presigned(), KEYS, now)


def test_what_was_not_signed_is_refused() -> None:
    good = presigned()
    for other in (
        SENT,
        presigned(secret="another"),
        replace(good, method="GET"),
        replace(good, target=good.target.replace("/key", "/kez")),
        replace(good, target=good.target.replace("partNumber=1", "partNumber=2")),
        replace(good, target=good.target.replace("Expires=60", "Expires=61")),
        replace(good, target=good.target.replace("content-length%3Bhost", "host")),
        replace(good, target=f"{good.target}&more=1"),
        replace(good, headers={**good.headers, "content-length": "5"}),
        replace(good, headers={**good.headers, "host": "other.example"}),
        replace(good, headers={"host": "s3.example"}),
        replace(good, body=b"dat"),
    ):
        with pytest.raises(Refused):
            judge(other, KEYS, NOW)
    with pytest.raises(Refused, match="InvalidAccessKeyId"):
        judge(good, {"others": "secret"}, NOW)


def test_a_header_passes_that_botocore_has_signed() -> None:
    request, at = signed_by_botocore()
    assert request.headers["x-amz-content-sha256"] == sha256(b"data").hexdigest()
    judge(request, KEYS, at)
    with pytest.raises(Refused, match="RequestTimeTooSkewed"):
        judge(request, KEYS, at + SKEW + 10)
    with pytest.raises(Refused, match="XAmzContentSHA256Mismatch"):
        judge(replace(request, body=b"atad"), KEYS, at)
    with pytest.raises(Refused, match="SignatureDoesNotMatch"):
        judge(replace(request, method="POST"), KEYS, at)
