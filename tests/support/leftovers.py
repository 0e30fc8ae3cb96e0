"""Runs a command, and fails when something of it is left behind.

    python -m tests.support.leftovers COMMAND ...

Left behind is a process that it has started (and with it any port), anything in its temporary
directory but pytest's own, and anything named after us in shared memory or the home directory. The
temporary directory is a new one, by which its processes are known, too; it is kept when something
went wrong.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDING: Final = 30.0
"""Seconds that a process may take to end when whoever it served has ended."""
OUR_NAME: Final = "chat4all"
PYTESTS: Final = ("pytest-of-",)


def started_with(mark: str) -> dict[int, str]:
    """The processes with this in their environment, by id: their command lines."""
    found: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{mark}\0".encode() in (process / "environ").read_bytes():
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if command:  # else it has ended, and its parent has not yet asked
                    found[int(process.name)] = command.strip()
        except OSError:
            continue  # it has ended, or is somebody else's
    return found


def named_after_us(places: Sequence[Path]) -> set[Path]:
    """What has our name in these directories."""
    return {path for place in places if place.is_dir() for path in place.glob(f"*{OUR_NAME}*")}


def run(command: Sequence[str], places: Sequence[Path], ending: float = ENDING) -> int:
    """Run the command, and tell what it left, in `places` too; its exit code, or else 1 or 0."""
    before = named_after_us(places)
    # Short: sockets are in it, whose paths have a limit.
    directory = Path(tempfile.mkdtemp(prefix="c4a-"))
    directory.chmod(0o755)  # as that of the machine: what runs as somebody else passes through it
    code = subprocess.run(
        command, env=os.environ | {"TMPDIR": str(directory)}, check=False
    ).returncode
    limit = time.monotonic() + ending
    while (processes := started_with(f"TMPDIR={directory}")) and time.monotonic() < limit:
        time.sleep(0.1)
    left = [f"process {pid}: {line}" for pid, line in processes.items()]
    left += [str(path) for path in directory.iterdir() if not path.name.startswith(PYTESTS)]
    left += [str(path) for path in named_after_us(places) - before]
    for each in left:
        print(f"left behind: {each}", file=sys.stderr)
    if code or left:
        print(f"temporary files are kept in {directory}", file=sys.stderr)
        return code or 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: None)  # the command gets it too, and cleans up
    home = Path.home()
    places = [Path("/dev/shm"), Path("/tmp"), home, home / ".cache", home / ".config"]
    sys.exit(run(sys.argv[1:], places))
