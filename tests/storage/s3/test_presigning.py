"""Addresses are signed as botocore signs them."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING
from unittest.mock import patch
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_storage.ports.objects import Shown
from chat4all_storage.s3.presigning import LONGEST, Credentials, Presigner

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_800_000_000.0
KEYS = st.text("abcXYZ019-_", min_size=1, max_size=30)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


def by_botocore(
    credentials: Credentials,
    method: str,
    url: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    lifetime: int,
) -> str:
    """The address that botocore makes, at the same moment."""
    at = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    signer = botocore.auth.S3SigV4QueryAuth(
        botocore.credentials.Credentials(
            credentials.access_key, credentials.secret_key, credentials.token
        ),
        "s3",
        "eu-west-1",
        expires=lifetime,
    )
    asked = urlencode(query, quote_via=quote, safe="-_.~")
    request = botocore.awsrequest.AWSRequest(method, f"{url}?{asked}", dict(headers))
    with patch.object(botocore.auth, "get_current_datetime", lambda: at):
        signer.add_auth(request)
    made: str = request.url
    return made


def told(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.netloc}{parts.path}"
    return where, dict(parse_qsl(parts.query, keep_blank_values=True))


@given(
    key=KEYS,
    upload=TEXTS.filter(bool),
    part=st.integers(1, 10_000),
    size=st.integers(1, 2**40),
    lifetime=st.integers(1, LONGEST),
    token=st.none() | st.text("abc+/=", min_size=1),
)
def test_an_address_is_signed_as_botocore_does(
    key: str, upload: str, part: int, size: int, lifetime: int, token: str | None
) -> None:
    credentials = Credentials("AKIDEXAMPLE", "secret/with+signs", token)
    presigner = Presigner("https://s3.example:9000/at", "files", "eu-west-1", path_style=True)
    query = {"partNumber": str(part), "uploadId": upload}
    headers = {"content-length": str(size)}
    made = presigner.sign(
        credentials, "PUT", key, query, lifetime=lifetime, now=NOW, headers=headers
    )
    url = f"https://s3.example:9000/at/files/{key}"
    assert told(made) == told(by_botocore(credentials, "PUT", url, query, headers, lifetime))


@given(name=TEXTS, mime=TEXTS)
def test_so_is_an_address_with_whatever_name_and_type(name: str, mime: str) -> None:
    credentials = Credentials("AKIDEXAMPLE", "secret")
    presigner = Presigner("https://s3.amazonaws.com", "files", "eu-west-1", path_style=False)
    query = {
        "response-content-disposition": Shown(name, mime).disposition,
        "response-content-type": mime,
    }
    made = presigner.sign(credentials, "GET", "key", query, lifetime=60, now=NOW)
    url = "https://files.s3.amazonaws.com/key"
    assert told(made) == told(by_botocore(credentials, "GET", url, query, {}, 60))


@pytest.mark.parametrize(
    ("endpoint", "path_style", "where"),
    [
        ("http://127.0.0.1:9000", True, "http://127.0.0.1:9000/files/key"),
        ("http://s3.example:80/", True, "http://s3.example/files/key"),
        ("https://s3.example:443", True, "https://s3.example/files/key"),
        ("https://example.org/s3/", True, "https://example.org/s3/files/key"),
        ("http://[::1]:9000", True, "http://[::1]:9000/files/key"),
        ("https://s3.eu-west-1.amazonaws.com", False,
         "https://files.s3.eu-west-1.amazonaws.com/key"),
    ],
)  # fmt: skip
def test_the_bucket_is_in_the_path_or_in_the_name_of_the_host(
    endpoint: str, path_style: bool, where: str
) -> None:
    presigner = Presigner(endpoint, "files", "eu-west-1", path_style=path_style)
    made = presigner.sign(Credentials("a", "b"), "GET", "key", {}, lifetime=60, now=NOW)
    assert told(made)[0] == where


def test_lifetimes_are_whole_seconds_within_what_s3_allows() -> None:
    presigner = Presigner("https://s3.example", "files", "eu-west-1", path_style=True)
    for lifetime, expires in ((0.0, "1"), (1.2, "2"), (60.0, "60"), (1e9, str(LONGEST))):
        made = presigner.sign(Credentials("a", "b"), "GET", "k", {}, lifetime=lifetime, now=NOW)
        assert told(made)[1]["X-Amz-Expires"] == expires
