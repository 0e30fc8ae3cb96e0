"""Several nodes of ours on one PostgreSQL and one Redis, each with a port of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chat4all_storage.embedded.embedded import find_embedded
from chat4all_storage.embedded.servers import Layout

from ..measuring.proc import known, with_descendants
from .servers import ENVIRONMENT, StartedServer, serving
from .target import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chat4all_storage.embedded.embedded import Addresses

    from ..measuring.proc import Known


class StartedNodes(StartedServer):
    """See the module's docstring."""

    def __init__(
        self,
        nodes: Sequence[tuple[int, str]],
        data_dir: str,
        at: Addresses,
        env: Mapping[str, str],
    ) -> None:
        """`nodes`: pid and address of each."""
        (pid, url), *_ = nodes
        place = ["--data-dir", data_dir, "--postgres", at.postgres_dsn]
        super().__init__(url, pid, place, f"on {len(nodes)} nodes", env=env)
        self.ports = [int(each.rpartition(":")[2]) for _, each in nodes]
        self.redis_url = at.redis_url
        self._all = [*(each for each, _ in nodes), *at.pids.values()]

    def processes(self) -> list[Known]:
        """See `target.Target`."""
        return known([each for pid in self._all for each in with_descendants(pid)])


@contextmanager
def started_nodes(count: int, flags: str) -> Iterator[StartedNodes]:
    """Start the servers beneath, then so many nodes with these flags; stop them afterwards.

    Raises:
        SetupError: something does not start.
        UsageError: the flags are no flags.
    """
    env = ENVIRONMENT | {"CHAT4ALL_JWT_KEY": secrets.token_hex(32)} | dict(os.environ)
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="chat4all-bench-"))
        at = stack.enter_context(_beneath(directory))
        beneath = ["--postgres", at.postgres_dsn, "--redis", at.redis_url]
        nodes = [
            stack.enter_context(serving(flags, directory, *beneath, env=env)) for _ in range(count)
        ]
        yield StartedNodes(nodes, directory, at, env)


@contextmanager
def _beneath(data_dir: str) -> Iterator[Addresses]:
    """PostgreSQL and Redis, without a node."""
    logs = Layout(Path(data_dir)).logs
    logs.mkdir(parents=True)
    with (logs / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "chat4all_storage.embedded.keeper", data_dir],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    with keeper:
        said = keeper.stdout.readline()
        addresses = find_embedded(Path(data_dir))
        if addresses is None:
            raise SetupError(f"PostgreSQL and Redis do not start: {said.decode()}")
        yield addresses
        keeper.stdin.close()
