"""Signing keys that change while tokens live, and service clients' tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jwt
import pytest
import trio

from chat4all_actors.accounts.errors import BadCredentials, InvalidField
from chat4all_actors.accounts.keyring import Keyring, add_key
from chat4all_actors.accounts.rotation import DELAY, EVERY
from chat4all_actors.accounts.sealing import Sealing, Unreadable
from chat4all_actors.accounts.tokens import MAX_LIFETIME, TokenRefused, Tokens
from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.errors import ClientTaken

from .accounts_harness import ACTOR, KEY, Place, now

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_storage.ports.keys import Algorithm


def keyring(place: Place, algorithm: Algorithm, key: str = KEY) -> Keyring:
    """A node's."""
    return Keyring(place.storage.accounts.keys, Sealing(key), algorithm, now)


def tokens(ring: Keyring) -> Tokens:
    return Tokens(KEY, clock=now, keyring=ring)


async def rotate(place: Place, algorithm: Algorithm) -> str:
    kid = await add_key(place.storage.accounts.keys, Sealing(KEY), algorithm, SHELL)
    assert kid is not None
    return kid


@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA"])
async def test_others_verify_tokens_by_the_published_keys_alone(
    autojump_clock: MockClock, algorithm: Algorithm
) -> None:
    ring = keyring(Place(), algorithm)
    await ring.load()
    token = tokens(ring).issue("id", "ana")
    (published,) = json.loads(json.dumps(ring.jwks()))["keys"]
    assert published["kid"] == jwt.get_unverified_header(token)["kid"]
    assert (published["alg"], published["use"]) == (algorithm, "sig")
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(published)
    key = jwt.PyJWK(published)
    claims = jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        audience="chat4all",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["name"] == "ana"
    assert tokens(ring).verify(token).username == "ana"


