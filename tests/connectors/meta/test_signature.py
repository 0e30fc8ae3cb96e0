from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chat4all_connectors.meta.signature import is_signed, is_token, proof, sign

BODY = b'{"object":"whatsapp_business_account","entry":[]}'
SIGNED = "sha256=09eceea024af6e6343b760cc9bd3ae7c056938dd636e24e92109eb8219500384"


def test_a_known_body_has_a_known_signature() -> None:
    assert sign("appsecret", BODY) == SIGNED
    assert is_signed("appsecret", BODY, SIGNED)


@settings(max_examples=50, deadline=None)
@given(body=st.binary(max_size=200), other=st.binary(max_size=200))
def test_a_signature_is_of_one_body_alone(body: bytes, other: bytes) -> None:
    assert is_signed("secret", other, sign("secret", body)) == (body == other)


@settings(max_examples=50, deadline=None)
@given(header=st.text(max_size=80))
def test_no_other_header_is_taken(header: str) -> None:
    assert is_signed("appsecret", BODY, header) == (header == SIGNED)


def test_without_a_secret_nothing_is_signed() -> None:
    assert not is_signed("", BODY, sign("", BODY))
    assert not is_signed("appsecret", BODY, None)
    assert not is_signed("appsecret", BODY, SIGNED.removeprefix("sha256="))
    assert not is_signed("appsecret", BODY, SIGNED.replace("sha256", "sha1"))


@settings(max_examples=50, deadline=None)
@given(given_=st.text(max_size=20))
def test_a_verify_token_is_one_alone(given_: str) -> None:
    assert is_token("verify", given_) == (given_ == "verify")


def test_without_a_verify_token_none_is_taken() -> None:
    assert not is_token("", "")
    assert not is_token("verify", None)


def test_a_proof_is_of_secret_and_token() -> None:
    assert len(proof("secret", "token")) == 64
    assert proof("secret", "token") != proof("secret", "other") != proof("other", "other")


def test_characters_that_no_header_can_have_are_wrong_too() -> None:
    assert not is_signed("appsecret", BODY, "\ud800")
    assert not is_token("verify", "\ud800")
