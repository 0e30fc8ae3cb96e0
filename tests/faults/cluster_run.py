"""A fault run of a cluster: clients on all nodes write while it is broken; then it is checked."""

from __future__ import annotations

import random
import time
from bisect import bisect_right
from math import inf
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from chat4all_storage.ports.logical_shards import default_placement, logical_shard
from tests.faults.checker import check
from tests.faults.checker_members import arrivals
from tests.faults.client import Client
from tests.faults.cluster import open_cluster
from tests.faults.cluster_faults import GO_ON, ClusterFaults, Lengths
from tests.faults.cluster_report import ClusterReport, Recovery
from tests.faults.facts import Facts
from tests.faults.history import History
from tests.faults.progress import Progress
from tests.faults.readback import read_back, read_tables
from tests.faults.run import add_users, create_rooms, heal
from tests.faults.workload import Shape, live, make_plan
from tests.support.server import token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.faults.history import Tables
    from tests.faults.workload import Person, Plan

LAUNCHER: Final = ("tests.faults.crash_points",)

SHAPE: Final = Shape(
    users=11, second_devices=3, window=8, pause=1.0, wanderers=2, dawdlers=0, curious=True
)
"""Nobody dawdles: a proxy reads what a client does not. They write as little as shows anything, so
that what is late is late because of the cluster, and not because of a busy machine."""


class ClusterScenario(Struct, frozen=True, kw_only=True):
    """What a run does; the same seed makes the same plan and the same faults."""

    seed: int
    rounds: int
    """How often each fault comes."""
    faults: Sequence[str]
    """Which; a group of faults, or a fault."""
    nodes: int = 3
    databases: int = 2
    lengths: Lengths = Lengths()
    shape: Shape = SHAPE
    launcher: Sequence[str] = LAUNCHER
    patience: float = 5.0
    """Seconds within which everything must arrive where it can: G7."""
    recovery_limit: float = 60.0
    """Seconds after which the cluster counts as one that does not recover at all."""


async def cluster_run(scenario: ClusterScenario, directory: Path) -> ClusterReport:
    """Run the scenario."""
    rng = random.Random(scenario.seed)
    history, progress = History(), Progress()
    history.epoch = time.time() - trio.current_time()
    plan = make_plan(scenario.shape, rng)
    tokens = {user: token(user) for user in plan.users}
    size = {"nodes": scenario.nodes, "databases": scenario.databases}
    async with open_cluster(directory, rng, scenario.launcher, **size) as cluster:
        where = [part for dsn in cluster.dsns for part in ("--postgres", dsn)]
        where += ["--data-dir", str(directory / "node0")]
        await add_users(plan.users, where, cluster.log)
        rooms = await create_rooms(plan, tokens, cluster.ports[0])
        crowd = _crowd(history, rng, cluster.ports, plan, rooms, tokens, progress)
        clients = [client for client, _ in crowd]
        steady = [client for client, person in crowd if person.habit == "steady"]
        faults = ClusterFaults(rng, cluster, history, progress, scenario.lengths, steady)
        campaign = _Campaign(rng, scenario, faults, steady, progress)
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.run)
            began = trio.current_time()
            async with trio.open_nursery() as living:
                child = random.Random(rng.random())
                living.start_soon(live, crowd, child, scenario.shape, progress)
                await campaign.run()
                living.cancel_scope.cancel()
            calm = trio.current_time()
            converged = await heal(scenario.recovery_limit, clients, rooms, progress)
            healed = trio.current_time()
            nursery.cancel_scope.cancel()
        tables = await read_tables(*cluster.dsns)
        logs = await read_back(history, rng, cluster.ports, tokens, tables.members, ranges=5)
    violations = campaign.violations + faults.violations
    if not converged:
        violations.append(f"8: no convergence within {scenario.recovery_limit} s")
    violations += check(history, tables, logs, patience=scenario.patience)
    return ClusterReport(
        scenario=f"seed {scenario.seed}",
        history=history,
        tables=tables,
        violations=violations,
        recoveries=campaign.recoveries,
        seconds=calm - began,
        healing=healed - calm,
        slowest=_slowest(history, tables, scenario.patience, campaign.recoveries),
    )


