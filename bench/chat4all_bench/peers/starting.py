"""Starts the other servers, each as a process of its own, and ends them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

from msgspec import Struct

from .database import DidNotStart
from .ejabberd import ejabberd
from .installing import SERVERS, debian_root, node_modules, python_with_peers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from .catalogue import Peer


class Started(Struct, frozen=True):
    """A server that accepts connections on 127.0.0.1."""

    port: int
    pids: list[int]
    """The processes that were started; their descendants are its own, too."""
    version: str
    add_users: Callable[[Sequence[str]], None]
    """Make users known to it, where somebody must be."""


class Program(Struct, frozen=True):
    """How a server is started."""

    command: list[str]
    env: dict[str, str]
    version: str


@contextmanager
def started(peer: Peer, home: Path, directory: Path) -> Iterator[Started]:
    """Run a server with an empty directory for its data.

    Raises:
        DidNotStart: it ended, or does not answer.
        NotInstallable: what it needs is missing, and can't be brought.
    """
    if peer.package == "debian":
        root = debian_root(home)
        with ejabberd(root, directory) as it:
            pids = [it.pid, it.postgres_pid]
            yield Started(it.port, pids, _debian_version(root), it.add_users)
        return
    program = _program(peer, home)
    log = directory / f"{peer.name}.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            program.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | program.env,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            words = log.read_text(errors="replace")[-300:]
            raise DidNotStart(f"{peer.name} ended with {process.wait()}: {words}")
        port = int(line.rpartition(":")[2])
        yield Started(port, [process.pid], program.version, lambda _: None)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _program(peer: Peer, home: Path) -> Program:
    script, *arguments = peer.program
    command = [str(SERVERS / script), *arguments]
    if peer.package == "npm":
        modules = node_modules(home)
        manifest = json.loads((modules / peer.distribution / "package.json").read_text())
        env = {"NODE_PATH": str(modules), "NODE_ENV": "production"}
        return Program(["node", *command], env, manifest["version"])
    if peer.package == "python":
        python = python_with_peers(home)
        name = peer.distribution.replace("-", "_")
        (about,) = python.parent.parent.glob(f"lib/*/site-packages/{name}-*.dist-info")
        version = about.name.removeprefix(f"{name}-").removesuffix(".dist-info")
        return Program([str(python), *command], {}, version)
    version = version_of(peer.distribution) if peer.distribution else ""
    return Program([sys.executable, *command], {}, version)


def _debian_version(root: Path) -> str:
    (changes,) = root.glob("usr/share/doc/ejabberd/changelog.Debian.gz")
    with gzip.open(changes, "rt") as file:
        return file.readline().split("(")[1].split(")")[0]
