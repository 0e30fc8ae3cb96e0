"""What every store of logins and profiles does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from msgspec.structs import replace

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.answers import registration_scope
from chat4all_storage.ports.audit import SHELL, Actor, user_subject
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.erasures import Erasure
from chat4all_storage.ports.errors import UsernameTaken
from chat4all_storage.ports.logins import ENDED_OVERLAP_MS, REVOCATION_LIFETIME, NewLogin

if TYPE_CHECKING:
    from ..conftest import AccountPlace

MONTH = 30 * 24 * 3600.0
HASH = b"the password's hash"
ACTOR = Actor("anonymous", "192.0.2.7", b"t" * 16)


async def a_user(place: AccountPlace, name: str = "Ana") -> User:
    user = User(new_id(), name, HASH)
    await place.directory.add_user(user)
    return user


def new_login(user: User, token: bytes = b"first") -> NewLogin:
    return NewLogin(new_id(), user.id, b"salt", token, MONTH, "phone", "192.0.2.7", "an agent/1.0")


async def opened(place: AccountPlace, user: User, token: bytes = b"first", most: int = 10) -> str:
    login = new_login(user, token)
    assert await place.stores.logins.open(login, HASH, most, ACTOR) is not None
    return login.id


async def acts(place: AccountPlace, user: User) -> list[str]:
    """What the audit log tells of a user, in order."""
    found = await place.stores.audit.entries(user_subject(user.id))
    return [entry.act for entry in reversed(found)]


async def test_a_login_is_found_as_it_was_opened(place: AccountPlace) -> None:
    user = await a_user(place)
    id_ = await opened(place, user)
    login = await place.stores.logins.find(id_)
    assert login is not None
    assert (login.id, login.user_id, login.username) == (id_, user.id, "Ana")
    assert (login.device, login.address) == ("phone", "192.0.2.7")
    assert login.user_agent == "an agent/1.0"
    assert (login.salt, login.generation, login.token_hash) == (b"salt", 1, b"first")
    assert (login.previous_hash, login.rotated_ago, login.alive) == (None, None, True)
    assert abs(login.expires_at - login.created_at - MONTH * 1000) < 1000
    assert await place.stores.logins.of(user.id) == [login]
    assert await place.stores.logins.find(new_id()) is None
    assert await acts(place, user) == ["user.added", "login.opened"]


async def test_nobody_logs_in_with_a_password_that_was_changed_meanwhile(
    place: AccountPlace,
) -> None:
    user = await a_user(place)
    logins, profiles = place.stores.logins, place.stores.profiles
    assert await profiles.change_password(user.id, HASH, b"new", None, ACTOR) == []
    assert await logins.open(new_login(user), HASH, 10, ACTOR) is None
    assert await logins.open(new_login(user), b"new", 10, ACTOR) == []
    stranger = replace(user, id=new_id())
    assert await logins.open(new_login(stranger), HASH, 10, ACTOR) is None


async def test_a_token_is_replaced_by_one_successor_whoever_asks_at_once(
    place: AccountPlace,
) -> None:
    user = await a_user(place)
    id_ = await opened(place, user)
    won: list[bool] = []

    async def rotate() -> None:
        logins = place.stores.logins
        won.append(await logins.rotate(id_, b"first", b"second", MONTH, ACTOR))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(rotate)
    assert sorted(won) == [False] * 19 + [True]
    login = await place.stores.logins.find(id_)
    assert login is not None
    assert (login.generation, login.token_hash) == (2, b"second")
    assert login.previous_hash == b"first"
    assert login.rotated_ago is not None
    assert 0 <= login.rotated_ago < 60
    assert await acts(place, user) == ["user.added", "login.opened", "token.refreshed"]


async def test_a_login_lives_on_as_long_as_it_is_used(place: AccountPlace) -> None:
    user = await a_user(place)
    used, unused = await opened(place, user), await opened(place, user)
    await place.later(0.6 * MONTH)
    logins = place.stores.logins
    assert await logins.rotate(used, b"first", b"second", MONTH, ACTOR)
    await place.later(0.6 * MONTH)
    assert [login.id for login in await logins.of(user.id)] == [used]
    login = await logins.find(unused)
    assert login is not None
    assert not login.alive
    assert not await logins.rotate(unused, b"first", b"second", MONTH, ACTOR)


async def test_a_login_that_ended_is_told_to_all_nodes_and_refreshes_no_more(
    place: AccountPlace,
) -> None:
    user = await a_user(place)
    one, other = await opened(place, user), await opened(place, user)
    logins = place.stores.logins
    (ended,) = await logins.end(user.id, "logout", ACTOR, only=one)
    assert (ended.login, ended.username) == (one, "Ana")
    assert await logins.end(user.id, "logout", ACTOR, only=one) == []
    assert await logins.ended(ended.at) == [ended]
    assert await logins.ended(ended.at + ENDED_OVERLAP_MS + 1) == []
    assert [login.id for login in await logins.of(user.id)] == [other]
    assert not await logins.rotate(one, b"first", b"second", MONTH, ACTOR)
    assert await logins.rotate(other, b"first", b"second", MONTH, ACTOR)
    entry = (await place.stores.audit.entries(user_subject(user.id)))[1]
    assert (entry.act, entry.actor, entry.address) == ("login.ended", "anonymous", "192.0.2.7")
    assert (entry.trace, entry.details) == (b"t" * 16, {"login": one, "why": "logout"})


async def test_all_logins_of_a_user_end_but_the_one_that_is_kept(place: AccountPlace) -> None:
    ana, bob = await a_user(place), await a_user(place, "bob")
    ids = [await opened(place, ana) for _ in range(3)]
    bobs = await opened(place, bob)
    logins = place.stores.logins
    ended = await logins.end(ana.id, "logout", ACTOR, keep=ids[1])
    assert {each.login for each in ended} == {ids[0], ids[2]}
    assert [login.id for login in await logins.of(ana.id)] == [ids[1]]
    assert [each.login for each in await logins.end(ana.id, "logout", ACTOR)] == [ids[1]]
    assert [login.id for login in await logins.of(bob.id)] == [bobs]
    assert await logins.end(bob.id, "logout", ACTOR, only=ids[0]) == []
    assert await logins.end(new_id(), "logout", ACTOR) == []


async def test_beyond_the_most_logins_those_unused_for_longest_end(place: AccountPlace) -> None:
    user = await a_user(place)
    ids: list[str] = []
    for _ in range(3):
        ids.append(await opened(place, user, most=3))
        await place.later(10)
    logins = place.stores.logins
    assert await logins.rotate(ids[0], b"first", b"second", MONTH, ACTOR)
    await place.later(10)
    ended = await logins.open(new := new_login(user), HASH, 2, ACTOR)
    assert ended is not None
    assert {each.login for each in ended} == {ids[1], ids[2]}
    assert {login.id for login in await logins.of(user.id)} == {ids[0], new.id}


async def test_a_new_password_ends_the_other_logins(place: AccountPlace) -> None:
    user = await a_user(place)
    mine, other = await opened(place, user), await opened(place, user)
    profiles = place.stores.profiles
    assert await profiles.change_password(user.id, b"wrong", b"new", mine, ACTOR) is None
    ended = await profiles.change_password(user.id, HASH, b"new", mine, ACTOR)
    assert ended is not None
    assert [each.login for each in ended] == [other]
    found = await place.directory.find_user("ana")
    assert found == replace(user, password_hash=b"new")
    profile = await profiles.profile(user.id)
    assert profile is not None
    assert profile.password_changed_at is not None
    assert "password.changed" in await acts(place, user)


async def test_a_revoked_user_s_logins_end_too(place: AccountPlace) -> None:
    user = await a_user(place)
    id_ = await opened(place, user)
    await place.directory.revoke("ANA")
    assert await place.stores.logins.of(user.id) == []
    assert [each.login for each in await place.stores.logins.ended(0)] == [id_]
    assert await acts(place, user) == ["user.added", "login.opened", "user.revoked"]


async def test_what_ended_is_forgotten_when_no_token_of_it_can_live(place: AccountPlace) -> None:
    user = await a_user(place)
    id_ = await opened(place, user)
    logins = place.stores.logins
    await logins.end(user.id, "logout", ACTOR)
    assert await logins.trim(60) == 0
    assert len(await logins.ended(0)) == 1
    await place.later(REVOCATION_LIFETIME + 1)
    assert await logins.trim(60) == 0
    assert await logins.ended(0) == []
    assert await logins.find(id_) is not None
    await place.later(MONTH)
    assert await logins.trim(60) == 1
    assert await logins.find(id_) is None


async def test_a_profile_shows_what_was_set(place: AccountPlace) -> None:
    user = User(new_id(), "Ana", HASH)
    await place.directory.add_user(user, email="ana@example.org", actor=ACTOR)
    profiles = place.stores.profiles
    profile = await profiles.profile(user.id)
    assert profile is not None
    assert (profile.id, profile.username, profile.email) == (user.id, "Ana", "ana@example.org")
    assert (profile.display_name, profile.password_changed_at) == (None, None)
    assert profile.created_at > 1_600_000_000_000
    assert not profile.totp
    assert await profiles.change(user.id, {"display_name": "Ana María"}, ACTOR)
    assert await profiles.change(user.id, {"email": None}, ACTOR)
    assert await profiles.profile(user.id) == replace(profile, display_name="Ana María", email=None)
    assert not await profiles.change(new_id(), {"email": None}, ACTOR)
    assert await profiles.profile(new_id()) is None


async def test_of_an_erased_user_only_the_revocation_stays(place: AccountPlace) -> None:
    user = await a_user(place)
    id_ = await opened(place, user)
    stores = place.stores
    await stores.factors.enrol(user.id, b"secret", ACTOR)
    scopes = (registration_scope("Ana"), user_subject(user.id))
    for scope in scopes:
        await stores.answers.claim(scope, "key", b"digest", new_id())
    ended = await stores.profiles.erase(user.id, "erased:1", ACTOR)
    assert ended is not None
    assert [each.login for each in ended] == [id_]
    assert await place.directory.find_user("ana") is None
    assert await stores.profiles.profile(user.id) is None
    assert await stores.logins.find(id_) is None
    assert await stores.factors.find(user.id) is None
    assert [each.login for each in await stores.logins.ended(0)] == [id_]
    assert set(await place.directory.revocations(0)) == {"Ana"}
    for scope in scopes:
        assert (await stores.answers.claim(scope, "key", b"digest", new_id())).state == "mine"
    told = await stores.audit.entries(user_subject(user.id))
    assert told[0].act == "user.erased"
    assert {entry.address for entry in told} == {None}
    assert await stores.profiles.erase(user.id, "erased:1", SHELL) is None
    with pytest.raises(UsernameTaken):
        await a_user(place)  # what is left would be another's
    erasures = stores.erasures
    assert await erasures.claim(60, 60) is None  # it has just begun
    assert await erasures.claim(0, 60) == Erasure(user.id, "Ana", "erased:1")
    assert await erasures.claim(0, 60) is None  # somebody is at it
    await erasures.finish(user.id)
    await a_user(place)  # the name is free


async def test_the_audit_log_is_read_backwards_and_forgets_by_age(place: AccountPlace) -> None:
    audit = place.stores.audit
    for number in range(3):
        await audit.note("login.refused", None, ACTOR, {"number": number, "known": False})
    await audit.note("client.refused", "client:bot", ACTOR, {})
    latest = await audit.entries(limit=2)
    assert [entry.act for entry in latest] == ["client.refused", "login.refused"]
    assert latest[1].details == {"number": 2, "known": False}
    rest = await audit.entries(before=latest[-1].id)
    assert [entry.details["number"] for entry in rest] == [1, 0]
    assert len(await audit.entries("client:bot")) == 1
    assert await audit.trim(60) == 0
    await place.later(61)
    assert await audit.trim(60) == 4
