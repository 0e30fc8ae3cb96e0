"""A REST client on the standard library alone, that knows nothing of ours."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

HANG = 60.0
"""Seconds of silence after which a request fails, so that a hang is a failure."""


@dataclass(frozen=True)
class Answer:
    """What was answered."""

    status: int
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The one thing in the body of an error."""
        (error,) = self.json.values()
        assert isinstance(error, dict)
        assert error["trace_id"] == self.headers["x-trace-id"]
        assert error["message"]
        return error

    @property
    def refusal(self) -> tuple[int, str]:
        """The status and the code of an error."""
        return self.status, self.error["code"]


class Rest:
    """Somebody who asks, with this token or none."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.port = port
        self.token = token

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """Ask on a connection of its own; `body` is sent as JSON, `data` as it is."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            fields.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None:
            data = json.dumps(body).encode()
            fields.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG)
        try:
            connection.request(method, path, data, fields)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """What is there."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    def post(self, path: str, body: Any, status: int = 201) -> Any:
        """What is answered to this."""
        answer = self.ask("POST", path, body)
        assert answer.status == status, answer.body
        return answer.json

    def log_in(self, username: str, password: str) -> Rest:
        """The same server, asked by this user."""
        body = {"username": username, "password": password}
        return Rest(self.port, self.post("/v1/auth/token", body, 200)["access_token"])
