"""Echo servers of other libraries: `python -m chat4all_bench.echo_servers NAME`."""

from __future__ import annotations

import asyncio
import sys


async def serve_websockets() -> None:
    """The `websockets` package on asyncio, without compression."""
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


def run_websockets() -> None:
    """On asyncio's own loop."""
    asyncio.run(serve_websockets())


def run_trio_websocket() -> None:
    """trio-websocket, which reads frames with wsproto."""
    import trio
    from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

    async def echo(request: WebSocketRequest) -> None:
        connection = await request.accept()
        try:
            while True:
                await connection.send_message(await connection.get_message())
        except ConnectionClosed:
            return

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve_websocket, echo, "127.0.0.1", 0, None)
            print(f"listening on http://127.0.0.1:{server.port}", flush=True)

    trio.run(main)


if __name__ == "__main__":
    {"websockets": run_websockets, "trio-websocket": run_trio_websocket}[sys.argv[1]]()