async def test_nodes_that_start_together_make_one_key(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    place = Place()
    rings = [keyring(place, "EdDSA") for _ in range(5)]
    async with trio.open_nursery() as starting:
        for ring in rings:
            starting.start_soon(nursery.start, ring.run)
    assert len(await place.storage.accounts.keys.all()) == 1
    token = tokens(rings[0]).issue("id", "ana")
    for ring in rings:
        assert tokens(ring).verify(token).username == "ana"
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("algorithm", ["HS256", "EdDSA"])
async def test_a_new_key_signs_when_all_know_it_and_the_old_one_verifies_for_a_day(
    autojump_clock: MockClock, algorithm: Algorithm
) -> None:
    place = Place()
    ring = keyring(place, algorithm)
    await rotate(place, algorithm)
    await trio.sleep(DELAY + 1)
    await ring.load()
    old = tokens(ring).issue("id", "ana")
    second = await rotate(place, algorithm)
    await ring.load()
    assert ring.get(second) is not None
    assert jwt.get_unverified_header(tokens(ring).issue("id", "ana"))["kid"] != second
    await trio.sleep(DELAY)
    assert jwt.get_unverified_header(tokens(ring).issue("id", "ana"))["kid"] == second
    assert tokens(ring).verify(old).username == "ana"
    first = jwt.get_unverified_header(old)["kid"]
    await trio.sleep(MAX_LIFETIME)
    await ring.load()
    assert ring.get(first) is not None
    await trio.sleep(2 * DELAY)
    await ring.load()
    assert ring.get(first) is None


async def test_a_node_follows_the_directory(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    place = Place()
    ring = keyring(place, "HS256")
    await nursery.start(ring.run)
    kid = await rotate(place, "HS256")
    assert ring.get(kid) is None
    await trio.sleep(EVERY + 0.1)
    assert ring.get(kid) is not None
    nursery.cancel_scope.cancel()


async def test_without_keys_in_the_directory_the_server_s_own_signs(
    autojump_clock: MockClock,
) -> None:
    ring = keyring(Place(), "HS256")
    await ring.load()
    token = tokens(ring).issue("id", "ana")
    assert "kid" not in jwt.get_unverified_header(token)
    assert ring.jwks() == {"keys": []}
    assert Tokens(KEY, clock=now).verify(token).username == "ana"


async def test_a_key_verifies_by_its_own_algorithm_only(autojump_clock: MockClock) -> None:
    ring = keyring(Place(), "RS256")
    await ring.load()
    (published,) = ring.jwks()["keys"]
    claims = jwt.decode(
        tokens(ring).issue("id", "ana"), options={"verify_signature": False}, audience="chat4all"
    )
    headers = {"kid": published["kid"]}
    # What is public as an HMAC secret: the classic confusion.
    forged = jwt.encode(claims, published["n"], algorithm="HS256", headers=headers)
    by_own_key = jwt.encode(claims, KEY, algorithm="HS256", headers=headers)
    unknown = jwt.encode(claims, KEY, algorithm="HS256", headers={"kid": "../jwt.key"})
    for token in (forged, by_own_key, unknown):
        with pytest.raises(TokenRefused):
            tokens(ring).verify(token)


async def test_a_key_of_another_server_s_is_left_out(autojump_clock: MockClock) -> None:
    place = Place()
    await rotate(place, "HS256")
    foreign = keyring(place, "HS256", "another key, of 32 bytes and more")
    await foreign.load()
    assert foreign.signing() is None


def test_what_is_sealed_opens_for_the_same_thing_only() -> None:
    sealing = Sealing(KEY)
    sealed = sealing.seal("second factors", "ana", b"secret")
    assert sealed != sealing.seal("second factors", "ana", b"secret")
    assert Sealing(KEY).unseal("second factors", "ana", sealed) == b"secret"
    for purpose, about, data in (
        ("signing keys", "ana", sealed),
        ("second factors", "bob", sealed),
        ("second factors", "ana", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        ("second factors", "ana", b""),
    ):
        with pytest.raises(Unreadable):
            sealing.unseal(purpose, about, data)  # type: ignore[arg-type]


# --- service clients ------------------------------------------------------------------------------


async def test_a_client_gets_a_token_with_its_scopes_and_none_to_refresh(
    autojump_clock: MockClock,
) -> None:
    place = Place()
    added = await place.desk.clients.add("bot", ["act_as", "messages:write"], SHELL)
    grant = await place.desk.client_token(added.client.id, added.secret, None, ACTOR)
    identity = place.desk.tokens.verify(grant.access_token)
    assert (identity.client, identity.username) == ("bot", "client:bot")
    assert identity.user_id == added.client.id
    assert identity.scopes == {"messages:write", "act_as"}
    assert (identity.login, grant.refresh_token) == (None, None)
    assert grant.scope == "messages:write act_as"
    assert await place.acts("client:bot") == ["client.added", "client.token"]
    assert ("logins", f"client:{added.client.id}") in place.counted


async def test_a_client_asks_for_less_but_not_for_more(autojump_clock: MockClock) -> None:
    place = Place()
    added = await place.desk.clients.add("bot", ["messages:write", "messages:read"], SHELL)
    less = await place.desk.client_token(added.client.id, added.secret, "messages:read", ACTOR)
    assert place.desk.tokens.verify(less.access_token).scopes == {"messages:read"}
    with pytest.raises(InvalidField):
        await place.desk.client_token(added.client.id, added.secret, "act_as", ACTOR)


@pytest.mark.parametrize("id_", ["bot-id", "nobody", "\0"])
async def test_a_wrong_id_and_a_wrong_secret_look_the_same(
    autojump_clock: MockClock, id_: str
) -> None:
    place = Place()
    await place.desk.clients.add("bot", [], SHELL, id_="bot-id", secret="its own secret")
    with pytest.raises(BadCredentials, match="the client's id or secret is wrong"):
        await place.desk.client_token(id_, "another secret", None, ACTOR)
    assert (await place.acts(None))[-1] == "client.refused"


async def test_what_can_not_be_a_client_is_refused(autojump_clock: MockClock) -> None:
    clients = Place().desk.clients
    await clients.add("bot", [], SHELL, id_="bot-id")
    for name, scopes, id_, secret, field in (
        ("a b", [], None, None, "name"),
        ("bot2", ["everything"], None, None, "scope"),
        ("bot2", [], "a b", None, "id"),
        ("bot2", [], None, "short", "secret"),
    ):
        with pytest.raises(InvalidField) as caught:
            await clients.add(name, scopes, SHELL, id_=id_, secret=secret)
        assert caught.value.field == field
    with pytest.raises(ClientTaken):
        await clients.add("bot", [], SHELL)


def test_no_user_s_token_passes_for_a_client_s() -> None:
    issuer = Tokens(KEY)
    for claims in (
        {"name": "client:bot"},
        {"name": "ana", "client": "bot"},
        {"name": "client:", "client": ""},
        {"name": "ana", "client": 5},
        {"name": "ana", "scope": ["act_as"]},
        {"name": "ana", "sid": 5},
    ):
        good = jwt.decode(
            issuer.issue("id", "ana"), options={"verify_signature": False}, audience="chat4all"
        )
        with pytest.raises(TokenRefused):
            issuer.verify(jwt.encode(good | claims, KEY, algorithm="HS256"))
