"""Tokens that count no longer."""

from __future__ import annotations

from chat4all_actors.accounts.tokens import Identity
from chat4all_actors.fanout import LocalReaders
from chat4all_actors.session.revocations import Revocations
from chat4all_storage.ports.logins import REVOCATION_LIFETIME, EndedLogin

from ..actors.test_fanout import FakeReader


class Session(FakeReader):
    """Writes down which tokens it was told count."""

    def __init__(self, user: str, device: str) -> None:
        super().__init__(user, device)
        self.seconds: list[int] = []
        self.ended_logins: list[str] = []

    def revoked(self, valid_from: int) -> None:
        self.seconds.append(valid_from)

    def logged_out(self, login: str) -> None:
        self.ended_logins.append(login)


def identity(user: str, issued_at: int) -> Identity:
    return Identity("id", user, 1e12, issued_at, "token")


def test_tokens_of_before_are_refused_and_newer_ones_are_not() -> None:
    revocations = Revocations(LocalReaders())
    assert not revocations.refuses(identity("ana", 99))
    revocations.learn({"ana": 100})
    assert revocations.refuses(identity("ana", 99))
    assert not revocations.refuses(identity("ana", 100))
    assert not revocations.refuses(identity("bob", 99))


def test_a_user_s_sessions_are_told_once_and_nobody_else() -> None:
    local = LocalReaders()
    sessions = [Session("ana", "phone"), Session("ana", "laptop"), Session("bob", "phone")]
    for session in sessions:
        local.add(session)
    revocations = Revocations(local)
    for _ in range(2):
        revocations.learn({"ana": 100})
    assert [session.seconds for session in sessions] == [[100], [100], []]
    revocations.learn({"ana": 90})  # an older one that comes late changes nothing
    assert revocations.refuses(identity("ana", 95))
    assert sessions[0].seconds == [100]


def with_login(login: str | None, user: str = "ana") -> Identity:
    return Identity("id", user, 1e12, 0, "token", login=login)


def test_tokens_of_a_login_that_ended_are_refused_and_its_sessions_told() -> None:
    local = LocalReaders()
    ana, bob = Session("ana", "phone"), Session("bob", "phone")
    local.add(ana)
    local.add(bob)
    revocations = Revocations(local)
    for _ in range(2):
        revocations.end([EndedLogin("one", "ana", 1000)])
    assert revocations.refuses(with_login("one"))
    assert not revocations.refuses(with_login("other"))
    assert not revocations.refuses(with_login(None))
    assert (ana.ended_logins, bob.ended_logins) == (["one"], [])


def test_a_login_that_ended_is_forgotten_when_its_tokens_have_expired() -> None:
    revocations = Revocations(LocalReaders())
    later = int(REVOCATION_LIFETIME * 1000)
    revocations.end([EndedLogin("one", "ana", 1000)])
    revocations.end([EndedLogin("two", "ana", 1000 + later)])
    assert revocations.refuses(with_login("one"))
    revocations.end([EndedLogin("three", "ana", 1001 + later)])
    assert not revocations.refuses(with_login("one"))
    assert revocations.refuses(with_login("two"))
