"""What a run found, as lines of JSON or for people: the verdict first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def as_json(line: Mapping[str, Any]) -> str:
    """One line."""
    return json.dumps(line)


def as_text(line: Mapping[str, Any]) -> str:
    """A verdict and its thresholds first, if there are any; then what else was found."""
    rest = dict(line)
    lines: list[str] = []
    if "passed" in rest:
        verdict = "PASSED" if rest.pop("passed") else "FAILED"
        lines.append(f"{verdict}  {rest.pop('profile', '')}".rstrip())
        for each in rest.pop("thresholds", ()):
            mark = "ok    " if each["passed"] else "BROKEN"
            found, limit = _value(each["value"]), _value(each["limit"])
            lines.append(f"  {mark}  {each['name']}: {found} (limit {limit})")
    lines += [f"  {name}: {value}" for name, value in _flat(rest)]
    return "\n".join(lines)


def _flat(found: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in found.items():
        full = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _flat(value, f"{full}, ")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            for number, each in enumerate(value, 1):
                yield from _flat(each, f"{full} {number}, ")
        elif isinstance(value, list | tuple):
            yield full, " ".join(map(_value, value)) or "none"
        else:
            yield full, _value(value)


def _value(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)
