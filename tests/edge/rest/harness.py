"""The REST API of a node over memory stores, asked without sockets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from quart.testing import sentinel

if TYPE_CHECKING:
    from quart_trio import QuartTrio

    from chat4all_actors.node import Node


class Reply:
    """An answer, decoded."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status = status
        self.body = body
        self.headers = {name.lower(): value for name, value in headers.items()}
        """By their names in lower case."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error."""
        code: str = self.json["error"]["code"]
        return code

    @property
    def field(self) -> str | None:
        """The field that is at fault."""
        details = self.json["error"].get("details")
        return None if details is None else details.get("field")


class Api:
    """Somebody who asks, as `user` unless that is None."""

    def __init__(self, app: QuartTrio, node: Node, user: str | None) -> None:
        self._client = app.test_client()
        self.node = node
        self.headers: dict[str, str] = {}
        if user is not None:
            token = node.tokens.issue(f"id of {user}", user)
            self.headers["Authorization"] = f"Bearer {token}"

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        **headers: str,
    ) -> Reply:
        """Ask for something; `body` is sent as JSON, `data` as it is."""
        fields = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            fields.setdefault("Content-Type", "application/json")
        response = await self._client.open(
            path, method=method, headers=fields, data=data, json=sentinel
        )
        return Reply(
            response.status_code, await response.get_data(as_text=False), dict(response.headers)
        )
