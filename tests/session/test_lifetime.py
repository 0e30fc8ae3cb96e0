from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from chat4all_actors.accounts.tokens import Identity
from chat4all_actors.limits.limits import MESSAGES
from chat4all_actors.session.lifetime import Lifetime
from chat4all_protocol.codes import CloseCode

from .fakes import ByteOutlet, Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS: dict[str, Any] = {
    "connect_timeout": 10,
    "close_timeout": 5,
    "heartbeat": 25,
    "heartbeat_grace": 10,
    "slow_timeout": 30,
    "away_after": 300,
}


class Life:
    """One session's, with its time in the test's hands."""

    def __init__(self, *, connected: bool = True) -> None:
        self.surroundings = Surroundings(**SETTINGS)
        self.outlet = ByteOutlet()
        self.began = self.surroundings.heartbeat.now
        self.session = Lifetime(self.surroundings.services, self.outlet)
        self.session.hears = connected
        if connected:
            self.session._deadline = None

    def at(self, seconds: float) -> None:
        """The visit so many seconds after it began."""
        self.surroundings.heartbeat.now = self.began + seconds
        self.session.beat(self.began + seconds)

    @property
    def code(self) -> int | None:
        return None if self.outlet.closed is None else self.outlet.closed[0]


@pytest.fixture
def life() -> Life:
    return Life()


def identity(**fields: Any) -> Identity:
    known = Identity("id", "ana", expires_at=2e9, issued_at=7, token_id="t", login="l")
    return replace(known, **fields)


def test_before_a_token_is_shown_it_is_nobody_s_and_is_not_ended_by_one(life: Life) -> None:
    session = life.session
    assert (session.user, session.user_id, session.device, session.login) == ("", "", "", None)
    assert (session.birth, session.issued_at, session.conversations) == (0, 0, [])
    session.revoked(0)
    session.touched()
    life.at(1e6)
    assert life.code is None


def test_it_is_whose_token_was_shown_first_and_lives_as_long_as_the_last_one(life: Life) -> None:
    life.session.identify(identity(), "phone")
    assert (life.session.user, life.session.user_id, life.session.device) == ("ana", "id", "phone")
    assert life.surroundings.limits.watched == [(MESSAGES, "ana")]
    life.session.show(identity(expires_at=3e9, issued_at=9, login="m"))
    shown = (life.session.expires_at, life.session.issued_at, life.session.login)
    assert shown == (3e9, 9, "m")


def test_without_connect_in_time_it_is_closed_and_then_cut() -> None:
    life = Life(connected=False)
    life.at(9.5)
    assert life.code is None
    life.at(10)
    assert life.code == CloseCode.NO_CONNECT
    life.at(14.5)
    assert not life.outlet.aborted
    life.at(15)
    assert life.outlet.aborted


def test_a_client_that_is_behind_is_closed_and_what_is_queued_is_dropped(life: Life) -> None:
    life.outlet.stalled_since = life.began
    life.at(30)
    assert life.code is None
    life.at(31)
    assert life.outlet.closed == (CloseCode.TOO_SLOW, "too slow", True)


def test_it_ends_with_its_token(life: Life) -> None:
    life.session.show(identity(expires_at=life.surroundings.epoch + life.began + 20))
    life.at(19)
    assert life.code is None
    life.at(20)
    assert life.code == CloseCode.TOKEN_EXPIRED


def test_a_quiet_client_is_asked_once_and_given_up_a_visit_after_its_answer_was_due(
    life: Life,
) -> None:
    for seconds, pings, code in [
        (24, 0, None),
        (25, 1, None),
        (30, 1, None),
        (35, 1, None),  # nothing was read yet, and it may lie in the socket
        (40, 1, CloseCode.NO_HEARTBEAT),
    ]:
        life.at(seconds)
        assert (seconds, life.outlet.pings, life.code) == (seconds, pings, code)


def test_a_client_that_answers_is_asked_again_when_it_is_quiet(life: Life) -> None:
    life.at(25)
    life.session.touched()
    life.at(36)
    life.at(49)
    assert (life.outlet.pings, life.code) == (1, None)
    life.at(50)
    assert (life.outlet.pings, life.code) == (2, None)
    life.at(60)
    life.session.touched()
    life.at(61)
    assert life.code is None


def test_a_visit_that_comes_late_gives_up_nobody_who_was_not_asked(life: Life) -> None:
    life.at(100)
    assert (life.outlet.pings, life.code) == (1, None)


def test_a_user_who_does_nothing_is_away_until_something_is_done(life: Life) -> None:
    def visit(seconds: float) -> list[bool]:
        life.session.touched()
        life.at(seconds)
        return life.surroundings.presence.away

    assert visit(299) == []
    assert visit(300) == [True]
    assert visit(305) == [True]
    life.session.acted()
    assert life.surroundings.presence.away == [True, False]
    life.session.acted()
    assert life.surroundings.presence.away == [True, False]
    assert visit(604) == [True, False]
    assert visit(605) == [True, False, True]


def test_a_device_in_the_background_is_away_whatever_is_done_on_it(life: Life) -> None:
    life.session.put_in_background(True)
    assert life.session.background
    life.session.put_in_background(False)
    assert life.surroundings.presence.away == [True, False]
    life.session.touched()
    life.at(300)
    life.session.put_in_background(False)
    assert life.surroundings.presence.away == [True, False, True, True]  # for it is idle


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda session: session.close_internal(), CloseCode.INTERNAL),
        (lambda session: session.replaced(), CloseCode.REPLACED),
        (lambda session: session.revoked(8), CloseCode.REVOKED),
        (lambda session: session.revoked(7), None),  # issued in the second from which they count
        (lambda session: session.logged_out("l"), CloseCode.REVOKED),
        (lambda session: session.logged_out("another"), None),
    ],
)
def test_what_ends_it_has_a_code(
    life: Life, end: Callable[[Lifetime], None], code: int | None
) -> None:
    life.session.identify(identity(), "phone")
    end(life.session)
    assert life.code == code
    assert life.session.over is (code is not None)


def test_who_comes_again_as_told_has_moved(life: Life) -> None:
    life.session._moving = 100
    life.session.replaced()
    assert life.code == CloseCode.DRAINING


def test_the_first_reason_to_close_counts_and_it_is_looked_after_in_a_hurry(life: Life) -> None:
    life.session.close(CloseCode.INTERNAL, "first")
    life.session.close(CloseCode.REPLACED, "second")
    assert life.outlet.closed == (CloseCode.INTERNAL, "first", False)
    assert life.surroundings.heartbeat.hurried == [life.session]
    assert not life.session.hears


def test_nothing_else_ends_what_is_closing_but_its_time(life: Life) -> None:
    life.session.close_internal()
    life.outlet.stalled_since = life.began - 100
    life.session.expires_at = 0
    life.at(4)
    assert (life.outlet.pings, life.outlet.aborted) == (0, False)
    assert life.code == CloseCode.INTERNAL
    life.at(5)
    assert life.outlet.aborted


def test_who_is_closing_need_not_be_shown_anybody(life: Life) -> None:
    assert life.session.deliver_presence(b"x")
    life.outlet.backlog = life.surroundings.settings.max_outbound
    assert not life.session.deliver_presence(b"x")
    life.session.close_internal()
    assert life.session.deliver_presence(b"x")
    assert life.outlet.passed == [b"x"]
