"""Measure the server under load; 1 when a threshold is broken, or a message was lost."""

from __future__ import annotations

from chat4all_bench.cli import add_arguments, run

__all__ = ["add_arguments", "run"]
