from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_actors.accounts.tokens import Identity, TokenRefused
from chat4all_actors.edge.rest import known_tokens
from chat4all_actors.edge.rest.known_tokens import REMEMBERED, KnownTokens

if TYPE_CHECKING:
    from trio.testing import MockClock


class Issuer:
    """Knows tokens that are named like their users, and expire at 1000."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now = 0.0
        self.withdrawn = False
        self.known = KnownTokens(self.verify, wall_clock=lambda: self.now)

    def verify(self, token: str) -> Identity:
        self.asked.append(token)
        if self.withdrawn or not token.startswith("user"):
            raise TokenRefused("the token is not valid")
        if self.now >= 1000:
            raise TokenRefused("the token has expired", expired=True)
        return Identity(f"id of {token}", token, 1000.0, 0, token)


async def test_a_token_is_verified_once_while_it_is_remembered(mock_clock: MockClock) -> None:
    issuer = Issuer()
    first = issuer.known.verify("user")
    mock_clock.jump(REMEMBERED - 0.1)
    assert issuer.known.verify("user") is first
    assert issuer.asked == ["user"]


async def test_a_withdrawn_key_stops_counting_when_the_token_is_verified_again(
    mock_clock: MockClock,
) -> None:
    issuer = Issuer()
    issuer.known.verify("user")
    issuer.withdrawn = True
    mock_clock.jump(REMEMBERED)
    with pytest.raises(TokenRefused):
        issuer.known.verify("user")
    assert len(issuer.known) == 0


async def test_a_token_that_is_remembered_expires_all_the_same() -> None:
    issuer = Issuer()
    issuer.known.verify("user")
    issuer.now = 1000.0
    with pytest.raises(TokenRefused, match="expired"):
        issuer.known.verify("user")


async def test_a_token_that_was_refused_is_not_remembered() -> None:
    issuer = Issuer()
    for _ in range(2):
        with pytest.raises(TokenRefused):
            issuer.known.verify("forged")
    assert issuer.asked == ["forged", "forged"]
    assert len(issuer.known) == 0


async def test_the_tokens_that_were_verified_first_are_forgotten_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_tokens, "MOST", 3)
    issuer = Issuer()
    for number in range(4):
        issuer.known.verify(f"user{number}")
    assert len(issuer.known) == 3
    issuer.known.verify("user3")
    issuer.known.verify("user0")
    assert issuer.asked == ["user0", "user1", "user2", "user3", "user0"]
