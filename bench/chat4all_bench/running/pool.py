"""The processes of a generator, as seen by who tells them what to do."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from ..generator.plan import Done, Joined, Loaded, Progress, Quit, Reply, Verified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..generator.plan import Command

_SIZE: Final = 4
_READ: Final = 1 << 20
_Answer = TypeVar("_Answer", Done, Joined, Loaded, Verified)


class GeneratorFailed(Exception):
    """A process of the generator has ended by itself: what it said is on stderr."""


class _Child:
    """One process and its pipes."""

    def __init__(self, number: int) -> None:
        command = [sys.executable, "-m", "chat4all_bench.generator", str(number)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.buffer = b""

    def tell(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(len(data).to_bytes(_SIZE, "big") + data)
        self.process.stdin.flush()

    @property
    def replies(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()


class Pool:
    """Some processes; each knows its own clients only."""

    def __init__(self, count: int, on_progress: Callable[[Progress], None]) -> None:
        self._children = [_Child(number) for number in range(count)]
        self._on_progress = on_progress
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Reply).decode
        self._selector = selectors.DefaultSelector()
        for child in self._children:
            self._selector.register(child.replies, selectors.EVENT_READ, child)
        self._last_id = 0
        self._answers: dict[int, Done | Joined | Loaded | Verified] = {}

    def __len__(self) -> int:
        return len(self._children)

    @property
    def pids(self) -> list[int]:
        """Of the processes."""
        return [child.process.pid for child in self._children]

    def next_id(self) -> int:
        """A number for a command."""
        self._last_id += 1
        return self._last_id

    def tell(self, commands: Mapping[int, Command]) -> list[int]:
        """Tell processes what to do, by their places; the commands' ids, to `wait` for."""
        for number, command in commands.items():
            try:
                self._children[number].tell(self._encode(command))
            except BrokenPipeError:
                raise self._gone(self._children[number]) from None
        return [command.id for command in commands.values()]

    def wait(
        self,
        ids: Iterable[int],
        kind: type[_Answer],
        *,
        at: Sequence[tuple[float, Callable[[], None]]] = (),
    ) -> list[_Answer]:
        """Return the answers to these commands, in their order, when all have come.

        `at`: what to do meanwhile, at which times of the monotonic clock, in their order.

        Raises:
            GeneratorFailed: a process has ended.
        """
        wanted = list(ids)
        to_do = list(at)
        while to_do or any(each not in self._answers for each in wanted):
            now = time.monotonic()
            if to_do and to_do[0][0] <= now:
                to_do.pop(0)[1]()
                continue
            self._receive(to_do[0][0] - now if to_do else None)
        found: list[_Answer] = []
        for each in wanted:
            answer = self._answers.pop(each)
            assert isinstance(answer, kind)
            found.append(answer)
        return found

    def sleep_until(self, when: float) -> None:
        """Let time pass, and hear of what is done meanwhile.

        Raises:
            GeneratorFailed: a process has ended.
        """
        while (left := when - time.monotonic()) > 0:
            self._receive(left)

    def close(self) -> None:
        """End all processes."""
        for child in self._children:
            if child.process.poll() is None:
                with suppress(BrokenPipeError):
                    child.tell(self._encode(Quit(self.next_id())))
        for child in self._children:
            assert child.process.stdin is not None
            assert child.process.stdout is not None
            with suppress(BrokenPipeError):
                child.process.stdin.close()  # it ends at the latest when nobody tells it anything
            while os.read(child.replies, _READ):
                pass
            child.process.wait()
            child.process.stdout.close()
        self._selector.close()

    def _receive(self, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            child: _Child = key.data
            data = os.read(child.replies, _READ)
            if not data:
                raise self._gone(child)
            child.buffer += data
            while len(child.buffer) >= _SIZE:
                end = _SIZE + int.from_bytes(child.buffer[:_SIZE], "big")
                if len(child.buffer) < end:
                    break
                reply = self._decode(child.buffer[_SIZE:end])
                child.buffer = child.buffer[end:]
                self._heard(reply)

    def _heard(self, reply: Reply) -> None:
        if isinstance(reply, Progress):
            self._on_progress(reply)
        else:
            self._answers[reply.id] = reply

    @staticmethod
    def _gone(child: _Child) -> GeneratorFailed:
        return GeneratorFailed(f"a process of the generator ended with {child.process.wait()}")
