"""Files go to the server in parts and come back: rates, latency of each step, same bytes.

So many files are under way at once, each with some parts in parallel and in no order. A file counts
when what was downloaded has the hash of what was uploaded. In the same turns the same bytes go
straight to the store and back, which tells what the server adds; and its memory is looked at all
the time. With `--beside-chat` chat goes on meanwhile, and its latency is what is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..result import COSTS
from .base import amount, latency_names, positive

if TYPE_CHECKING:
    import argparse

    from ..files.transfers import Transfers
    from ..files.turns import File, Turns
    from ..measuring.watch import Watch
    from ..running.outcome import Outcome
    from ..running.round import Round

HELP = "files up and down again in parts: rates beside the bare store, memory, same bytes"
PRIMARY = "upload"
MIB = 2**20
SMALL = 1000
"""Bytes of a first file: a server without files is told at once."""
PATIENCE = 60.0
"""Seconds without anything new after which messages that are not answered are given up."""
RATES = ("upload_rate", "parts_rate", "download_rate")
STRAIGHT = ("straight_upload_rate", "straight_download_rate")
RATIOS = ("upload_ratio", "parts_ratio", "download_ratio")
BUSY = ("upload_busy", "download_busy")
CHAT = ("before_p99", "during_p99", "p99_ratio")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scenario's own."""
    add = parser.add_argument_group("the files").add_argument
    add("--files", type=positive, default=20, metavar="N", help="(20)")
    add("--size", type=amount, default=5.0, metavar="MIB", help="of each (5)")
    add("--at-once", type=positive, default=4, metavar="N", help="files (4)")
    add("--parts-at-once", type=positive, default=4, metavar="N", help="of each file (4)")
    add(
        "--no-straight",
        action="store_true",
        help="nothing goes straight to the store (nor does it to that of a server at --url)",
    )
    chat = parser.add_argument_group("chat beside uploads").add_argument
    chat(
        "--beside-chat",
        type=amount,
        metavar="RATE",
        help="messages a second, for --seconds before and --seconds while --at-once files go up"
        " all the time",
    )
    chat("--pairs", type=positive, default=50, metavar="N", help="who talk (50)")


def figures(options: argparse.Namespace) -> list[str]:
    """See `base.Scenario`."""
    from ..files.transfers import STEPS

    always = ["files", "upload_rate", "server_growth", *latency_names(*STEPS)]
    if options.beside_chat:
        return [*always, *CHAT, *latency_names("delivery", "ack"), *COSTS]
    costs = [f"{cost}{way}" for cost in COSTS for way in ("_up", "_down")]
    straight = () if options.no_straight or options.url else (*STRAIGHT, *RATIOS)
    return [*always, *RATES[1:], *straight, *BUSY, *costs]


def run(round_: Round, options: argparse.Namespace) -> Outcome:
    """See `base.Scenario`."""
    from ..files.transfers import Transfers
    from ..measuring.watch import Watch
    from ..targets.servers import RunningServer

    target = round_.target
    assert isinstance(target, RunningServer)
    (person,) = round_.seating.people(1)
    transfers = Transfers(target.url, person.token, parts_at_once=options.parts_at_once)
    try:
        watch = Watch(target.processes)
        _try_out(transfers, round_)
        if options.beside_chat:
            outcome = _beside_chat(round_, transfers, watch, options)
        else:
            outcome = _in_turns(round_, transfers, watch, options)
    finally:
        transfers.close()
    if target.processes():
        outcome.add("server_growth", watch.growth / MIB, "MiB")
    return outcome


def _try_out(transfers: Transfers, round_: Round) -> None:
    """Let a small file go up, which also tells how large parts are.

    Raises:
        SetupError: the server has no files, or takes none.
    """
    from ..files.connections import Failed
    from ..files.transfers import NotServed
    from ..targets.target import SetupError

    small = _file("small", round_.plan.seed, SMALL)
    try:
        transfers.upload(small.name, small.content, small.sha256)
    except NotServed as refused:
        raise SetupError(f"the server at {transfers.url} serves no files: {refused}") from None
    except Failed as failed:
        raise SetupError(f"the server at {transfers.url} took no file: {failed}") from None
    transfers.begin_anew()


def _file(name: str, seed: int, size: int) -> File:
    from ..files.content import Content
    from ..files.turns import File

    content = Content(seed, size)
    return File(f"{name}.bin", content, content.digest())


