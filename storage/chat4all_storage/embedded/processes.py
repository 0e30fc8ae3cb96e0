"""Processes of the embedded servers: under which account they run, how they are found and ended.

Every process of a server carries a *mark* in its command line, made from the identity of its data
directory. So the processes of a server whose keeper was killed are found again, children of a dead
postmaster included, and nothing else is ever mistaken for them. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from stat import S_IMODE
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_POLL = 0.01  # seconds
_KILL_SECONDS = 5.0


class EmbeddedError(Exception):
    """The embedded servers cannot run: what happened, why, and what to do about it."""

    def __init__(self, what: str, why: str, mend: str) -> None:
        super().__init__(what, why, mend)
        self.what = what
        self.why = why
        self.mend = mend

    def __str__(self) -> str:
        """Return all three in one line."""
        return f"{self.what}: {self.why}. To mend it: {self.mend}"


def mark_of(data_dir: Path) -> str:
    """Return the mark of the servers of an existing data directory.

    Path and inode together: a copy elsewhere and the same path in another container differ.
    """
    stat = data_dir.stat()
    identity = f"{stat.st_dev}:{stat.st_ino}:{data_dir.resolve()}"
    return "chat4all-" + hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]


def command_line(pid: int) -> str:
    """Return the command line of a process; empty if it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return os.fsdecode(file.read().replace(b"\0", b" ").strip())
    except OSError:
        return "" if _HAS_PROC else _ps("-p", str(pid)).get(pid, "")


def marked_processes(mark: str) -> dict[int, str]:
    """Return the command lines of all processes that carry `mark`, by pid."""
    if _HAS_PROC:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        found = {pid: command_line(pid) for pid in pids}
    else:
        found = _ps("-ax")
    return {pid: command for pid, command in found.items() if mark in command}


def end_processes(mark: str, steps: Sequence[tuple[signal.Signals, float]]) -> bool:
    """End the processes that carry `mark`; return whether there were any.

    Each step is a signal to the leading processes and how many seconds to wait. Children of a
    server, which call themselves "postgres: ...", are the business of their parent; if that is dead
    or the steps do not help, everything is killed.
    """
    found = marked_processes(mark)
    for number, seconds in steps:
        leaders = [pid for pid, command in found.items() if not command.startswith("postgres: ")]
        _signal(leaders, number)
        if leaders and _wait_gone(mark, found, seconds):
            break
    remaining = marked_processes(mark)
    _signal(remaining, signal.SIGKILL)
    _wait_gone(mark, remaining, _KILL_SECONDS)
    return bool(found)


@dataclass(frozen=True, slots=True)
class Account:
    """The account a server runs under; by default the keeper's own."""

    uid: int | None = None
    gid: int | None = None
    capability: bool = False
    """Whether it may pass directories that are closed to it (the private ones of root)."""

    def popen(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        """Start a command under this account; without a shell, and not in the current directory."""
        if self.uid is None or self.gid is None:
            return subprocess.Popen(command, cwd="/", **options)
        if not self.capability:
            as_user: Mapping[str, Any] = {"user": self.uid, "group": self.gid, "extra_groups": ()}
            return subprocess.Popen(command, cwd="/", **as_user, **options)
        # setpriv becomes the command: the pid is the server's.
        setpriv = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        setpriv += [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
        return subprocess.Popen([*setpriv, "--", *command], cwd="/", **options)

    def run(self, command: Sequence[str | Path], **options: Any) -> tuple[int, str]:
        """Run a command to its end; return its status and everything it said."""
        process = self.popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )
        said, _ = process.communicate()
        return process.returncode, said.decode(errors="replace")

    def give(self, path: Path) -> None:
        """Make this account the owner of a file or directory."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def unprivileged_account(data_dir: Path, owned: Path, program: Path) -> Account:
    """Return an account that is not root and can run `program` on a directory in `data_dir`.

    As an ordinary user, that is oneself. As root it is the owner of `owned` if that exists, else
    the user postgres or nobody. Raises `EmbeddedError` if root has no such account to give.
    """
    if os.geteuid() != 0:
        return Account()
    uid, gid = _system_account()
    if owned.exists() and (stat := owned.stat()).st_uid != 0:
        uid, gid = stat.st_uid, stat.st_gid
    if shutil.which("setpriv") is not None:
        account = Account(uid, gid, capability=True)
        if account.run([program, "--version"])[0] == 0:
            return account
    # No such capability here (many containers): what leads to the servers has to be open. What lies
    # in the data directory stays closed by its own mode.
    account = Account(uid, gid)
    if data_dir.stat().st_uid == 0:
        data_dir.chmod(S_IMODE(data_dir.stat().st_mode) | 0o011)
    reach = 'cd -- "$1" && exec "$2" --version'
    status, said = account.run(["/bin/sh", "-c", reach, "sh", data_dir, program])
    if status != 0:
        raise EmbeddedError(
            f"PostgreSQL cannot run in {data_dir}",
            f"it refuses to run as root, and uid {uid} cannot use it ({said.strip()})",
            "run as an ordinary user, or use --postgres DSN",
        )
    return account


def _system_account() -> tuple[int, int]:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise EmbeddedError(
        "PostgreSQL cannot run",
        "it refuses to run as root, and there is neither a user postgres nor nobody",
        "run as an ordinary user, or use --postgres DSN",
    )


def _signal(pids: Sequence[int] | Mapping[int, str], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, number)


def _wait_gone(mark: str, pids: Mapping[int, str], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(mark in command_line(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _ps(*selection: str) -> dict[int, str]:
    command = ["ps", "-ww", *selection, "-o", "pid=,command="]
    lines = subprocess.run(command, capture_output=True, check=False).stdout.splitlines()
    fields = [os.fsdecode(line).strip().partition(" ") for line in lines]
    return {int(pid): command for pid, _, command in fields}


_HAS_PROC = os.path.exists("/proc/self/cmdline")
