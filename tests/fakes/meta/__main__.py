"""`python -m tests.fakes.meta`: a made-up Meta until it is stopped."""

from __future__ import annotations

import argparse
import signal

import httpx2
import trio

from chat4all_connectors.testing.http_server import open_server
from tests.fakes.meta.server import Meta


async def run(port: int) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    async with (
        httpx2.AsyncClient(trust_env=False, verify=False) as client,
        trio.open_nursery() as nursery,
    ):
        meta = Meta(nursery, client)
        async with open_server(meta.handle, port) as meta.base:
            print(f"listening on {meta.base}", flush=True)
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    break
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A made-up Meta: see tests/fakes/meta/README.md")
    parser.add_argument("--port", type=int, default=0)
    trio.run(run, parser.parse_args().port)
