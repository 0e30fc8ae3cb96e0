"""Logging in, refreshing, and the end of logins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.accounts import refresh
from chat4all_actors.accounts.errors import BadCredentials, Throttled
from chat4all_actors.accounts.refresh import RefreshTokens
from chat4all_actors.accounts.sealing import Sealing
from chat4all_protocol.ids import new_id

from .accounts_harness import ACTOR, KEY, PASSWORD, Place

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_actors.accounts.logins import Grant

GRACE = 30.0
MONTH = 30 * 24 * 3600.0


async def refused(place: Place, grant: Grant) -> None:
    with pytest.raises(BadCredentials):
        await place.refresh(grant)


async def test_who_logs_in_gets_tokens_that_name_the_login(autojump_clock: MockClock) -> None:
    place = Place()
    user = await place.user("Ana")
    grant = await place.login("aNA")
    identity = place.desk.tokens.verify(grant.access_token)
    assert (identity.user_id, identity.username, identity.client) == (user.id, "Ana", None)
    assert grant.expires_in == 3600
    (login,) = await place.desk.logins.of(user.id)
    assert identity.login == login.id
    assert (login.device, login.user_agent, login.address) == (
        "phone",
        "an agent/1.0",
        "192.0.2.7",
    )
    assert await place.acts_of(user) == ["user.added", "login.opened"]
    assert place.counted == [("logins", "ana"), ("logins_address", "192.0.2.7")]


@pytest.mark.parametrize(
    ("name", "password"), [("ana", "another password"), ("eve", PASSWORD), ("\0", PASSWORD)]
)
async def test_a_wrong_name_and_a_wrong_password_look_the_same(
    autojump_clock: MockClock, name: str, password: str
) -> None:
    place = Place()
    user = await place.user()
    with pytest.raises(BadCredentials, match="the name or the password is wrong"):
        await place.login(name, password)
    assert await place.desk.logins.of(user.id) == []
    assert (await place.acts(None))[-1] == "login.refused"
    told = (await place.storage.accounts.audit.entries())[0]
    assert (told.subject is not None) == (name == "ana")
    assert told.details == {}


async def test_tries_beyond_the_limit_are_refused_before_any_work(
    autojump_clock: MockClock,
) -> None:
    place = Place()
    user = await place.user()
    place.wait = 7.0
    with pytest.raises(Throttled) as caught:
        await place.login()
    assert caught.value.retry_after == 7.0
    assert await place.acts_of(user) == ["user.added"]


async def test_a_refresh_token_is_replaced_and_the_login_stays_the_same(
    autojump_clock: MockClock,
) -> None:
    place = Place()
    await place.user()
    first = await place.login()
    second = await place.refresh(first)
    third = await place.refresh(second)
    tokens = {first.refresh_token, second.refresh_token, third.refresh_token}
    assert len(tokens) == 3
    assert place.login_of(first) == place.login_of(second) == place.login_of(third)


async def test_fifty_callers_at_once_get_the_same_successor(autojump_clock: MockClock) -> None:
    place = Place()
    user = await place.user()
    first = await place.login()
    got: list[Grant] = []

    async def one() -> None:
        got.append(await place.refresh(first))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(one)
    assert len({grant.refresh_token for grant in got}) == 1
    assert (await place.acts_of(user)).count("token.refreshed") == 1
    await place.refresh(got[0])


async def test_the_same_answer_is_given_again_for_a_while_then_the_login_ends(
    autojump_clock: MockClock,
) -> None:
    place = Place()
    user = await place.user()
    first = await place.login()
    second = await place.refresh(first)
    await trio.sleep(GRACE - 1)
    assert (await place.refresh(first)).refresh_token == second.refresh_token
    assert place.ended == []
    await trio.sleep(2)
    await refused(place, first)
    assert [each.login for each in place.ended] == [place.login_of(second)]
    await refused(place, second)
    assert (await place.acts_of(user))[-1] == "token.replayed"


async def test_an_older_token_than_the_last_ends_the_login_at_once(
    autojump_clock: MockClock,
) -> None:
    place = Place()
    await place.user()
    first = await place.login()
    third = await place.refresh(await place.refresh(first))
    await refused(place, first)
    await refused(place, third)


async def test_a_token_that_was_made_up_ends_nobodys_login(autojump_clock: MockClock) -> None:
    place = Place()
    await place.user()
    grant = await place.login()
    login = place.login_of(grant)
    forger = RefreshTokens(Sealing("another key, of 32 bytes and more"))
    for token in (
        forger.make(login, 1, b""),
        forger.make(login, 7, b""),
        RefreshTokens(Sealing(KEY)).make(new_id(), 1, b""),
        "c4r_",
        "c4r_" + "A" * 70,
        "c4r_é",
        "",
        grant.access_token,
        f"{grant.refresh_token}=",
        f"{grant.refresh_token}A",
    ):
        with pytest.raises(BadCredentials):
            await place.desk.logins.refresh(token, ACTOR)
    assert place.ended == []
    await place.refresh(grant)


async def test_a_login_that_is_not_used_ends_after_a_month(autojump_clock: MockClock) -> None:
    place = Place()
    await place.user()
    grant = await place.login()
    await trio.sleep(MONTH - 60)
    grant = await place.refresh(grant)
    await trio.sleep(MONTH - 60)
    grant = await place.refresh(grant)
    await trio.sleep(MONTH + 1)
    await refused(place, grant)


async def test_a_login_ends_by_its_id_and_only_its_own_user_ends_it(
    autojump_clock: MockClock,
) -> None:
    place = Place()
    ana, bob = await place.user(), await place.user("bob")
    grant = await place.login()
    login = place.login_of(grant)
    assert not await place.desk.logins.end(bob.id, login, "logout", ACTOR)
    assert await place.desk.logins.end(ana.id, login, "logout", ACTOR)
    assert not await place.desk.logins.end(ana.id, login, "logout", ACTOR)
    assert [each.login for each in place.ended] == [login]
    await refused(place, grant)


async def test_all_logins_end_but_the_one_that_asks(autojump_clock: MockClock) -> None:
    place = Place()
    user = await place.user()
    grants = [await place.login() for _ in range(3)]
    keep = place.login_of(grants[0])
    assert await place.desk.logins.end_all(user.id, "logout", ACTOR, keep=keep) == 2
    await place.refresh(grants[0])
    for grant in grants[1:]:
        await refused(place, grant)


async def test_a_new_password_needs_the_former_one_and_ends_the_other_logins(
    autojump_clock: MockClock,
) -> None:
    place = Place()
    await place.user()
    mine, other = await place.login(), await place.login()
    logins = place.desk.logins
    keep = place.login_of(mine)
    with pytest.raises(BadCredentials):
        await logins.change_password("ana", "not the former", "a new password", keep, ACTOR)
    assert (await place.acts(None))[-1] == "password.refused"
    await logins.change_password("ana", PASSWORD, "a new password", keep, ACTOR)
    await place.refresh(mine)
    await refused(place, other)
    with pytest.raises(BadCredentials):
        await place.login()
    await place.login(password="a new password")


async def test_a_login_that_began_before_the_password_changed_does_not_open(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Place()
    await place.user()
    check = place.desk.passwords.check

    async def slow(password: str, stored: bytes | None) -> bool:
        fits = await check(password, stored)
        monkeypatch.undo()
        await place.desk.logins.change_password("ana", PASSWORD, "a new password", None, ACTOR)
        return fits

    monkeypatch.setattr(place.desk.passwords, "check", slow)
    with pytest.raises(BadCredentials):
        await place.login()


async def test_beyond_the_most_logins_the_oldest_ends(autojump_clock: MockClock) -> None:
    place = Place(max_logins_per_user=2)
    user = await place.user()
    grants = []
    for _ in range(3):
        grants.append(await place.login())
        await trio.sleep(1)
    assert [each.login for each in place.ended] == [place.login_of(grants[0])]
    assert len(await place.desk.logins.of(user.id)) == 2


async def test_an_erased_user_logs_in_and_refreshes_no_more(autojump_clock: MockClock) -> None:
    place = Place()
    user = await place.user()
    grant = await place.login()
    await place.storage.accounts.profiles.erase(user.id, "erased:1", ACTOR)
    await refused(place, grant)
    with pytest.raises(BadCredentials):
        await place.login()
    assert set(await place.storage.directory.revocations(0)) == {"ana"}


async def test_another_server_key_refuses_to_give_a_token_again_that_does_not_count(
    autojump_clock: MockClock,
) -> None:
    place = Place()
    await place.user()
    first = await place.login()
    await place.refresh(first)
    place.desk.logins._refresh_tokens = RefreshTokens(Sealing("another key, of 32 bytes and more"))
    await refused(place, first)
    assert place.ended == []


def test_a_token_has_one_form() -> None:
    token = RefreshTokens(Sealing(KEY)).make(new_id(), 3, b"salt")
    shown = refresh.read(token)
    assert shown is not None
    assert (shown.generation, shown.hash) == (3, refresh.hash_of(token))
    assert RefreshTokens(Sealing(KEY)).genuine(shown, b"salt")
    assert not RefreshTokens(Sealing(KEY)).genuine(shown, b"other")
    assert refresh.read(token.removeprefix("c4r_")) is None
