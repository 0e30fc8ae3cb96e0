"""`run.json`: a run as it is kept, and read again.

JSON has no word for a figure that could not be measured (NaN): it is `null` there, and NaN again
when it is read.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from ..result import VERSION, Run

NAME: Final = "run.json"


class UnreadableRun(Exception):
    """What is there is no run that can be read; the text names the file, and says why."""


def write_run(run: Run, directory: Path) -> Path:
    """Write `run.json`, whole or not at all; the directory is made if need be."""
    path = directory / NAME
    write_whole(path, msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds the old one or the new one, and no part of either."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path: Path) -> Run:
    """Read a run from its file, or from the directory that holds it. Raises UnreadableRun."""
    if path.is_dir():
        path = path / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if path.name == NAME and path.parent.is_dir():
            raise UnreadableRun(f"{path.parent} holds no {NAME}") from None
        raise UnreadableRun(f"{path} does not exist") from None
    except OSError as error:
        raise UnreadableRun(f"{path} cannot be read: {error.strerror}") from error
    try:
        found = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise UnreadableRun(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict) or "scenario" not in found:
        raise UnreadableRun(f"{path} is JSON, but no run of `chat4all bench`")
    if (version := found.get("version")) != VERSION:
        raise UnreadableRun(f"{path} has version {version!r}, and this program reads {VERSION}")
    _restore(found)
    try:
        # Not strict: keys of JSON are text, those of a histogram's buckets are numbers.
        return msgspec.convert(found, Run, strict=False)
    except msgspec.ValidationError as error:
        raise UnreadableRun(f"{path} is broken: {error}") from error


def _restore(found: dict[str, Any]) -> None:
    """Put NaN where a figure is missing. What has another shape is left for the check to tell."""
    for metric in _values(found, "metrics"):
        _restore_row(metric.get("values"))
    for series in _values(found, "series"):
        for row in _list(series.get("rows")):
            _restore_row(row)
    for curve in _values(found, "curves"):
        for point in _list(curve.get("points")):
            _restore_row(point)


def _restore_row(row: Any) -> None:
    if isinstance(row, list):
        row[:] = [float("nan") if value is None else value for value in row]


def _values(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    group = found.get(name)
    if not isinstance(group, dict):
        return []
    return [each for each in group.values() if isinstance(each, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
