"""Log lines for people or for machines, on standard error.

A line that is written while a request is answered carries its `trace_id`. Never in a line: message
bodies, tokens, passwords.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

from .tracing import current_trace_id

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Json(logging.Formatter):
    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._worker = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._worker,
        }
        if (trace_id := current_trace_id()) is not None:
            line["trace_id"] = trace_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Console(logging.Formatter):
    def __init__(self, worker: int | None) -> None:
        prefix = "" if worker is None else f"[{worker}] "
        super().__init__(f"%(asctime)s %(levelname)-7s {prefix}%(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        trace_id = current_trace_id()
        return line if trace_id is None else f"{line} trace_id={trace_id}"


def configure(log_format: str, level: str, *, worker: int | None = None) -> None:
    """Send log lines to standard error in this format, from this level on.

    Those of one of several workers say which.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(worker) if log_format == "json" else _Console(worker))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
