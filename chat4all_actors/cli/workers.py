"""Several workers on one port: the parent that starts them, and starts them again.

The parent owns what they share: the embedded servers and the listening sockets. Each worker has a
place: a number, and sockets of its own on the common port. A place outlives its worker, so a
client that connects while a worker is started again waits in the socket's queue, and is not reset.

A worker that ends is replaced; one that leaves (told by a signal of its own) is replaced while it
drains. SIGHUP replaces all, one after the other: the new worker accepts before the old one drains.
"""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Final

import trio
from msgspec.structs import replace

from .announcing import announced
from .listening import check_names, open_doors, tls_context, url_of
from .main import CommandError
from .opening import open_servers, signing_key, watch
from .worker_process import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ..config import Settings
    from .listening import Doors

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
STABLE: Final = 10 * SECONDS
"""A worker that has lived so long did not fail at its start: the next one is started at once."""
FIRST_PAUSE: Final = 0.2 * SECONDS
"""Before a worker that failed early is started again; doubled each time."""
LONGEST_PAUSE: Final = 5 * SECONDS
EXIT_LIMIT: Final = 10 * SECONDS
"""For what a worker does after its drain, before it is killed."""


async def serve_workers(settings: Settings) -> None:
    """Serve with several workers until SIGTERM or SIGINT, then drain them all.

    Raises:
        CommandError: something can't start, or an embedded server gave up.
    """
    tls_context(settings)  # here, so that a mistake is told before anything is started
    check_names(settings)
    doors = open_doors(settings)
    try:
        # From the start: a restart that is asked for too early must not be a stop.
        with trio.open_signal_receiver(signal.SIGHUP) as hangups:
            async with open_servers(settings) as servers, trio.open_nursery() as nursery:
                nursery.start_soon(watch, servers.embedded)
                node_settings = replace(
                    settings,
                    workers=1,
                    postgres=servers.postgres,
                    redis=servers.redis,
                    jwt_key=signing_key(settings),
                )
                workers = Workers(node_settings, doors)
                await nursery.start(workers.run)
                with announced(settings, url_of(settings, doors[0])):
                    await _until_told(workers, url_of(settings, doors[0]), hangups)
                    await workers.drain()
                nursery.cancel_scope.cancel()
    finally:
        for each in doors:
            each.close()


async def _until_told(workers: Workers, url: str, hangups: AsyncIterator[int]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_restart_on, hangups, workers)
            print(f"listening on {url}", flush=True)
            async for number in signals:
                logger.info("%s: draining", signal.Signals(number).name)
                break
            nursery.cancel_scope.cancel()


async def _restart_on(hangups: AsyncIterator[int], workers: Workers) -> None:
    async for _ in hangups:
        await workers.restart()


class _Place:
    """Where a worker runs; its worker changes."""

    def __init__(self, number: int, doors: Doors) -> None:
        self.number = number
        self.doors = doors
        self.changing = trio.Lock()
        self.worker: WorkerProcess | None = None
        """The one that accepts; those that it has replaced may still drain."""


class Workers:
    """The worker processes of one server."""

    def __init__(self, settings: Settings, doors: Sequence[Doors]) -> None:
        """`settings` are those of each node; there is a worker for each of the `doors`."""
        self._settings = settings
        self._places = [_Place(number, each) for number, each in enumerate(doors, 1)]
        self._living: dict[WorkerProcess, None] = {}
        self._keeping = trio.CancelScope()
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep all workers running until `drain`; started when all accept work.

        Raises:
            CommandError: one of the first can't start.
        """
        async with trio.open_nursery() as self._nursery:
            with self._keeping:
                async with trio.open_nursery() as starting:
                    for place in self._places:
                        starting.start_soon(self._occupy, place)
                task_status.started()
                async with trio.open_nursery() as keeping:
                    for place in self._places:
                        keeping.start_soon(self._keep, place)

    async def restart(self) -> None:
        """Replace each worker, one after the other; the first failure leaves the others alone."""
        logger.info("rolling restart: %d workers", len(self._places))
        for place in self._places:
            async with place.changing:
                old = place.worker
                try:
                    await self._occupy(place)
                except CommandError as error:
                    logger.error("rolling restart given up: %s", error.message)
                    return
            if old is not None:
                await self._end(old)
        logger.info("rolling restart: done")

    async def drain(self) -> None:
        """Drain all workers at once, and wait for their ends; bounded."""
        self._keeping.cancel()
        for place in self._places:
            # Closed by the workers too: who comes now is refused at once.
            for listener in place.doors.public:
                listener.close()
        async with trio.open_nursery() as nursery:
            for worker in list(self._living):
                nursery.start_soon(self._end, worker)

    async def _occupy(self, place: _Place) -> None:
        """Start a worker, and let it have the place when it accepts work."""
        assert self._nursery is not None
        worker = WorkerProcess(place.number, self._settings, place.doors)
        await self._nursery.start(self._accompany, worker)
        place.worker = worker
        logger.info("%s accepts work", worker)

    async def _accompany(
        self, worker: WorkerProcess, *, task_status: trio.TaskStatus[None]
    ) -> None:
        self._living[worker] = None
        try:
            await worker.run(task_status=task_status)
        finally:
            del self._living[worker]

    async def _keep(self, place: _Place) -> None:
        """Replace the place's worker whenever it ends or leaves without having been told to."""
        failures = 0
        while True:
            worker = place.worker
            assert worker is not None  # there was a first one
            began = trio.current_time()
            await worker.leaving.wait()
            async with place.changing:
                if place.worker is not worker:
                    continue  # a rolling restart replaced it
                if worker.ended.is_set():
                    logger.error("%s %s; it is started again", worker, worker.end)
                else:
                    self._start_soon_to_end(worker)
                failures = 0 if trio.current_time() - began >= STABLE else failures + 1
                failures = await self._fill(place, failures)

    async def _fill(self, place: _Place, failures: int) -> int:
        """Start workers until one accepts work; returns how often it failed in a row by now."""
        while True:
            if failures:
                await trio.sleep(min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE))
            try:
                await self._occupy(place)
            except CommandError as error:
                failures += 1
                logger.error("worker %d can't start: %s", place.number, error.message)
            else:
                return failures

    def _start_soon_to_end(self, worker: WorkerProcess) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(self._end, worker)

    async def _end(self, worker: WorkerProcess) -> None:
        """Let a worker drain, and wait for its end; it is killed when it takes too long."""
        worker.drain()
        with trio.move_on_after(self._settings.drain_timeout + EXIT_LIMIT) as patience:
            await worker.ended.wait()
        if patience.cancelled_caught:
            logger.error("%s does not end: it is killed", worker)
            worker.kill()
            await worker.ended.wait()
