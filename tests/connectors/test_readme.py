"""The connector in `connectors/README.md` is one: it passes the conformance kit."""

from __future__ import annotations

import hmac
import re
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from chat4all_connectors.base import WebhookCall
from chat4all_connectors.testing.checks import ConnectorChecks
from chat4all_connectors.testing.http_server import (
    Hangup,
    Request,
    Response,
    json_response,
    open_server,
)
from chat4all_connectors.testing.provider import Fault, NotOffered, Provider, Seen, Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

README: Final = Path(__file__).parents[2] / "connectors" / "README.md"
TOKEN: Final = "a-token-of-a-pager"
SECRET: Final = "a-secret"
STATUS: Final = {"throttled": 429, "broken": 500}


class PagerService(Provider):
    """The service, in this process, and Ana, who has a pager."""

    chat = "ana"
    secrets = (TOKEN, SECRET)

    def __init__(self) -> None:
        self._pages: list[Seen] = []
        self._fault: Fault | None = None
        self._calls: list[WebhookCall] = []
        self._blocked = False

    async def answer(self, request: Request) -> Response:
        fault, self._fault = self._fault, None
        if fault == "unreachable":
            raise Hangup
        if fault == "revoked" or request.headers["authorization"] != f"Bearer {TOKEN}":
            self._fault = "revoked"
            return json_response({}, 401)
        if fault in STATUS:
            return json_response({}, STATUS[fault])
        if request.path == "/me":
            return json_response({"id": "1", "sender": "us"})
        page = msgspec.json.decode(await request.read(), type=dict[str, str])
        if self._blocked or page["to"] != "ana":
            return json_response({}, 404)
        id_ = f"sent-{len(self._pages)}"
        self._pages.append(Seen(message=id_, text=page["text"]))
        if fault == "lost":
            raise Hangup
        return json_response({"id": id_})

    async def seen(self) -> list[Seen]:
        return self._pages

    async def fail(self, fault: Fault) -> None:
        self._fault = fault

    async def say(self, text: str, *, reply_to: str | None = None) -> str:
        if reply_to is not None:
            raise NotOffered
        id_ = f"said-{len(self._calls)}"
        page = {"id": id_, "sender": "ana", "text": text, "at": 1_800_000_000_000}
        self._calls.append(self.signed(msgspec.json.encode(page)))
        return id_

    async def block(self) -> None:
        self._blocked = True

    async def calls(self) -> list[WebhookCall]:
        calls, self._calls = self._calls, []
        return calls

    def signed(self, body: bytes) -> WebhookCall:
        signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
        return WebhookCall("POST", {}, {"x-signature": signature}, body)

    def forged(self, call: WebhookCall) -> WebhookCall:
        return WebhookCall("POST", {}, call.headers, call.body + b" ")


@pytest.fixture(scope="module")
def readme() -> Any:
    """The module in the README."""
    [code] = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    module = types.ModuleType("pager_of_the_readme")
    sys.modules[module.__name__] = module  # where msgspec looks up types
    exec(compile(code, str(README), "exec"), module.__dict__)
    return module


class TestPager(ConnectorChecks):
    @pytest.fixture
    async def subject(self, readme: Any) -> AsyncIterator[Subject]:
        service = PagerService()
        async with open_server(service.answer) as url:
            settings = readme.PagerSettings(base_url=url, token=TOKEN, secret=SECRET)
            pager = readme.Pager(settings)
            await pager.connect()
            yield Subject(pager, service)
            await pager.disconnect()
