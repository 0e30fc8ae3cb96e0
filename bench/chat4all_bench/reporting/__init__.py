"""A run told and kept: on a terminal, as `run.json`, as a page, as CSV.

What is written here is read by people who were not there, so every report says what was asked for,
on which machine, by which command, and whether the load generator rather than the server was the
limit. `text` and `page` show the same `tables`; `charts` says what is drawn, `drawing` how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .csvs import write_csvs
from .files import UnreadableRun, read, write_run, write_whole
from .page import page
from .text import summary

if TYPE_CHECKING:
    from pathlib import Path

    from ..result import Run

__all__ = ["UnreadableRun", "read", "summary", "write"]


def write(run: Run, directory: Path) -> None:
    """Write `run.json`, `report.html` and the CSV files of a run; the directory is made."""
    write_run(run, directory)
    write_whole(directory / "report.html", page(run).encode())
    write_csvs(run, directory)
