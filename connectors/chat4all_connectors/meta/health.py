"""How an account at Meta does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..base import Health
from ..errors import Misconfigured, SendError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .settings import GraphSettings


async def judge(settings: GraphSettings, ask: Callable[[], Awaitable[tuple[str, float]]]) -> Health:
    """Its health by what Meta says now.

    Args:
        settings: They know when the token ends; Meta tells nobody but the app itself.
        ask: Ask Meta for the account: what is wrong with it, and how much of the limits is used,
            in percent.
    """
    try:
        wrong, percent = await ask()
    except Misconfigured as error:
        return Health("dead", error.message)
    except SendError as error:
        return Health("degraded", error.message)
    if wrong:
        return Health("degraded", wrong)
    if settings.token_expires_at is not None:
        left = settings.token_expires_at - time.time()
        if left < settings.token_warning_seconds:
            return Health("token_expiring", f"the access token ends in {max(left, 0):.0f} s")
    if percent >= settings.usage_warning_percent:
        return Health("degraded", f"{percent:.0f} % of Meta's limits are used")
    return Health("connected")
