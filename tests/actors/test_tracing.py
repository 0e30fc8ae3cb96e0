from __future__ import annotations

import re

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.tracing import (
    Trace,
    continue_trace,
    current,
    current_trace_bytes,
    current_trace_id,
    new_trace,
)

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SENT = f"00-{TRACE_ID}-{PARENT}-01".encode()


def test_the_trace_of_a_caller_goes_on_with_a_span_of_ours() -> None:
    trace = continue_trace([SENT])
    assert (trace.trace_id, trace.sampled) == (TRACE_ID, True)
    assert re.fullmatch(r"[0-9a-f]{16}", trace.span_id)
    assert trace.span_id != PARENT
    assert trace.traceparent == f"00-{TRACE_ID}-{trace.span_id}-01"


@pytest.mark.parametrize(
    ("flags", "sampled"), [(b"00", False), (b"01", True), (b"02", False), (b"ff", True)]
)
def test_only_the_flag_of_sampling_is_carried_on(flags: bytes, sampled: bool) -> None:
    trace = continue_trace([SENT[:-2] + flags])
    assert trace.sampled is sampled
    assert trace.traceparent.endswith("-01" if sampled else "-00")


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [SENT, SENT],
        [b""],
        [SENT.upper()],
        [b"ff" + SENT[2:]],
        [SENT + b"-more"],
        [SENT[:-1]],
        [b" " + SENT],
        [SENT.replace(TRACE_ID.encode(), b"0" * 32)],
        [SENT.replace(PARENT.encode(), b"0" * 16)],
    ],
)
def test_what_is_no_traceparent_begins_a_new_trace(sent: list[bytes]) -> None:
    trace = continue_trace(sent)
    assert trace.trace_id != TRACE_ID
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", trace.traceparent)


@pytest.mark.parametrize("rest", [b"", b"-what is to come"])
def test_versions_to_come_are_read_as_far_as_they_are_known(rest: bytes) -> None:
    assert continue_trace([b"cc" + SENT[2:] + rest]).trace_id == TRACE_ID


@given(st.binary(max_size=80))
def test_whatever_is_sent_there_is_a_trace(sent: bytes) -> None:
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", continue_trace([sent]).traceparent)


def test_new_traces_differ() -> None:
    assert new_trace().trace_id != new_trace().trace_id


async def test_tasks_work_for_the_trace_they_were_started_in() -> None:
    found: list[str | None] = []

    async def look() -> None:
        found.append(current_trace_id())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        token = current.set(Trace(TRACE_ID, PARENT))
        nursery.start_soon(look)
        current.reset(token)
    assert set(found) == {None, TRACE_ID}
    assert current_trace_id() is None


def test_the_id_is_stored_as_its_bytes() -> None:
    assert current_trace_bytes() is None
    token = current.set(Trace(TRACE_ID, PARENT))
    assert current_trace_bytes() == bytes.fromhex(TRACE_ID)
    current.reset(token)
