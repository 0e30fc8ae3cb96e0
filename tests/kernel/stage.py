"""A stage for supervisors: children that do what they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_actors.kernel import Child, Supervisor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


class Stage:
    """Children that write down what happens to them, and do what they are told."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.ready: dict[str, trio.Event] = {}
        self.orders: dict[str, trio.MemorySendChannel[BaseException | None]] = {}
        # How each start of a child fails, in turn; None and no entry: it does not.
        self.starts: dict[str, Iterator[BaseException | None]] = {}
        self.start_seconds: dict[str, float] = {}
        self.cleanup_seconds: dict[str, float] = {}
        self.cleanup_error: dict[str, Exception] = {}

    def child(self, name: str) -> Child:
        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            self.log.append(f"+{name}")
            await trio.sleep(self.start_seconds.get(name, 0))
            error = next(self.starts.get(name, iter(())), None)
            if error is not None:
                raise error
            sender, receiver = trio.open_memory_channel[BaseException | None](1)
            self.orders[name] = sender
            self.log.append(f"{name} ready")
            task_status.started()
            self.ready.pop(name, trio.Event()).set()
            try:
                order = await receiver.receive()
            except trio.Cancelled:
                self.log.append(f"-{name}")
                with trio.CancelScope(shield=True):
                    await trio.sleep(self.cleanup_seconds.get(name, 0))
                self.log.append(f"{name} gone")
                if name in self.cleanup_error:
                    raise self.cleanup_error[name] from None
                raise
            self.log.append(f"{name} ends")
            if order is not None:
                raise order

        return Child(name, run)

    def crash(self, name: str) -> None:
        self.orders[name].send_nowait(ValueError(f"{name} broke"))

    async def restarted(self, name: str) -> None:
        """Wait for the next time the child is ready."""
        self.ready[name] = event = trio.Event()
        await event.wait()

    def finish(self, name: str) -> None:
        self.orders[name].send_nowait(None)

    def take_log(self) -> list[str]:
        log, self.log = self.log, []
        return log


async def play(supervisor: Supervisor, scene: Callable[[], Awaitable[object]]) -> None:
    """Run the scene while the supervisor runs, then stop it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        await scene()
        nursery.cancel_scope.cancel()


def only(error: BaseException) -> BaseException:
    """What a nursery's group is about."""
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    return error
