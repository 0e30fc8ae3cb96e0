"""Signatures, by vectors that were computed elsewhere and by the specification word by word."""

from __future__ import annotations

import base64
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.webhooks.signing import (
    LEAST_BYTES,
    MOST_BYTES,
    BadSecret,
    headers,
    new_secret,
    parse,
    shown,
)

# Of the libraries of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_request_is_signed_as_the_specification_shows() -> None:
    assert headers(ID, AT, BODY, [parse(SECRET)]) == {
        "webhook-id": ID,
        "webhook-timestamp": str(AT),
        "webhook-signature": SIGNATURE,
    }


def test_another_implementation_computes_the_same() -> None:
    key, body = new_secret(), '{"text": "áé"}'.encode()
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}"]
    done = subprocess.run(
        [*command, "-binary"], input=b"evt_1.1700000000." + body, capture_output=True, check=True
    )
    expected = f"v1,{base64.b64encode(done.stdout).decode()}"
    assert headers("evt_1", 1_700_000_000, body, [key])["webhook-signature"] == expected


def test_while_a_secret_is_replaced_both_sign() -> None:
    one, two = new_secret(), new_secret()
    both = headers(ID, AT, BODY, [two, one])["webhook-signature"].split(" ")
    assert both == [headers(ID, AT, BODY, [key])["webhook-signature"] for key in (two, one)]


@given(st.binary(min_size=LEAST_BYTES, max_size=MOST_BYTES))
def test_a_secret_is_read_as_it_is_shown(secret: bytes) -> None:
    assert parse(shown(secret)) == secret


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begins with whsec_"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZI-2LaLaSw", "base64"),
        (shown(bytes(LEAST_BYTES - 1)), "24 to 64 bytes"),
        (shown(bytes(MOST_BYTES + 1)), "24 to 64 bytes"),
    ],
)
def test_what_is_no_secret_is_refused_and_says_why(text: str, why: str) -> None:
    with pytest.raises(BadSecret, match=why):
        parse(text)
