"""What goes wrong with the next calls, as the control API has written it down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import trio
from msgspec import Struct

from chat4all_connectors.testing.http_server import Hangup, Response, json_response

from .parameters import Bad

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["error", "refuse", "drop", "hang", "silent", "page"]

SENDING: Final = frozenset(
    {"sendmessage", "sendphoto", "sendvideo", "sendaudio", "sendvoice", "senddocument"}
)
"""Methods which people notice."""


class Fault(Struct, forbid_unknown_fields=True):
    """One, for some calls.

    `error` answers with an error of the API's; `refuse` closes the connection before the call is
    read; `drop` acts on the call and closes it without an answer; `silent` acts on it and never
    answers; `hang` neither acts nor answers; `page` answers as a proxy would, with this status.
    """

    kind: Kind
    method: str | None = None
    """In place of all that send."""
    times: int = 1
    code: int = 500
    description: str = "Internal Server Error: scripted"
    retry_after: int | None = None

    def meets(self, method: str) -> bool:
        """Whether it is for this one."""
        if self.method is None:
            return method.lower() in SENDING
        return method.lower() == self.method.lower()

    async def before_reading(self) -> None:
        """Of a call of which only the head is known."""
        if self.kind == "refuse":
            raise Hangup

    async def meet(self, act: Callable[[], Any]) -> Response:
        """What becomes of the call."""
        if self.kind == "error":
            parameters = {} if self.retry_after is None else {"retry_after": self.retry_after}
            return error_response(Bad(self.code, self.description, **parameters))
        if self.kind == "page":
            page = b"<html><body><h1>nginx</h1></body></html>"
            return Response(self.code, page, "text/html")
        if self.kind in ("drop", "silent"):
            act()
        if self.kind == "drop":
            raise Hangup
        await trio.sleep_forever()
        raise AssertionError


class Faults:
    """Those that are to come, in their order."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """After those that are there."""
        self._faults.append(fault)

    def next_for(self, method: str) -> Fault | None:
        """The one that this call meets."""
        for fault in self._faults:
            if fault.meets(method):
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return None


def error_response(bad: Bad) -> Response:
    """An error as the API tells it."""
    answer: dict[str, Any] = {
        "ok": False,
        "error_code": bad.code,
        "description": bad.description,
    }
    headers = {}
    if bad.parameters:
        answer["parameters"] = bad.parameters
    if "retry_after" in bad.parameters:
        headers["Retry_After"] = str(bad.parameters["retry_after"])
    return json_response(answer, bad.code, **headers)
