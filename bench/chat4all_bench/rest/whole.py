"""A whole run of `rest`: one profile, told like every other scenario."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..measuring.machine import this_machine
from ..result import Run, Target
from ..running import thresholds
from ..targets.servers import DURABILITY, installed_version
from . import found as found_
from . import options as options_

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def run(options: argparse.Namespace, command: Sequence[str]) -> Run:
    """Carry it out.

    Raises:
        SetupError: it could not begin.
        ThresholdError: a threshold can't be held to anything.
        UsageError: an argument does not fit.
    """
    conditions = [thresholds.parse(text) for text in options.threshold or ()]
    started_at, began = datetime.now(UTC), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chat4all-bench-") as data_dir:
        found = options_.run(options, data_dir)
    outcome = found_.outcome_of(found)
    thresholds.check_names(conditions, [*outcome.metrics, "p50", "p95", "p99", "max"])
    judged = found_.thresholds_of(found)
    judged += [thresholds.judge(each, outcome.metrics, "answer") for each in conditions]
    integrity = found_.integrity_of(found)
    flags = f"--workers {options.workers}"
    return Run(
        scenario=f"rest {options.profile}",
        command=list(command),
        started_at=started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=round(time.monotonic() - began, 1),
        seed=0,
        rounds=options.rounds if options.profile == "bare" else 1,
        target=Target("chat4all", installed_version(), options.url or flags, DURABILITY),
        machine=this_machine(),
        parameters={
            name: value
            for name, value in vars(options).items()
            if isinstance(value, str | int | float | bool | None) and name != "client_secret"
        },
        passed=integrity.whole
        and bool(getattr(found, "passed", True))
        and all(each.passed for each in judged),
        thresholds=judged,
        metrics=outcome.metrics,
        integrity=integrity,
        generator=found_.generator_of(found, options.processes),
        histograms=outcome.histograms,
        notes=outcome.notes,
    )
