"""What a scenario is run against: the server that the arguments name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from .peers.catalogue import PEERS
from .peers.installing import default_directory
from .peers.targets import opened
from .targets import history
from .targets.nodes import started_nodes
from .targets.servers import RunningServer, started

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from .targets.target import Target


@contextmanager
def target_of(options: argparse.Namespace) -> Iterator[Target]:
    """The server that the arguments name: one that runs, or one that is started for them.

    Raises:
        SetupError: it can't be used, or does not start.
    """
    if getattr(options, "nodes", 1) > 1:
        with started_nodes(options.nodes, options.serve or "") as nodes:
            yield nodes
    elif options.url is not None:
        running = RunningServer(options.url, pids=options.pid or (), tokens_file=options.tokens)
        running.ask_version()
        yield running
    elif options.peer is not None:
        with opened(PEERS[options.peer], "chat", default_directory()) as other:
            yield other
    else:
        with started(options.serve or "") as server:
            if options.history:
                history.fill(server.place, options.history, options.text_bytes)
            yield server
