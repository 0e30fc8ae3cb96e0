"""Second factors: codes that are used once, and the tries that are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
import trio

from chat4all_actors.accounts.errors import CodeRefused, CodeRequired, Throttled, WrongState

from .accounts_harness import ACTOR, Place, code_of, now

if TYPE_CHECKING:
    from trio.testing import MockClock

STEP = 30.0


class Person:
    """A user with a second factor."""

    def __init__(self, place: Place, user_id: str, secret: str, codes: list[str]) -> None:
        self.place = place
        self.id = user_id
        self.secret = secret
        self.codes = codes

    async def check(self, code: str) -> None:
        await self.place.desk.factors.check(self.id, code, ACTOR)

    async def refused(self, code: str) -> None:
        with pytest.raises(CodeRefused):
            await self.check(code)


async def enrolled() -> Person:
    place = Place()
    user = await place.user()
    factors = place.desk.factors
    enrolment = await factors.enrol(user.id, "ana", ACTOR)
    codes = await factors.confirm(user.id, code_of(enrolment.secret), ACTOR)
    return Person(place, user.id, enrolment.secret, codes)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


async def test_enrolling_tells_what_an_authenticator_needs(autojump_clock: MockClock) -> None:
    place = Place()
    user = await place.user()
    enrolment = await place.desk.factors.enrol(user.id, "ana", ACTOR)
    uri = urlsplit(enrolment.uri)
    assert (uri.scheme, uri.netloc, uri.path) == ("otpauth", "totp", "/chat4all:ana")
    assert parse_qs(uri.query) == {"secret": [enrolment.secret], "issuer": ["chat4all"]}
    stored = await place.storage.accounts.factors.find(user.id)
    assert stored is not None
    assert enrolment.secret.encode() not in stored.secret


async def test_a_factor_counts_only_when_a_code_of_it_was_shown(autojump_clock: MockClock) -> None:
    place = Place()
    user = await place.user()
    factors = place.desk.factors
    with pytest.raises(WrongState):
        await factors.confirm(user.id, "123456", ACTOR)
    enrolment = await factors.enrol(user.id, "ana", ACTOR)
    await place.login()
    with pytest.raises(CodeRefused):
        await factors.confirm(user.id, wrong(code_of(enrolment.secret)), ACTOR)
    await place.login()
    codes = await factors.confirm(user.id, code_of(enrolment.secret), ACTOR)
    assert len(set(codes)) == 10
    with pytest.raises(CodeRequired):
        await place.login()
    with pytest.raises(WrongState):
        await factors.enrol(user.id, "ana", ACTOR)


async def test_logging_in_takes_a_code_that_was_not_used_before(autojump_clock: MockClock) -> None:
    ana = await enrolled()
    with pytest.raises(CodeRefused):
        await ana.place.login(code=code_of(ana.secret))  # the one that confirmed
    await trio.sleep(STEP)
    code = code_of(ana.secret)
    await ana.place.login(code=code)
    with pytest.raises(CodeRefused):
        await ana.place.login(code=code)
    with pytest.raises(CodeRequired):
        await ana.place.login()


@pytest.mark.parametrize(("steps", "accepted"), [(-2, False), (-1, True), (1, True), (2, False)])
async def test_codes_of_the_neighbouring_steps_are_accepted(
    autojump_clock: MockClock, steps: int, accepted: bool
) -> None:
    ana = await enrolled()
    await trio.sleep(10 * STEP)
    shift = steps * STEP
    code = pyotp.TOTP(ana.secret).at(int(now() + shift))
    if accepted:
        await ana.check(code)
    else:
        await ana.refused(code)


async def test_five_wrong_codes_in_five_minutes_are_all_that_is_tried(
    autojump_clock: MockClock,
) -> None:
    ana = await enrolled()
    await trio.sleep(10 * STEP)
    for _ in range(5):
        await ana.refused("000000" if code_of(ana.secret) != "000000" else "000001")
    with pytest.raises(Throttled) as caught:
        await ana.check(code_of(ana.secret))
    assert 0 < caught.value.retry_after <= 300
    with pytest.raises(Throttled):
        await ana.check(ana.codes[0])
    await trio.sleep(caught.value.retry_after + 0.001)
    await ana.check(code_of(ana.secret))


async def test_a_recovery_code_works_once_however_it_is_written(autojump_clock: MockClock) -> None:
    ana = await enrolled()
    await ana.check(ana.codes[0].lower().replace("-", " "))
    await ana.refused(ana.codes[0])
    await ana.place.login(code=ana.codes[1])
    fresh = await ana.place.desk.factors.replace_codes(ana.id, ACTOR)
    await ana.refused(ana.codes[2])
    await ana.check(fresh[0])


async def test_without_the_factor_the_password_is_enough_again(autojump_clock: MockClock) -> None:
    ana = await enrolled()
    await ana.place.desk.factors.disable(ana.id, ACTOR)
    await ana.place.login()
    for call in (ana.place.desk.factors.disable, ana.place.desk.factors.replace_codes):
        with pytest.raises(WrongState):
            await call(ana.id, ACTOR)
    await ana.refused(ana.codes[0])


async def test_the_audit_log_tells_each_step_and_no_secret(autojump_clock: MockClock) -> None:
    ana = await enrolled()
    await ana.refused("nonsense")
    await ana.check(ana.codes[0])
    entries = await ana.place.storage.accounts.audit.entries(f"user:{ana.id}")
    assert [entry.act for entry in reversed(entries)] == [
        "user.added",
        "totp.enrolled",
        "totp.confirmed",
        "totp.refused",
        "totp.recovery_used",
    ]
    assert ana.secret not in str(entries)
    assert all(code not in str(entries) for code in ana.codes)
