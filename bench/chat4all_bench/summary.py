"""A run as text, until `reporting` has a better one."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .result import Run


def as_text(run: Run) -> str:
    """The verdict and the thresholds first, then every figure."""
    lines = ["PASSED" if run.passed else "FAILED"]
    for each in run.thresholds:
        value = "not measured" if each.value is None else f"{each.value:,.3f}"
        lines.append(f"  {'ok    ' if each.passed else 'BROKEN'}  {each.text}: {value}")
    for name, metric in run.metrics.items():
        spread = (
            "" if len(metric.values) == 1 else f"  ({min(metric.values)}..{max(metric.values)})"
        )
        lines.append(f"  {name}: {median(metric.values):,.2f} {metric.unit}{spread}".rstrip())
    found = run.integrity
    lines.append(
        f"  sent {found.sent:,}, acknowledged {found.acknowledged:,}, delivered {found.delivered:,}"
    )
    lines += [f"  error: {what}: {count:,}" for what, count in found.errors.items()]
    return "\n".join(lines + run.notes)
