"""A server that notes where its time goes: `python -m chat4all_bench.rest.sampled FILE COMMAND…`.

A timer that runs on processor time interrupts it every few milliseconds, and each time the stack
is charged with what the main thread has used since: unlike a profiler that is told of each call,
that hardly changes what is measured. SIGUSR1 forgets what was noted so far.
"""

from __future__ import annotations

import runpy
import signal
import sys
import sysconfig
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from types import FrameType

INTERVAL: Final = 0.004
"""Seconds of processor time, of all threads."""

LAYERS: Final = (
    ("hypercorn, h11", ("/hypercorn/", "/h11/", "/edge/http/http1.py", "/edge/http/connection.py")),
    ("authentication", ("/jwt/", "/accounts/", "/edge/rest/caller.py", "/revocations.py")),
    ("operations: decoding, checks, encoding", ("/chat4all_actors/edge/rest/", "/posting.py")),
    ("edge: rules, front, sockets", ("/chat4all_actors/edge/", "/tracing.py")),
    ("quart, werkzeug", ("/quart/", "/quart_trio/", "/werkzeug/", "/flask/", "/blinker/")),
    ("commit: queue and bridge", ("/chat4all_storage/", "/asyncpg/")),
    ("conversation", ("/chat4all_actors/", "/chat4all_protocol/")),
    ("trio", ("/trio/", "/outcome/")),
)
"""Which files belong to which part of the way of a request; the first that fits counts."""
KEPT: Final = 40
"""Functions that are told."""
OTHER: Final = "other"
_STDLIB: Final = sysconfig.get_path("stdlib") + "/"
_SITE: Final = ("site-packages", "dist-packages")


class Profile(Struct):
    """Processor time in seconds."""

    layers: dict[str, float]
    """Of the main thread, by part."""
    functions: dict[str, float]
    """Likewise by function, those that took most."""
    other_threads: float
    """Of the threads beside it: the database driver's."""


def layer_of(path: str) -> str | None:
    """The part that a file belongs to; None when whoever called it is to be asked."""
    if path.startswith(_STDLIB) and not any(name in path for name in _SITE):
        return None
    for name, marks in LAYERS:
        if any(mark in path for mark in marks):
            return name
    return None


class Sampler:
    """Charges stacks with processor time."""

    def __init__(self) -> None:
        self._layers: defaultdict[str, float] = defaultdict(float)
        self._functions: defaultdict[str, float] = defaultdict(float)
        self._thread = self._process = 0.0
        self._last = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget what was noted."""
        self._layers.clear()
        self._functions.clear()
        self._last = self._thread = time.thread_time()
        self._process = time.process_time()

    def on_tick(self, _: int, frame: FrameType | None) -> None:
        """Charge this stack: its innermost part."""
        now = time.thread_time()
        spent, self._last = now - self._last, now
        if frame is not None:
            self._functions[frame.f_code.co_qualname + " " + _short(frame)] += spent
        while frame is not None:
            if (layer := layer_of(frame.f_code.co_filename)) is not None:
                self._layers[layer] += spent
                return
            frame = frame.f_back
        self._layers[OTHER] += spent

    def profile(self) -> Profile:
        """What was noted."""
        main = time.thread_time() - self._thread
        process = time.process_time() - self._process
        return Profile(_most(self._layers), _most(self._functions), process - main)


def _most(spent: dict[str, float]) -> dict[str, float]:
    return dict(sorted(spent.items(), key=lambda item: -item[1])[:KEPT])


def _short(frame: FrameType) -> str:
    return "/".join(frame.f_code.co_filename.split("/")[-2:])


def main() -> None:
    """Run the command under the sampler, and write what it noted."""
    _, path, *command = sys.argv
    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler.on_tick)
    signal.signal(signal.SIGUSR1, lambda *_: sampler.reset())
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    sys.argv = ["chat4all", *command]
    try:
        runpy.run_module("chat4all_actors", run_name="__main__")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        with open(path, "wb") as file:
            file.write(msgspec.json.encode(sampler.profile()))


if __name__ == "__main__":
    main()
