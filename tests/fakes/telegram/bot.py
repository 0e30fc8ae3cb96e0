"""One bot: its token, its part of the world, its methods, how it is told, what goes wrong."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from chat4all_connectors.testing.http_server import Request, Response, json_response

from .faults import Faults, error_response
from .methods import Methods
from .parameters import Bad, Parameters, parse
from .telling import Telling
from .world import World

if TYPE_CHECKING:
    import httpx2
    import trio


class Bot:
    """What is behind one token."""

    def __init__(
        self,
        token: str,
        username: str,
        *,
        pace: float,
        nursery: trio.Nursery,
        client: httpx2.AsyncClient,
    ) -> None:
        self.token = token
        self.id = int(token.partition(":")[0])
        self.valid = True
        self.faults = Faults()
        self.calls: list[dict[str, Any]] = []
        """Every call: its method, and its parameters but for files and secrets."""
        self.telling = Telling(pace, nursery, client)
        shape = {"id": self.id, "is_bot": True, "first_name": username, "username": username}
        self.world = World(shape, self.telling.happened)
        self.methods = Methods(
            self.world,
            time.time,
            pending=self.telling.pending,
            webhook_set=self.telling.webhook_set,
        )
        self.telling.methods = self.methods

    async def answer(self, method: str, request: Request) -> Response:
        """A call of the Bot API."""
        if not self.valid:
            return error_response(Bad(401, "Unauthorized"))
        fault = self.faults.next_for(method)
        if fault is not None:
            await fault.before_reading()
        try:
            content_type = request.headers.get("content-type", "")
            given = parse(request.query, content_type, await request.read())
            shown = {key: value for key, value in given.values.items() if key != "secret_token"}
            self.calls.append({"method": method, "parameters": shown})
            if fault is not None:
                return await fault.meet(lambda: self.methods.call(method, given))
            if method.lower() == "getupdates":
                return _result(await self._poll(given))
            return _result(self.methods.call(method, given))
        except Bad as bad:
            return error_response(bad)

    def file(self, path: str) -> Response:
        """A file by the path that `getFile` gave."""
        if not self.valid:
            return error_response(Bad(401, "Unauthorized"))
        found = next((file for file in self.world.files.values() if file.path == path), None)
        if found is None:
            return error_response(Bad(404, "Not Found"))
        return Response(200, found.content, found.mime)

    async def _poll(self, given: Parameters) -> Any:
        offset = given.integer("offset", 0)
        limit = min(max(given.integer("limit", 100), 1), 100)
        timeout = given.integer("timeout", 0)
        kinds = given.json("allowed_updates", list[str], None)
        given.done()
        if kinds is not None:
            self.methods.webhook.kinds = frozenset(kinds)
        return await self.telling.poll(offset, limit, timeout)


def _result(result: Any) -> Response:
    return json_response({"ok": True, "result": result})
