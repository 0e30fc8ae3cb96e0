from __future__ import annotations

import faulthandler

import pytest


@pytest.fixture(autouse=True)
def _no_watchdog() -> None:
    """A long run takes longer than pytest waits before it dumps all stacks, which may crash it.

    Whatever does not end here has a limit of its own.
    """
    faulthandler.cancel_dump_traceback_later()
