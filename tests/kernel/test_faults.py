from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from chat4all_actors.kernel import report_fault, split_faults

if TYPE_CHECKING:
    import pytest


def test_an_exception_is_a_fault() -> None:
    error = ValueError()
    assert split_faults(error) == (error, None)


def test_an_interrupt_must_pass() -> None:
    error = KeyboardInterrupt()
    assert split_faults(error) == (None, error)


def test_a_mixed_group_is_taken_apart() -> None:
    fault, interrupt = ValueError(), KeyboardInterrupt()
    mixed = BaseExceptionGroup("", [fault, BaseExceptionGroup("", [interrupt])])
    faults, rest = split_faults(mixed)
    assert isinstance(faults, ExceptionGroup)
    assert faults.exceptions == (fault,)
    assert isinstance(rest, BaseExceptionGroup)
    assert split_faults(rest) == (None, rest)


def test_a_fault_without_a_handler_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    report_fault(None, "ann", ValueError("broken"))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "ann failed"
    assert "ValueError: broken" in caplog.text


def test_a_handler_that_fails_is_logged_with_the_fault(caplog: pytest.LogCaptureFixture) -> None:
    def handler(name: str, error: BaseException) -> None:
        raise RuntimeError("bad handler")

    report_fault(handler, "ann", ValueError("broken"))
    assert [record.getMessage() for record in caplog.records] == [
        "ann failed",
        "the fault handler of ann failed",
    ]
    assert "ValueError: broken" in caplog.text
    assert "RuntimeError: bad handler" in caplog.text
