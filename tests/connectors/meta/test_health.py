from __future__ import annotations

import time

import pytest

from chat4all_connectors.errors import Misconfigured, SendError, Throttled, Transient
from chat4all_connectors.meta.health import judge
from chat4all_connectors.meta.settings import GraphSettings


def settings(expires_in: float | None = None) -> GraphSettings:
    return GraphSettings(
        access_token="token",
        app_secret="secret",
        verify_token="verify",
        token_expires_at=None if expires_in is None else int(time.time() + expires_in),
    )


async def state(settings: GraphSettings, wrong: str = "", percent: float = 0) -> str:
    async def ask() -> tuple[str, float]:
        return wrong, percent

    return (await judge(settings, ask)).state


async def test_an_account_that_answers_is_connected() -> None:
    assert await state(settings()) == "connected"
    assert await state(settings(expires_in=30 * 86400), percent=50) == "connected"


async def test_a_token_warns_before_its_end() -> None:
    assert await state(settings(expires_in=86400)) == "token_expiring"
    assert await state(settings(expires_in=-5)) == "token_expiring"


async def test_what_is_wrong_or_nearly_used_up_degrades_it() -> None:
    assert await state(settings(), wrong="poor quality") == "degraded"
    assert await state(settings(), percent=90) == "degraded"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Misconfigured("token"), "dead"),
        (Transient("down"), "degraded"),
        (Throttled("much"), "degraded"),
    ],
)
async def test_an_account_that_does_not_answer_is_dead_or_degraded(
    error: SendError, expected: str
) -> None:
    async def ask() -> tuple[str, float]:
        raise error

    health = await judge(settings(), ask)
    assert (health.state, health.detail) == (expected, error.message)
