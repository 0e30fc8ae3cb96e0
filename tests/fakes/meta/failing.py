"""Errors as Graph answers them, and faults that a test has scripted for the next calls."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import trio

from chat4all_connectors.testing.http_server import Hangup, Response

if TYPE_CHECKING:
    from chat4all_connectors.testing.http_server import Request

TRACE = "AfakeTrace1"


class GraphError(Exception):
    """What the call is answered with."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: int = 400,
        subcode: int | None = None,
        is_transient: bool | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.subcode = subcode
        self.is_transient = is_transient
        self.headers = headers or {}

    def response(self) -> Response:
        error: dict[str, Any] = {
            "message": f"(#{self.code}) {self}",
            "type": "OAuthException",
            "code": self.code,
            "fbtrace_id": TRACE,
        }
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.is_transient is not None:
            error["is_transient"] = self.is_transient
        return Response(self.status, json.dumps({"error": error}).encode(), headers=self.headers)


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """For the next calls that match."""

    kind: Literal[
        "graph_error",  # an error object with `code`
        "http",  # an answer with `status` and `body` that does not come from Graph
        "refuse",  # the connection is closed before the body is read
        "drop",  # the call is done, and the connection closed without an answer
        "silence",  # the call is done, and there is no answer
        "deaf",  # the call is not done, and there is no answer
        "garbage",  # the call is done, and the answer is not JSON
    ]
    method: str = ""
    """Empty: any."""
    path: str = ""
    """In the call's path: `/messages`, or an account's id."""
    times: int = 1
    skip: int = 0
    """Calls that match and go well before that."""
    status: int = 400
    code: int = 1
    subcode: int | None = None
    is_transient: bool | None = None
    headers: dict[str, str] = {}
    body: str = ""


@dataclass
class Faults:
    scripted: list[Fault] = field(default_factory=list)

    def take(self, request: Request) -> Fault | None:
        """The one for this call, if there is one; it is used up by it."""
        for fault in self.scripted:
            if (fault.method and fault.method != request.method) or fault.path not in request.path:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                self.scripted.remove(fault)
            return fault
        return None


async def before(fault: Fault, request: Request) -> Response | None:
    """What happens in place of the call; None: it is done first.

    Raises:
        Hangup: the connection is closed.
    """
    match fault.kind:
        case "graph_error":
            return GraphError(
                fault.code,
                "scripted",
                status=fault.status,
                subcode=fault.subcode,
                is_transient=fault.is_transient,
                headers=fault.headers,
            ).response()
        case "http":
            return Response(fault.status, fault.body.encode(), "text/html", fault.headers)
        case "refuse":
            raise Hangup
        case "deaf":
            await request.read()
            await trio.sleep_forever()
        case "drop" | "silence" | "garbage":
            return None


async def after(fault: Fault) -> Response:
    """What happens once the call was done.

    Raises:
        Hangup: the connection is closed.
    """
    if fault.kind == "drop":
        raise Hangup
    if fault.kind == "silence":
        await trio.sleep_forever()
    return Response(200, b"<html>200")
