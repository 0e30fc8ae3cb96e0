"""What the same framework costs without us: `python -m chat4all_bench.rest.bare_server`.

One handler of quart-trio, served by hypercorn as it comes, that parses the JSON of a request and
answers with a small one.
"""

from __future__ import annotations

from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import request
from quart_trio import QuartTrio

app = QuartTrio(__name__)


@app.post("/v1/messages")
async def accept() -> tuple[dict[str, Any], int]:
    """Answer as our endpoint does, without having done anything."""
    message = await request.get_json()
    return {
        "message_id": message["message_id"],
        "conversation_id": message["conversation_id"],
        "sequence_number": 1,
        "status": "accepted",
    }, 202


async def main() -> None:
    """Serve on a free port, which is printed."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = None
    config.loglevel = "WARNING"
    async with trio.open_nursery() as nursery:
        (bound,) = await nursery.start(serve, app, config)
        print(f"listening on {bound}", flush=True)


if __name__ == "__main__":
    trio.run(main)
