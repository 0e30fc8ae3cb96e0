"""`python -m tests.fakes.telegram`: see README.md."""

from __future__ import annotations

import argparse

import trio

from .server import open_fake


async def main() -> None:
    """Serve until it is killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.telegram")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default="123456:fake-token", help="of the first bot")
    parser.add_argument(
        "--pace", type=float, default=1.0, help="how long its waits take: 1 as real"
    )
    given = parser.parse_args()
    async with open_fake(given.port, given.pace, {given.token: "fake_bot"}) as url:
        print(f"listening on {url}", flush=True)
        await trio.sleep_forever()


trio.run(main)
