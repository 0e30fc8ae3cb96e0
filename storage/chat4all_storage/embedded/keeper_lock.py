"""The lock by which a data directory has one keeper at a time. Standard library only.

It is a `flock`, so it ends with the process that holds it, however that ends. The file says who
holds it and whether that one is about to leave.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .processes import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECONDS = 1.0

_POLL = 0.01 * SECONDS

# A keeper that is stopping needs its stop steps; one that serves gets the moment in which it has to
# notice that its owner has just died.
_WAIT_FOR_STOPPING = 15 * SECONDS
_WAIT_FOR_SERVING = 2 * SECONDS


class KeeperLock:
    """A lock that is held. Made by `hold_lock`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._write("serving")

    def stopping(self) -> None:
        """Tell the next in line that it is worth waiting."""
        self._write("stopping")

    def _write(self, state: str) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()} {state}\n".encode(), 0)


@contextmanager
def hold_lock(path: Path, leave: Callable[[float], bool]) -> Iterator[KeeperLock | None]:
    """Hold the lock during the block; it is `None` if `leave` became true while waiting for it.

    `leave` is given the seconds that it may wait itself. Raises `EmbeddedError` if another process
    has the lock and keeps it.
    """
    started = time.monotonic()
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder, _, state = os.pread(descriptor, 100, 0).decode().strip().partition(" ")
            os.close(descriptor)
            limit = _WAIT_FOR_STOPPING if state == "stopping" else _WAIT_FOR_SERVING
            if time.monotonic() - started > limit:
                raise EmbeddedError(
                    f"the embedded servers of {path.parent} cannot start",
                    f"another server uses {path.parent} (pid {holder})",
                    "stop that server, or name another data directory",
                ) from None
            if leave(_POLL):
                yield None
                return
            continue
        if _is_file_at(descriptor, path):
            break
        os.close(descriptor)  # of a throw-away directory that has just been removed
    try:
        yield KeeperLock(descriptor)
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock right now."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_file_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
