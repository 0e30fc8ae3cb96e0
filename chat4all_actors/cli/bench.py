"""Measure the server under load: `rest` has thresholds, and ends with 1 when one is broken."""

from __future__ import annotations

from chat4all_bench.cli import add_arguments, run

__all__ = ["add_arguments", "run"]
