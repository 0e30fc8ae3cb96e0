"""Files go to the server in parts and come back: throughput, latency of each step, same bytes.

Some files are under way at once, each with some parts in parallel and in no order. A file counts
when what was downloaded has the hash of what was uploaded.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from .base import amount, latency_names, positive

if TYPE_CHECKING:
    import argparse

    from ..running.outcome import Outcome
    from ..running.round import Round
    from .transfer import Transfers

HELP = "files up and down again in parts: throughput, latency, same bytes"
PRIMARY = "upload"
MIB = 2**20
STEPS = ("initiate", "part", "complete", "upload", "download")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scenario's own."""
    add = parser.add_argument_group("the files").add_argument
    add("--files", type=positive, default=20, metavar="N", help="(20)")
    add("--size", type=amount, default=5.0, metavar="MIB", help="of each (5)")
    add("--at-once", type=positive, default=4, metavar="N", help="files (4)")
    add("--parts-at-once", type=positive, default=4, metavar="N", help="of each file (4)")


def figures(options: argparse.Namespace) -> list[str]:
    """See `base.Scenario`."""
    return ["files", "upload_rate", "server_cpu_us", *latency_names(*STEPS)]


def run(round_: Round, options: argparse.Namespace) -> Outcome:
    """See `base.Scenario`."""
    from ..measuring.meter import Meter
    from ..running.outcome import Outcome
    from ..targets.servers import RunningServer
    from .transfer import Transfers

    target = round_.target
    assert isinstance(target, RunningServer)
    (person,) = round_.seating.people(1)
    transfers = Transfers(target.url, person.token, parts_at_once=options.parts_at_once)
    meter, own, began = Meter(target.processes), time.process_time(), time.monotonic()
    good = asyncio.run(_all(round_, transfers, options))
    seconds = time.monotonic() - began
    round_.busy = (time.process_time() - own) / seconds
    integrity = round_.integrity
    integrity.sent, integrity.acknowledged, integrity.delivered = options.files, good, good
    integrity.lost = options.files - good
    outcome = Outcome()
    outcome.add("files", good, "", "higher")
    outcome.add("upload_rate", transfers.sent / MIB / seconds, "MiB/s", "higher")
    for step in STEPS:
        outcome.add_latency(step, transfers.histograms[step])
    moved = (transfers.sent + transfers.received) // MIB
    outcome.add_cost(meter.spent(), moved, round_=round_.plan.number)
    outcome.notes.append("CPU is for each MiB, up or down; the rate has both ways in it.")
    return outcome


async def _all(round_: Round, transfers: Transfers, options: argparse.Namespace) -> int:
    """Transfer all files; how many came back as they were.

    Raises:
        SetupError: the server has no files.
    """
    from ..targets.target import SetupError
    from .transfer import NotServed, Wrong

    gate = asyncio.Semaphore(options.at_once)
    errors = round_.integrity.errors
    size = max(1, int(options.size * MIB))

    async def one(number: int) -> bool:
        async with gate:
            try:
                await transfers.transfer(f"{number}.bin", size, round_.plan.seed + number)
            except Wrong as wrong:
                errors[str(wrong)] = errors.get(str(wrong), 0) + 1
                return False
            return True

    try:
        first = await one(0)  # alone: a server without files is told at once
        others = await asyncio.gather(*map(one, range(1, options.files)))
    except NotServed as refused:
        raise SetupError(f"the server at {transfers.url} serves no files: {refused}") from None
    finally:
        transfers.close()
    return first + sum(others)