def _crowd(
    history: History,
    rng: random.Random,
    ports: Sequence[int],
    plan: Plan,
    rooms: dict[str, list[str]],
    tokens: dict[str, str],
    progress: Progress,
) -> list[tuple[Client, Person]]:
    clients = [
        Client(
            history,
            random.Random(rng.random()),
            ports=ports,
            user=person.user,
            device=person.device,
            token=tokens[person.user],
            conversations=[room for room, users in rooms.items() if person.user in users],
            progress=progress,
        )
        for person in plan.people
    ]
    return list(zip(clients, plan.people, strict=True))


class _Campaign:
    """One fault after the other, each when the last one is over, and how long that takes."""

    def __init__(
        self,
        rng: random.Random,
        scenario: ClusterScenario,
        faults: ClusterFaults,
        clients: Sequence[Client],
        progress: Progress,
    ) -> None:
        """`clients` are those that attend all the time."""
        self.recoveries: list[Recovery] = []
        self.violations: list[str] = []
        self._rng = rng
        self._scenario = scenario
        self._faults = faults
        self._clients = clients
        self._progress = progress
        self._homes = default_placement(scenario.databases)

    async def run(self) -> None:
        """Each fault as often as there are rounds.

        Raises:
            TooSlowError: the cluster does not recover.
        """
        for _ in range(self._scenario.rounds):
            names = self._faults.names(self._scenario.faults)
            self._rng.shuffle(names)
            for name in names:
                self._progress.restart()
                await self._reach(lambda: self._progress.fresh >= 40)
                await trio.sleep(self._rng.uniform(0, 0.05))
                await self._one(name)
        self._progress.restart()
        await self._reach(lambda: self._progress.fresh >= 100)

    async def _one(self, name: str) -> None:
        start = trio.current_time()
        with trio.fail_after(2 * self._scenario.recovery_limit):
            end = await self._faults.inject(name)
        wanted = dict(self._progress.heads)
        for database in GO_ON.get(name, ()):
            if not self._answered(database, start):
                self.violations.append(f"8: nothing is acknowledged in database {database}: {name}")
        took = {"delivered": inf, "acknowledged": inf}

        async def measure(figure: str, condition: Callable[[], bool]) -> None:
            await self._progress.reach(condition)
            took[figure] = trio.current_time() - end

        with trio.move_on_after(self._scenario.recovery_limit):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(measure, "delivered", lambda: self._everybody_has(wanted))
                nursery.start_soon(measure, "acknowledged", lambda: self._each_answered(end))
        self.recoveries.append(Recovery(name, start, end, **took))
        if took["delivered"] > self._scenario.patience:
            self.violations.append(
                f"10: everybody had everything {took['delivered']:.2f} s after: {name}"
            )
        if took["acknowledged"] == inf:
            self.violations.append(f"8: nothing is acknowledged any more after: {name}")
        await self._faults.mend()
        # Who was started again has no clients: some come.
        for client in self._rng.sample(self._clients, len(self._clients) // 3):
            client.cut()

    def _everybody_has(self, heads: dict[str, int]) -> bool:
        return all(
            held >= heads.get(conversation, 0)
            for client in self._clients
            for conversation, held in client.held.items()
        )

    def _each_answered(self, since: float) -> bool:
        return all(self._answered(number, since) for number in range(self._scenario.databases))

    def _answered(self, database: int, since: float) -> bool:
        """Something that was sent after `since`, in some conversation of that database."""
        return any(
            sent > since and self._homes[logical_shard(room)] == database
            for room, sent in self._progress.sent.items()
        )

    async def _reach(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(self._scenario.recovery_limit):
            await self._progress.reach(condition)


def _slowest(
    history: History, tables: Tables, patience: float, recoveries: Sequence[Recovery]
) -> list[tuple[str, float]]:
    """The slowest delivery from the beginning of each fault to that of the next."""
    starts = [recovery.start for recovery in recoveries]
    slowest = [0.0] * len(recoveries)
    for arrival in arrivals(Facts.of(history, tables), patience):
        place = bisect_right(starts, arrival.since) - 1
        if place >= 0:
            slowest[place] = max(slowest[place], arrival.seconds)
    return [(each.name, seconds) for each, seconds in zip(recoveries, slowest, strict=True)]
