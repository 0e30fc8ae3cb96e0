"""`chat4all bench`: the load harness runs it."""

from __future__ import annotations

from chat4all_bench.cli import run

__all__ = ["run"]
