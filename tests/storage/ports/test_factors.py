"""What every store of second factors, service clients, signing keys and answers does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.answers import ANSWER_LIFETIME, CLAIM_LIFETIME, Answer, Claim
from chat4all_storage.ports.audit import SHELL, user_subject
from chat4all_storage.ports.clients import ServiceClient
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.errors import ClientTaken
from chat4all_storage.ports.factors import Factor

from .test_logins import ACTOR

if TYPE_CHECKING:
    from chat4all_storage.ports.factors import Attempt

    from ..conftest import AccountPlace

LIMIT, WINDOW = 5, 300.0


async def a_user(place: AccountPlace) -> str:
    user = User(new_id(), "ana", b"hash")
    await place.directory.add_user(user)
    return user.id


async def confirmed(place: AccountPlace, *codes: bytes) -> str:
    """A user with a second factor."""
    user = await a_user(place)
    factors = place.stores.factors
    assert await factors.enrol(user, b"secret", ACTOR)
    await factors.attempt(user, LIMIT, WINDOW)
    assert await factors.confirm(user, b"secret", 100, codes, ACTOR)
    return user


# --- second factors -------------------------------------------------------------------------------


async def test_a_factor_counts_when_it_is_confirmed(place: AccountPlace) -> None:
    user = await a_user(place)
    factors = place.stores.factors
    assert await factors.find(user) is None
    assert await factors.enrol(user, b"one", ACTOR)
    assert await factors.enrol(user, b"two", ACTOR)
    assert await factors.find(user) == Factor(b"two", confirmed=False, last_step=0)
    assert not await factors.confirm(user, b"one", 100, [], ACTOR)
    assert not await factors.accept(user, 100)
    assert await factors.confirm(user, b"two", 100, [], ACTOR)
    assert not await factors.confirm(user, b"two", 101, [], ACTOR)
    assert not await factors.enrol(user, b"three", ACTOR)
    assert await factors.find(user) == Factor(b"two", confirmed=True, last_step=100)
    profile = await place.stores.profiles.profile(user)
    assert profile is not None
    assert profile.totp
    assert not await factors.enrol(new_id(), b"one", ACTOR)


async def test_each_time_step_is_used_once_and_none_before_it(place: AccountPlace) -> None:
    user = await confirmed(place)
    factors = place.stores.factors
    assert not await factors.accept(user, 100)
    won: list[bool] = []

    async def accept() -> None:
        won.append(await factors.accept(user, 101))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(accept)
    assert sorted(won) == [False] * 9 + [True]
    assert not await factors.accept(user, 99)


async def test_codes_are_tried_a_few_times_in_any_window_by_all_together(
    place: AccountPlace,
) -> None:
    user = await confirmed(place)
    factors = place.stores.factors
    tries: list[Attempt] = []

    async def attempt() -> None:
        tries.append(await factors.attempt(user, LIMIT, WINDOW))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(attempt)
    allowed = [each for each in tries if not each.wait]
    assert len(allowed) == LIMIT
    assert {each.factor for each in allowed} == {Factor(b"secret", confirmed=True, last_step=100)}
    refused = [each for each in tries if each.wait]
    assert all(each.factor is None for each in refused)
    assert all(WINDOW - 30 < each.wait <= WINDOW for each in refused)
    await place.later(WINDOW - 60)
    assert (await factors.attempt(user, LIMIT, WINDOW)).wait <= 60
    await place.later(61)
    assert (await factors.attempt(user, LIMIT, WINDOW)).factor is not None


async def test_a_try_that_succeeds_is_not_counted(place: AccountPlace) -> None:
    user = await confirmed(place, *(bytes([number]) for number in range(10)))
    factors = place.stores.factors
    for step in range(101, 111):
        assert (await factors.attempt(user, LIMIT, WINDOW)).factor is not None
        assert await factors.accept(user, step)
    for number in range(10):
        assert (await factors.attempt(user, LIMIT, WINDOW)).factor is not None
        assert await factors.recover(user, bytes([number]), ACTOR)


async def test_a_recovery_code_works_once(place: AccountPlace) -> None:
    user = await confirmed(place, b"a", b"b")
    factors = place.stores.factors
    assert await factors.recover(user, b"a", ACTOR)
    assert not await factors.recover(user, b"a", ACTOR)
    assert not await factors.recover(new_id(), b"b", ACTOR)
    assert await factors.replace_codes(user, [b"c"], ACTOR)
    assert not await factors.recover(user, b"b", ACTOR)
    assert await factors.recover(user, b"c", ACTOR)
    assert not await factors.replace_codes(new_id(), [b"c"], ACTOR)
    told = await place.stores.audit.entries(user_subject(user))
    assert sum(entry.act == "totp.recovery_used" for entry in told) == 2


async def test_without_a_factor_nothing_is_left_of_it(place: AccountPlace) -> None:
    user = await confirmed(place, b"a")
    factors = place.stores.factors
    assert await factors.disable(user, ACTOR)
    assert not await factors.disable(user, ACTOR)
    assert await factors.find(user) is None
    assert not await factors.recover(user, b"a", ACTOR)
    nothing = await factors.attempt(user, LIMIT, WINDOW)
    assert (nothing.wait, nothing.factor) == (0.0, None)


# --- service clients ------------------------------------------------------------------------------


async def test_a_client_is_found_by_its_id_until_it_is_removed(place: AccountPlace) -> None:
    clients = place.stores.clients
    bot = ServiceClient("id-1", "bot", b"hash", ("messages:write", "act_as"))
    await clients.add(bot, SHELL)
    await clients.add(ServiceClient("id-2", "a-bot", b"hash", ()), SHELL)
    found = await clients.find("id-1")
    assert found is not None
    assert (found.name, found.secret_hash, found.scopes) == ("bot", b"hash", bot.scopes)
    assert [client.name for client in await clients.all()] == ["a-bot", "bot"]
    for taken in (("id-1", "other"), ("id-3", "bot")):
        with pytest.raises(ClientTaken):
            await clients.add(ServiceClient(*taken, b"", ()), SHELL)
    assert await clients.remove("bot", SHELL)
    assert not await clients.remove("bot", SHELL)
    assert await clients.find("id-1") is None
    assert set(await place.directory.revocations(0)) == {"client:bot"}
    await clients.add(ServiceClient("id-1", "bot", b"another", ()), SHELL)
    again = await clients.find("id-1")
    assert again is not None
    assert (again.secret_hash, again.scopes) == (b"another", ())
    acts = [entry.act for entry in await place.stores.audit.entries("client:bot")]
    assert acts == ["client.added", "client.removed", "client.added"]


# --- signing keys ---------------------------------------------------------------------------------


async def test_a_new_key_lets_the_former_ones_of_its_algorithm_retire(
    place: AccountPlace,
) -> None:
    keys = place.stores.keys
    assert await keys.add("a", "RS256", b"a", SHELL, delay=0, keep=100)
    assert await keys.add("other", "EdDSA", b"o", SHELL, delay=0, keep=100)
    assert await keys.add("b", "RS256", b"b", SHELL, delay=60, keep=100)
    by_id = {key.kid: key for key in await keys.all()}
    assert by_id["b"].active_from - by_id["b"].created_at == pytest.approx(60_000, abs=1000)
    assert by_id["a"].retires_at == by_id["b"].active_from + 100_000
    assert by_id["other"].retires_at is None
    assert by_id["b"].retires_at is None
    await place.later(159)
    assert {key.kid for key in await keys.all()} == {"a", "b", "other"}
    await place.later(2)
    assert {key.kid for key in await keys.all()} == {"b", "other"}


async def test_the_first_key_is_added_once_whoever_comes_first(place: AccountPlace) -> None:
    keys = place.stores.keys
    added: list[bool] = []

    async def add(kid: str) -> None:
        added.append(await keys.add(kid, "EdDSA", b"x", SHELL, delay=0, keep=1, only_first=True))

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(add, str(number))
    assert sorted(added) == [False] * 4 + [True]
    assert len(await keys.all()) == 1
    assert await keys.add("rsa", "RS256", b"x", SHELL, delay=0, keep=1, only_first=True)


# --- answers --------------------------------------------------------------------------------------


async def test_one_request_is_done_and_its_repetitions_get_the_answer(
    place: AccountPlace,
) -> None:
    answers = place.stores.answers
    one, other = new_id(), new_id()
    assert await answers.claim("ana", "key", b"digest", one) == Claim("mine")
    assert await answers.claim("ana", "key", b"digest", other) == Claim("in_progress")
    assert await answers.claim("ana", "key", b"another", other) == Claim("conflict")
    assert await answers.claim("bob", "key", b"another", other) == Claim("mine")
    assert not await answers.finish("ana", "key", other, Answer(500, b""))
    assert await answers.finish("ana", "key", one, Answer(201, b"body"))
    assert not await answers.finish("ana", "key", one, Answer(500, b""))
    answered = Claim("answered", Answer(201, b"body"))
    assert await answers.claim("ana", "key", b"digest", other) == answered
    assert await answers.claim("ana", "key", b"another", other) == Claim("conflict")
    await answers.abandon("ana", "key", one)
    assert await answers.claim("ana", "key", b"digest", other) == answered


async def test_what_was_given_up_or_never_answered_is_done_by_another(
    place: AccountPlace,
) -> None:
    answers = place.stores.answers
    one, other, third = new_id(), new_id(), new_id()
    await answers.claim("ana", "key", b"digest", one)
    await answers.abandon("ana", "key", other)
    assert await answers.claim("ana", "key", b"digest", other) == Claim("in_progress")
    await answers.abandon("ana", "key", one)
    assert await answers.claim("ana", "key", b"digest", other) == Claim("mine")
    await place.later(CLAIM_LIFETIME + 1)
    assert await answers.claim("ana", "key", b"another", third) == Claim("conflict")
    assert await answers.claim("ana", "key", b"digest", third) == Claim("mine")
    assert not await answers.finish("ana", "key", other, Answer(200, b""))
    assert await answers.finish("ana", "key", third, Answer(200, b""))


async def test_a_key_is_free_again_after_a_day(place: AccountPlace) -> None:
    answers = place.stores.answers
    await answers.claim("ana", "key", b"digest", one := new_id())
    await answers.finish("ana", "key", one, Answer(200, b""))
    assert await answers.trim() == 0
    await place.later(ANSWER_LIFETIME + 1)
    assert await answers.claim("ana", "key", b"another", new_id()) == Claim("mine")
    await answers.claim("ana", "old", b"digest", new_id())
    await place.later(ANSWER_LIFETIME + 1)
    assert await answers.trim() == 2


async def test_of_many_equal_requests_at_once_one_is_done(place: AccountPlace) -> None:
    states: list[str] = []

    async def claim() -> None:
        states.append((await place.stores.answers.claim("ana", "key", b"x", new_id())).state)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(claim)
    assert sorted(states) == ["in_progress"] * 19 + ["mine"]
