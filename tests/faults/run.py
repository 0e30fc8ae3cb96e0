"""A fault run: clients write while processes are killed; then everything heals and is checked."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from typing import IO, TYPE_CHECKING, Final

import trio
from msgspec import Struct

from tests.faults.checker import check
from tests.faults.client import Client
from tests.faults.history import History
from tests.faults.injector import KILLS, Injector, schedule
from tests.faults.processes import ROOT, DatabaseProcess, server_log, server_process
from tests.faults.progress import Progress
from tests.faults.readback import read_back, read_tables, requests
from tests.faults.report import Report
from tests.faults.workload import Shape, live, make_plan
from tests.support.server import command, environment, token
from tests.support.storage_servers import execute

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.faults.workload import Person, Plan

SERVER: Final = ("chat4all_actors",)


class Scenario(Struct, frozen=True, kw_only=True):
    """What a run does; the same seed makes the same plan and the same faults."""

    seed: int
    kills: int
    faults: Sequence[str] = tuple(KILLS)
    shape: Shape = Shape()
    launcher: Sequence[str] = SERVER
    after_faults: int = 100
    """Messages that are acknowledged after the last fault before the clients stop writing."""
    least_in_flight: int = 10
    recovery_limit: float = 60.0
    """Seconds after which a fault counts as one that the system does not recover from."""
    healing_limit: float = 60.0
    """The same for the clients to have everything when the faults are over."""


async def fault_run(
    scenario: Scenario, data_dir: Path, *, postgres: str | None = None, database: Path | None = None
) -> Report:
    """Run the scenario with a server over `data_dir`.

    Its database is `postgres`, or else embedded. It can be crashed if it is that of an embedded
    directory: `database`.
    """
    rng = random.Random(scenario.seed)
    history, progress = History(), Progress()
    plan = make_plan(scenario.shape, rng)
    tokens = {user: token(user) for user in plan.users}
    where = ["--data-dir", str(data_dir)]
    where += ["--postgres", postgres] if postgres is not None else []
    async with AsyncExitStack() as stack:
        log = stack.enter_context(server_log(data_dir))
        await add_users(plan.users, where, log)
        server = await stack.enter_async_context(server_process(scenario.launcher, where, log))
        rooms = await create_rooms(plan, tokens, server.port)
        dsn = DatabaseProcess(data_dir).dsn if postgres is None else postgres
        # The rooms are there for good, even where the server's own commits are not.
        await trio.to_thread.run_sync(execute, dsn, "CHECKPOINT")
        clients = [
            Client(
                history,
                random.Random(rng.random()),
                ports=[server.port],
                user=person.user,
                device=person.device,
                token=tokens[person.user],
                conversations=[room for room, users in rooms.items() if person.user in users],
                progress=progress,
            )
            for person in plan.people
        ]
        injector = Injector(
            rng,
            server=server,
            database=None if database is None else DatabaseProcess(database),
            clients=clients,
            progress=progress,
            least_in_flight=scenario.least_in_flight,
            limit=scenario.recovery_limit,
        )
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.run)
            began = trio.current_time()
            crowd = list(zip(clients, plan.people, strict=True))
            await _faults(scenario, injector, crowd, rng, progress)
            calm = trio.current_time()
            converged = await heal(scenario.healing_limit, clients, rooms, progress)
            healed = trio.current_time()
            nursery.cancel_scope.cancel()
        logs = await read_back(history, rng, [server.port], tokens, rooms, ranges=20)
        tables = await read_tables(dsn)
    violations = check(history, tables, logs)
    if not converged:
        violations.append(f"8: no convergence within {scenario.healing_limit} s")
    return Report(
        scenario=f"seed {scenario.seed}",
        history=history,
        tables=tables,
        injected=injector.injected,
        seconds=calm - began,
        healing=healed - calm,
        violations=violations,
    )


async def _faults(
    scenario: Scenario,
    injector: Injector,
    crowd: Sequence[tuple[Client, Person]],
    rng: random.Random,
    progress: Progress,
) -> None:
    """The clients live while the faults happen, and a little longer."""
    names = schedule(rng, scenario.kills, scenario.faults)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(live, crowd, random.Random(rng.random()), scenario.shape, progress)
        await injector.run(names)
        await injector.recovered(scenario.after_faults)
        nursery.cancel_scope.cancel()


async def heal(
    limit: float,
    clients: Sequence[Client],
    rooms: dict[str, list[str]],
    progress: Progress,
) -> bool:
    """Wait until everybody has everything, and false if that does not come in `limit` seconds."""

    def nothing_waits() -> bool:
        return not any(client.outbox for client in clients)

    def nothing_is_missing() -> bool:
        return nothing_waits() and all(
            held >= progress.heads[room] for client in clients for room, held in client.held.items()
        )

    with trio.move_on_after(limit):
        await progress.reach(nothing_waits)
        # A last word in each room: it shows everybody what was missed before it.
        for room, members in rooms.items():
            last = next(client for client in clients if client.user == members[0])
            last.put(room, "the last word")
        await progress.reach(nothing_is_missing)
        return True
    return False


async def add_users(users: Sequence[str], where: Sequence[str], log: IO[bytes]) -> None:
    """Give these users accounts, in the databases that these arguments name."""
    await trio.run_process(
        command("user", "add", *users, "--password", "not of any use", *where),
        cwd=ROOT,
        env=environment(),
        capture_stdout=True,
        stderr=log.fileno(),
    )


async def create_rooms(plan: Plan, tokens: dict[str, str], port: int) -> dict[str, list[str]]:
    """Create the conversations of the plan; who is in which."""
    rooms: dict[str, list[str]] = {}
    for room in plan.rooms:
        creator, *others = room.members
        async with requests(port, creator, tokens[creator]) as api:
            made = await api.ask({"t": "create", "type": room.type, "members": others})
        assert made["t"] == "conv", made
        rooms[made["conv"]] = room.members
    return rooms
