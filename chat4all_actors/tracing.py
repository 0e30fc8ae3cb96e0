"""Trace ids: what happened for one request, found again in answers, log lines and other services.

W3C Trace Context (`traceparent`; `tracestate` is for others and ends here). The current trace is a
context variable: tasks that are started while it is set belong to it, and `logs.py` writes it into
their lines.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chat4all_protocol.ids import random_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

# Version, trace id, parent id, flags; versions to come may have more behind them.
_TRACEPARENT: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)
_SAMPLED: Final = 0x01
_NEVER_A_VERSION: Final = "ff"
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16


@dataclass(frozen=True, slots=True)
class Trace:
    """One span of a trace: what this node does for one request.

    Attributes:
        trace_id: 32 lower-case hexadecimal digits, the same at every hop.
        span_id: 16 of them, this node's part.
        sampled: Whether who began the trace records it.
    """

    trace_id: str
    span_id: str
    sampled: bool = False

    @property
    def traceparent(self) -> str:
        """The field that continues this trace at another service."""
        return f"00-{self.trace_id}-{self.span_id}-{_SAMPLED if self.sampled else 0:02x}"


current: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""The trace that this task works for."""


def current_trace_id() -> str | None:
    """The id of the trace that this task works for, if there is one."""
    trace = current.get()
    return None if trace is None else trace.trace_id


def current_trace_bytes() -> bytes | None:
    """The same as 16 bytes, as it is stored with what the task does."""
    trace = current.get()
    return None if trace is None else bytes.fromhex(trace.trace_id)


def new_trace() -> Trace:
    """A trace that begins here."""
    return Trace(random_bytes().hex(), _span_id())


def _span_id() -> str:
    return random_bytes()[:8].hex()


def continue_trace(traceparents: Sequence[bytes]) -> Trace:
    """The caller's trace, with a span of ours; a new one when the caller's is missing or invalid.

    Args:
        traceparents: The values of the `traceparent` fields: one, or it is invalid.
    """
    if len(traceparents) != 1:
        return new_trace()
    match = _TRACEPARENT.fullmatch(traceparents[0].decode("latin-1"))
    if match is None:
        return new_trace()
    version, trace_id, parent_id, flags, rest = match.groups()
    if (
        version == _NEVER_A_VERSION
        or (version == "00" and rest is not None)
        or trace_id == _NO_TRACE
        or parent_id == _NO_SPAN
    ):
        return new_trace()
    sampled = bool(int(flags, 16) & _SAMPLED)
    return Trace(trace_id, _span_id(), sampled)
