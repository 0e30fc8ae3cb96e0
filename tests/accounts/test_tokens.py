from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.accounts import tokens as module
from chat4all_actors.accounts.tokens import (
    LEEWAY,
    MAX_LIFETIME,
    Identity,
    TokenRefused,
    Tokens,
    load_key,
    load_or_generate_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "k" * 32
NOW = 1_000_000_000


class Clock:
    """The wall clock of a test."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens(KEY, clock=clock)


CLAIMS: dict[str, Any] = {
    "sub": "user-1",
    "name": "ana",
    "iss": "chat4all",
    "aud": "chat4all",
    "iat": NOW,
    "exp": NOW + 3600,
    "jti": "token-1",
}
ABSENT = object()


def part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def signed(header: object, claims: object, key: str = KEY, digest: Any = hashlib.sha256) -> str:
    """A token made by hand, signed with HMAC whatever its header says."""
    content = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    return f"{content}.{part(hmac.new(key.encode(), content.encode(), digest).digest())}"


def token(**changes: Any) -> str:
    """A good token but for these claims."""
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not ABSENT}
    return signed({"alg": "HS256", "typ": "JWT"}, claims)


def refuse(tokens: Tokens, text: str) -> TokenRefused:
    with pytest.raises(TokenRefused) as caught:
        tokens.verify(text)
    if len(text) > 8:
        assert text not in str(caught.value)
    return caught.value


# What is accepted


def test_a_token_names_the_user_it_was_issued_for(tokens: Tokens) -> None:
    identity = tokens.verify(tokens.issue("user-1", "ana"))
    assert (identity.user_id, identity.username) == ("user-1", "ana")
    assert identity.expires_at == NOW + 3600


def test_a_token_made_by_hand_to_the_same_rules_is_accepted(tokens: Tokens) -> None:
    assert tokens.verify(token()) == Identity("user-1", "ana", float(NOW + 3600), NOW, "token-1")


def test_every_token_has_an_id_of_its_own(tokens: Tokens) -> None:
    issued = [tokens.verify(tokens.issue("user-1", "ana")) for _ in range(3)]
    assert len({identity.token_id for identity in issued}) == 3


def test_a_token_lives_as_long_as_was_set(clock: Clock) -> None:
    tokens = Tokens(KEY, lifetime=60, clock=clock)
    issued = tokens.issue("user-1", "ana")
    clock.now += 59.9
    tokens.verify(issued)
    clock.now += 0.1
    assert refuse(tokens, issued).expired


def test_a_key_has_at_least_32_bytes() -> None:
    Tokens("é" * 16)
    with pytest.raises(ValueError, match="32 bytes"):
        Tokens("k" * 31)


# What is refused


@pytest.mark.parametrize("claim", list(CLAIMS))
@pytest.mark.parametrize("value", [ABSENT, None], ids=["absent", "null"])
def test_every_claim_is_required(tokens: Tokens, claim: str, value: object) -> None:
    assert not refuse(tokens, token(**{claim: value})).expired


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("sub", 5),
        ("sub", ["user-1"]),
        ("sub", {"a": 1}),
        ("name", 5),
        ("name", ["ana"]),
        ("jti", 5),
        ("iat", str(NOW)),
        ("iat", NOW + 0.5),
        ("iat", True),
        ("exp", str(NOW + 3600)),
        ("exp", NOW + 3600.5),
        ("exp", [NOW + 3600]),
        ("iss", "somebody else"),
        ("iss", ["chat4all"]),
        ("aud", "somebody else"),
        ("aud", ["another", "one"]),
        ("aud", 5),
    ],
)
def test_a_claim_of_another_kind_or_value_is_refused(
    tokens: Tokens, claim: str, value: object
) -> None:
    assert not refuse(tokens, token(**{claim: value})).expired


def test_a_token_signed_with_another_key_is_refused(tokens: Tokens, clock: Clock) -> None:
    assert not refuse(tokens, Tokens("other" * 8, clock=clock).issue("user-1", "ana")).expired


def test_an_expired_token_of_another_key_is_not_told_to_have_expired(
    tokens: Tokens, clock: Clock
) -> None:
    foreign = Tokens("other" * 8, clock=clock).issue("user-1", "ana")
    clock.now += 7200
    assert not refuse(tokens, foreign).expired


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, ["HS256"], 5])
@pytest.mark.parametrize("unsigned", [True, False])
def test_a_token_without_an_algorithm_is_refused(
    tokens: Tokens, algorithm: object, unsigned: bool
) -> None:
    made = signed({"alg": algorithm}, CLAIMS)
    refuse(tokens, made.rpartition(".")[0] + "." if unsigned else made)


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("HS384", hashlib.sha384),
        ("HS512", hashlib.sha512),
        ("RS256", hashlib.sha256),
        ("ES256", hashlib.sha256),
        ("PS256", hashlib.sha256),
        ("hs256", hashlib.sha256),
    ],
)
def test_any_other_algorithm_is_refused_though_signed_with_our_key(
    tokens: Tokens, algorithm: str, digest: Any
) -> None:
    refuse(tokens, signed({"alg": algorithm, "typ": "JWT"}, CLAIMS, digest=digest))


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_token_that_was_changed_is_refused(tokens: Tokens, position: int) -> None:
    parts, others = token().split("."), token(sub="user-2", exp=NOW + 60).split(".")
    parts[position] = others[position] if position else part(b'{"typ":"JWT","alg":"HS256"}')
    refuse(tokens, ".".join(parts))


@pytest.mark.parametrize(
    "malleate",
    [
        lambda text: text + "=",
        lambda text: text.replace(".", "=.", 1),
        lambda text: text + "!",
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text + ".",
        lambda text: text[:-4] + "!" + text[-4:],
        lambda text: text[:-1] + "AB"[text.endswith("A")] + "\u00e9",
        lambda text: text[:-1],
    ],
)
def test_a_token_has_one_form_only(tokens: Tokens, malleate: Any) -> None:
    refuse(tokens, malleate(token()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "\ud800.a.b",
        "é.é.é",
        "null",
        "\0",
        "x" * 10_000,
        "." * 10_000,
        f"{part(b'[')}.{part(b'[')}.{part(b'[')}",
        f"{part(b'5')}.{part(b'5')}.{part(b'5')}",
        f"{part(b'[' * 10_000)}.e30.AA",
        f"{part(b'9' * 5_000)}.e30.AA",
        f"{part(bytes([255, 254]))}.e30.AA",
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_what_is_no_token_at_all_is_refused(tokens: Tokens, text: str) -> None:
    assert not refuse(tokens, text).expired


@pytest.mark.parametrize("claims", [[], "ana", 5, None])
def test_claims_that_are_no_object_are_refused(tokens: Tokens, claims: object) -> None:
    refuse(tokens, signed({"alg": "HS256"}, claims))


# Times


def test_an_expired_token_is_told_so(tokens: Tokens) -> None:
    assert not refuse(tokens, "no token").expired
    assert refuse(tokens, token(iat=NOW - 3600, exp=NOW)).expired
    assert tokens.verify(token(iat=NOW - 3600, exp=NOW + 1)).expires_at == NOW + 1


def test_a_token_may_come_from_a_clock_that_is_a_little_ahead(tokens: Tokens) -> None:
    tokens.verify(token(iat=NOW + LEEWAY))
    assert not refuse(tokens, token(iat=NOW + LEEWAY + 1)).expired


def test_a_token_that_claims_a_longer_life_than_this_server_gives_is_refused(
    tokens: Tokens,
) -> None:
    tokens.verify(token(exp=NOW + MAX_LIFETIME))
    refuse(tokens, token(exp=NOW + MAX_LIFETIME + 1))
    refuse(tokens, token(iat=NOW - MAX_LIFETIME, exp=NOW + 1))
    refuse(tokens, token(exp=10**300))


# The key


def test_a_directory_without_a_key_has_none(tmp_path: Path) -> None:
    assert load_key(tmp_path) is None
    assert load_key(tmp_path / "missing") is None


def test_the_key_is_made_at_first_use_and_kept(tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "data"
    key = load_or_generate_key(data_dir)
    assert len(key.encode()) >= 32
    Tokens(key)
    assert load_or_generate_key(data_dir) == load_key(data_dir) == key
    assert load_or_generate_key(tmp_path / "other") != key


def test_only_the_owner_can_read_the_key(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    load_or_generate_key(data_dir)
    (file,) = data_dir.iterdir()  # no draft is left
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_two_that_ask_first_at_the_same_time_get_the_same_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_found_none = threading.Barrier(2)
    first_look = threading.local()

    def look(data_dir: Path) -> str | None:
        found = load_key(data_dir)
        if not hasattr(first_look, "done"):
            first_look.done = True
            both_found_none.wait()
        return found

    monkeypatch.setattr(module, "load_key", look)
    keys: list[str] = []
    threads = [
        threading.Thread(target=lambda: keys.append(load_or_generate_key(tmp_path)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keys == [load_key(tmp_path)] * 2
    assert [file.name for file in tmp_path.iterdir()] == ["jwt.key"]


# Tokens in our own form are read at a glance


def test_a_token_that_this_server_issued_is_read_without_the_library(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = tokens.issue("user-1", "ana", login="login-1")
    monkeypatch.setattr("jwt.decode", None)
    assert tokens.verify(issued).login == "login-1"


ODD = {
    "nbf": st.sampled_from([ABSENT, NOW + 60, NOW - 60, "soon"]),
    "aud": st.sampled_from(["chat4all", "other", ["chat4all"], [], 7]),
    "iss": st.sampled_from(["chat4all", "other", ["chat4all"], None]),
    "iat": st.sampled_from([NOW, float(NOW), True, "now", None, ABSENT, -1, 10**30]),
    "exp": st.sampled_from([NOW + 60, NOW + 60.5, NOW - 60, None, ABSENT, 10**30]),
    "jti": st.sampled_from(["token-1", "", 7, None, ABSENT]),
    "sub": st.sampled_from(["user-1", "", 7, None, ABSENT, "\ud800"]),
    "name": st.sampled_from(["ana", "client:shop", "", None, ABSENT, "\ud800"]),
    "client": st.sampled_from([ABSENT, None, "shop", "", 7]),
    "scope": st.sampled_from([ABSENT, None, "messages users", 7]),
    "sid": st.sampled_from([ABSENT, None, "login-1", 7]),
    "more": st.sampled_from([ABSENT, {"a": [1]}]),
}
FORMS = st.sampled_from(
    [
        lambda text: text,
        lambda text: text + "A",
        lambda text: text[:-1],
        lambda text: text[:-1] + chr(ord(text[-1]) ^ 1),
        lambda text: "." + text,
        lambda text: text + ".",
        lambda text: text.replace(".", "..", 1),
        lambda text: text.replace("e", "E", 1),
        lambda text: " " + text,
    ]
)


@given(
    changed=st.sets(st.sampled_from(sorted(ODD)), max_size=2).flatmap(
        lambda names: st.fixed_dictionaries({name: ODD[name] for name in names})
    ),
    header=st.sampled_from(
        [{"alg": "HS256", "typ": "JWT"}, {"typ": "JWT", "alg": "HS256"}, {"alg": "none"}]
    ),
    form=FORMS,
    key=st.sampled_from([KEY, "o" * 32]),
)
def test_reading_at_a_glance_decides_as_the_library_does(
    changed: dict[str, Any], header: dict[str, str], form: Callable[[str], str], key: str
) -> None:
    claims = {name: value for name, value in (CLAIMS | changed).items() if value is not ABSENT}
    content = f"{part(json.dumps(header, separators=(',', ':')).encode())}"
    content += f".{part(json.dumps(claims).encode())}"
    digest = hmac.new(key.encode(), content.encode(), hashlib.sha256).digest()
    text = form(f"{content}.{part(digest)}")

    def outcome() -> Identity | str:
        try:
            return Tokens(KEY, clock=lambda: NOW).verify(text)
        except TokenRefused as error:
            return str(error)

    found = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "read_own", lambda *_: None)
        assert found == outcome()
