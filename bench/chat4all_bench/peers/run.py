"""All rounds of a comparison: who takes part, in which order, and what is told."""

from __future__ import annotations

import os
import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ..measuring.machine import this_machine
from ..result import Integrity
from ..running.outcome import Outcome, merge
from ..running.progress import Live
from ..running.round import Plan, Round
from ..running.runner import TOO_BUSY
from ..targets.target import SetupError, UsageError
from .catalogue import OURS, PEERS, SCENARIOS
from .comparison import Comparison, Contestant, ratios
from .installing import default_directory
from .rounds import COLUMNS, Load, words
from .rounds import run as run_round
from .table import as_text
from .targets import opened

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..targets.target import Target
    from .catalogue import Peer, Scenario

WARM_UP: Final = 2.0
"""Seconds under load before anything is measured: compilers of machine code need some."""
CONNECT_RATE: Final = 500.0
"""Connections a second: slow enough for all of them."""


class Results:
    """What was found of one server so far."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.version = ""
        self.outcomes: list[Outcome] = []
        self.integrity = Integrity()
        self.busy = 0.0

    def add(self, target: Target, outcome: Outcome, round_: Round) -> None:
        """Add a round."""
        self.version = target.info.version
        self.outcomes.append(outcome)
        self.integrity.add(round_.integrity)
        self.busy = max(self.busy, round_.busy)

    def contestant(self, scenario: Scenario, ours: Results) -> Contestant:
        """All rounds together, with ours beside them."""
        peer, metrics = self.peer, merge(self.outcomes).metrics
        beside = {} if ours is self else ratios(merge(ours.outcomes).metrics, metrics)
        return Contestant(
            name=peer.name,
            title=peer.title,
            version=self.version,
            does=peer.does if scenario in ("chat", "fanout") else "",
            durability=peer.kept(scenario),
            metrics=metrics,
            ratios=beside,
            integrity=self.integrity,
            generator_busy=round(self.busy, 3),
            generator_was_the_limit=self.busy > TOO_BUSY,
        )


def run(options: argparse.Namespace, command: Sequence[str]) -> int:
    """Compare, and tell; the exit code. See `command.run`."""
    peers = chosen(options.only)
    whole = True
    for scenario in dict.fromkeys(options.scenarios or SCENARIOS):
        found = compare(scenario, peers, options, command)
        whole = whole and found.whole
        _tell(found, as_json=options.json, out=options.out)
    return 0 if whole else 1


def chosen(only: str | None) -> list[Peer]:
    """Ours, and the others that were named, or all.

    Raises:
        UsageError: a name is nobody's.
    """
    if only is None:
        return list(PEERS.values())
    names = list(dict.fromkeys([OURS, *only.split(",")]))
    for name in names:
        if name not in PEERS:
            raise UsageError(f"--only: {name!r} is none of {', '.join(PEERS)}")
    return [PEERS[name] for name in names]


def compare(
    scenario: Scenario, peers: Sequence[Peer], options: argparse.Namespace, command: Sequence[str]
) -> Comparison:
    """Carry out all rounds of a scenario, the servers in turns, each round with a fresh one.

    Who can't take part is left out, and is told of.

    Raises:
        SetupError: that is so of ours, or of one that was named.
    """
    load_before = os.getloadavg()[0]
    started_at, seed = datetime.now(UTC), random.randrange(1 << 24)
    results = {peer.name: Results(peer) for peer in peers}
    left_out = {
        peer.name: f"it has no {scenario}" for peer in peers if scenario not in peer.scenarios
    }
    load = Load(
        options.connections,
        options.pairs,
        options.members,
        options.sessions,
        options.rate,
        options.text_bytes,
    )
    home, live = Path(options.dir or default_directory()), Live()
    for number in range(1, options.rounds + 1):
        plan = Plan(
            number=number,
            seed=seed,
            generators=None,
            seconds=options.seconds,
            warm_up=WARM_UP,
            connect_rate=CONNECT_RATE,
            text_bytes=options.text_bytes,
        )
        for peer in peers:
            if peer.name in left_out:
                continue
            live.round = f"{scenario} {number}/{options.rounds} {peer.name}"
            try:
                with opened(peer, scenario, home) as target:
                    round_ = Round(plan, target, live)
                    try:
                        outcome = run_round(round_, scenario, load)
                    finally:
                        round_.close()
                    results[peer.name].add(target, outcome, round_)
            except SetupError as error:
                if peer.name == OURS or (options.only and number == 1):
                    raise
                left_out[peer.name] = str(error)
    ours = results[OURS]
    return Comparison(
        scenario=scenario,
        what=words(scenario, load),
        command=list(command),
        started_at=started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        rounds=options.rounds,
        seconds=options.seconds,
        machine=this_machine(),
        load_before=round(load_before, 2),
        columns=COLUMNS[scenario],
        contestants=[
            each.contestant(scenario, ours)
            for name, each in results.items()
            if name not in left_out
        ],
        left_out=left_out,
    )


def _tell(found: Comparison, *, as_json: bool, out: str | None) -> None:
    data = msgspec.json.encode(found)
    print(data.decode() if as_json else f"{as_text(found)}\n", flush=True)
    if out is not None:
        path = Path(out) / f"peers-{found.scenario}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        print(f"written to {path}", file=sys.stderr)
