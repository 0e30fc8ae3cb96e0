"""A server as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def server_process(
    command: list[str], env: dict[str, str] | None = None
) -> Iterator[tuple[int, int]]:
    """Run a server that prints a line ending in its port; yields its pid and the port."""
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, env=os.environ | (env or {}), text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{command} ended with {process.wait()}")
            yield process.pid, int(line.strip().rpartition(":")[2])
        finally:
            process.terminate()