def _in_turns(
    round_: Round, transfers: Transfers, watch: Watch, options: argparse.Namespace
) -> Outcome:
    from ..files.store import straight_to
    from ..files.turns import Turns
    from ..targets.servers import StartedServer

    target, size = round_.target, max(1, int(options.size * MIB))
    straight = None
    if isinstance(target, StartedServer) and not options.no_straight:
        flags, parts = options.serve or "", options.parts_at_once
        straight = straight_to(target.place, flags, parts_at_once=parts)
    turns = Turns(transfers, straight, target.processes, watch)
    try:
        for first in range(0, options.files, options.at_once):
            numbers = range(first, min(options.files, first + options.at_once))
            files = [_file(str(n), round_.plan.seed + n, size) for n in numbers]
            turn = round_.plan.number + first // options.at_once
            turns.turn(files, server_first=turn % 2 == 0)
    finally:
        if straight is not None:
            straight.close()
    integrity = round_.integrity
    integrity.sent, integrity.acknowledged = options.files, turns.up.size // size
    integrity.delivered, integrity.lost = turns.good, options.files - turns.good
    integrity.errors = turns.errors
    return _told(turns, transfers, round_.plan.number)


def _told(turns: Turns, transfers: Transfers, round_: int) -> Outcome:
    from ..running.outcome import Outcome

    outcome = Outcome()
    outcome.add("files", turns.good, "", "higher")
    parts_rate = turns.up.size / MIB / max(turns.parts_seconds, 1e-9)
    for name, rate in zip(RATES, (turns.up.rate, parts_rate, turns.down.rate), strict=True):
        outcome.add(name, rate, "MiB/s", "higher")
    if turns.straight_up.size:
        up, down = turns.straight_up.rate, turns.straight_down.rate
        for name, rate in zip(STRAIGHT, (up, down), strict=True):
            outcome.add(name, rate, "MiB/s", "higher")
        ratios = (turns.up.rate / up, parts_rate / up, turns.down.rate / max(down, 1e-9))
        for name, ratio in zip(RATIOS, ratios, strict=True):
            outcome.add(name, ratio, "", "higher")
    for name, way in zip(BUSY, (turns.up, turns.down), strict=True):
        outcome.add(name, way.busy, "cores")
    for step, histogram in transfers.histograms.items():
        outcome.add_latency(step, histogram)
    for suffix, way in (("_up", turns.up), ("_down", turns.down)):
        outcome.add_cost(way.measured.spent, way.size // MIB, suffix=suffix, round_=round_)
    outcome.notes.append(
        "CPU is for each MiB. `upload_rate` is until the server has checked the whole file,"
        " `parts_rate` until it has the last part. The threads that send, receive and hash what"
        " comes back used `upload_busy` and `download_busy` of the same machine."
    )
    return outcome


def _beside_chat(
    round_: Round, transfers: Transfers, watch: Watch, options: argparse.Namespace
) -> Outcome:
    from ..files.content import Content
    from ..files.elsewhere import Order, UploadsElsewhere
    from ..running.outcome import Outcome

    size = max(1, int(options.size * MIB))
    seed, many = round_.plan.seed, options.at_once
    people = round_.seating.people(2 * options.pairs)
    pairs = [people[2 * n : 2 * n + 2] for n in range(options.pairs)]
    round_.gathering.primary = "delivery"
    talking = round_.seating.rooms(pairs, speakers=2)
    round_.join(talking)
    rate = options.beside_chat
    before = round_.load("before the uploads", rate=rate, speakers=talking)
    watch.begin_anew()  # the sessions are no part of it
    order = Order(
        transfers.url, transfers.token, "beside.bin", seed, size, many, options.parts_at_once
    )
    uploads = UploadsElsewhere(order)
    try:
        with watch:
            began = [(0.0, uploads.begin)]
            during = round_.load(
                "files go up", rate=rate, warm_up=0.0, speakers=talking, at=began, patience=PATIENCE
            )
            uploaded = uploads.end()
    finally:
        uploads.close()
    round_.verify()
    digest = Content(seed, size).digest()
    came = uploaded.back(lambda id_: transfers.download(id_) == (digest, size))
    integrity = round_.integrity
    integrity.lost += uploaded.asked - came
    for what, count in uploaded.errors.items():
        integrity.errors[what] = integrity.errors.get(what, 0) + count
    outcome = Outcome()
    outcome.add("files", came, "", "higher")
    outcome.add("upload_rate", came * options.size / uploaded.seconds, "MiB/s", "higher")
    quiet, busy = before.histogram("delivery"), during.histogram("delivery")
    outcome.add_latency("delivery", busy)
    outcome.add_latency("ack", during.histogram("ack"))
    outcome.add("before_p99", quiet.quantile_ms(0.99), "ms")
    outcome.add("during_p99", busy.quantile_ms(0.99), "ms")
    outcome.add("p99_ratio", busy.quantile_ms(0.99) / max(quiet.quantile_ms(0.99), 1e-3), "")
    downloads = transfers.histograms["download"]
    for step, histogram in (uploaded.histograms | {"download": downloads}).items():
        outcome.add_latency(step, histogram)
    outcome.add_cost(during.spent, during.acknowledged, round_=round_.plan.number)
    outcome.notes.append(
        f"`delivery` and `ack` are while {options.at_once} files went up; CPU is for each message,"
        f" with that of the files in it. {uploaded.asked} files went up in all, from a process"
        " that gave way to all others."
    )
    return outcome
