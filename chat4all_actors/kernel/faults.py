"""Faults: exceptions nobody expected, told apart from what must pass through, and reported."""

from __future__ import annotations

import logging
from collections.abc import Callable

FaultHandler = Callable[[str, BaseException], None]
"""Called with the name of what failed and the exception, synchronously; it must be short."""

_log = logging.getLogger(__name__)


def split_faults(error: BaseException) -> tuple[Exception | None, BaseException | None]:
    """Split into the fault to isolate and the rest that must be raised on.

    The rest is what is no ``Exception``: trio's ``Cancelled``, ``KeyboardInterrupt``,
    ``SystemExit``. A group that mixes both kinds is taken apart, so that a fault beside a
    cancellation is neither lost nor let loose.
    """
    if isinstance(error, Exception):
        return error, None
    if isinstance(error, BaseExceptionGroup):
        faults, rest = error.split(Exception)
        if faults is None:
            return None, error
        # Everything in it is an Exception, and such a group is an ExceptionGroup.
        assert isinstance(faults, ExceptionGroup)
        return faults, rest
    return None, error


def report_fault(handler: FaultHandler | None, name: str, error: BaseException) -> None:
    """Pass a fault to `handler`, or to the log where there is none.

    A handler that fails in turn is logged together with the fault: a broken reporter must not
    take down what it reports on.
    """
    if handler is None:
        _log.error("%s failed", name, exc_info=error)
        return
    try:
        handler(name, error)
    except Exception:
        _log.error("%s failed", name, exc_info=error)
        _log.exception("the fault handler of %s failed", name)
