"""The made-up Meta and one person there, as the conformance kit plays a provider."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

from chat4all_connectors.base import WebhookCall
from chat4all_connectors.errors import WebhookRefused
from chat4all_connectors.meta.signature import HEADER, sign
from chat4all_connectors.outgoing import TemplateMessage
from chat4all_connectors.testing.http_server import Response, open_server
from chat4all_connectors.testing.provider import NotOffered, Provider, Seen
from tests.fakes.meta import acts
from tests.fakes.meta.failing import Fault
from tests.fakes.meta.model import Person, beginning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_connectors.base import Connector
    from chat4all_connectors.capabilities import MediaKind
    from chat4all_connectors.testing.http_server import Request
    from chat4all_connectors.testing.provider import Fault as Failing
    from tests.fakes.meta.client import MetaControl
    from tests.fakes.meta.model import Channel, Entry

ACCOUNTS: Final = beginning()
PEOPLE: Final[dict[Channel, str]] = {
    "whatsapp": "+5511999990000",
    "messenger": "7000000000000001",
    "instagram": "8000000000000001",
}
BASICS: Final[dict[str, Any]] = {
    "access_token": "EAAtoken",
    "app_secret": "appsecret",
    "verify_token": "verify",
}
"""Of settings; as the fake's accounts have them."""
_REGAIN: Final = '{"1":[{"type":"messaging","call_count":100,"estimated_time_to_regain_access":2}]}'
_THROTTLED: Final[dict[Channel, int]] = {"whatsapp": 130429, "messenger": 613, "instagram": 80002}
_KINDS: Final[dict[str, MediaKind]] = {
    "image": "image",
    "video": "video",
    "audio": "audio",
    "document": "document",
    "file": "document",
}


class Home:
    """Our address: has the connector answer Meta's question, and keeps what it is told."""

    def __init__(self, connector: Connector) -> None:
        self.url = ""
        self.files: dict[str, tuple[bytes, str]] = {}
        self.answers: list[int] = []
        """Statuses for the next calls, in place of 200."""
        self._connector = connector
        self._calls: list[WebhookCall] = []

    def take(self) -> list[WebhookCall]:
        """What has come since the last time."""
        calls, self._calls = self._calls, []
        return calls

    async def handle(self, request: Request) -> Response:
        if request.path in self.files:
            content, mime = self.files[request.path]
            return Response(200, content, mime)
        method: Literal["GET", "POST"] = "GET" if request.method == "GET" else "POST"
        call = WebhookCall(method, request.query, request.headers, await request.read())
        try:
            answer = self._connector.handle_webhook(call)
        except WebhookRefused as refused:
            return Response(refused.status, b"", "text/plain")
        if method == "POST":
            status = self.answers.pop(0) if self.answers else 200
            self._calls += [call] if status == 200 else []
            return Response(status, b"", "text/plain")
        return Response(answer.status, answer.body, answer.media_type)


@asynccontextmanager
async def open_home(
    meta: MetaControl, channel: Channel, connector: Connector
) -> AsyncIterator[Home]:
    """Our address, told to Meta for this channel."""
    home = Home(connector)
    async with open_server(home.handle) as url:
        home.url = url
        account = beginning()[channel]
        account.webhook = f"{url}/webhook"
        account.templates = {"hello/pt_BR": 1}
        assert await meta.account(channel, account)
        yield home


class Played(Provider):
    """One channel of the fake."""

    secrets = tuple(BASICS.values())

    def __init__(self, meta: MetaControl, channel: Channel, home: Home) -> None:
        self.chat = PEOPLE[channel]
        if channel == "whatsapp":
            self.nowhere = "aWdub3Jl"  # a group's; of people it is told later
        self._meta = meta
        self._channel: Channel = channel
        self._home = home
        if channel == "whatsapp":
            self.template = TemplateMessage(
                chat=self.chat, name="hello", language="pt_BR", parameters=("Ana",)
            )
            self.template_text = "hello/pt_BR Ana"

    async def appear(self, **different: Any) -> None:
        """Have the person, who has just written."""
        person = Person(id=self.chat, name="Ana Silva", username="ana", wrote_at=time.time())
        for name, value in different.items():
            setattr(person, name, value)
        await self._meta.person(self._channel, person)

    # --- what our side does there

    async def seen(self) -> list[Seen]:
        shown = await self._meta.shown(self._channel, person=self.chat, kind="message")
        return [await self._seen(entry) for entry in shown]

    async def _seen(self, entry: Entry) -> Seen:
        return Seen(
            message=entry.id,
            text=entry.text,
            kind=None if entry.file is None else _KINDS[entry.type],
            file=None if entry.file is None else await self._meta.content(entry),
            reply_to=entry.reply_to,
        )

    async def fail(self, fault: Failing) -> None:
        match fault:
            case "throttled":
                await self._meta.fault(
                    Fault(
                        kind="graph_error",
                        path="/messages",
                        code=_THROTTLED[self._channel],
                        headers={"X-Business-Use-Case-Usage": _REGAIN},
                    )
                )
            case "broken":
                await self._meta.fault(
                    Fault(kind="graph_error", path="/messages", status=500, code=2)
                )
            case "lost":
                await self._meta.fault(Fault(kind="drop", path="/messages"))
            case "unreachable":
                await self._meta.fault(Fault(kind="refuse", path="/messages"))
            case "revoked":
                await self._meta.fault(
                    Fault(kind="graph_error", status=401, code=190, subcode=463, times=100)
                )

    async def reaction_on(self, message: str) -> str | None:
        shown = await self._meta.shown(self._channel, person=self.chat, kind="reaction")
        reactions = [entry.text for entry in shown if entry.reply_to == message]
        return reactions[-1] or None if reactions else None

    async def publish(self, file: bytes, *, mime: str) -> str:
        path = f"/files/{len(self._home.files)}"
        self._home.files[path] = (file, mime)
        return self._home.url + path

    # --- what the person does

    async def say(self, text: str, *, reply_to: str | None = None) -> str:
        return await self._meta.act(
            acts.Write(channel=self._channel, person=self.chat, text=text, reply_to=reply_to)
        )

    async def send(
        self, file: bytes, *, mime: str, name: str, caption: str = "", count: int = 1
    ) -> str:
        kind = mime.partition("/")[0]
        if kind not in _KINDS:
            kind = "document" if self._channel == "whatsapp" else "file"
        return await self._meta.act(
            acts.Send(
                channel=self._channel,
                person=self.chat,
                kind=kind,
                mime=mime,
                content=file,
                name=name,
                caption=caption or None,
                count=count,
            )
        )

    async def edit(self, message: str, text: str) -> None:
        if self._channel == "instagram":
            raise NotOffered
        await self._meta.act(
            acts.Edit(channel=self._channel, person=self.chat, message=message, text=text)
        )

    async def delete(self, message: str) -> None:
        if self._channel == "messenger":
            raise NotOffered
        await self._meta.act(acts.Delete(channel=self._channel, person=self.chat, message=message))

    async def react(self, message: str, emoji: str | None) -> None:
        await self._meta.act(
            acts.React(channel=self._channel, person=self.chat, message=message, emoji=emoji)
        )

    async def read(self) -> None:
        shown = await self._meta.shown(self._channel, person=self.chat, kind="message")
        await self._meta.act(
            acts.Read(channel=self._channel, person=self.chat, message=shown[-1].id)
        )

    async def block(self) -> None:
        if self._channel == "whatsapp":
            raise NotOffered  # It is told later, as a status.
        await self.appear(blocked=True)

    # --- how it is told to us

    async def calls(self) -> list[WebhookCall]:
        await self._meta.settle()
        return self._home.take()

    def signed(self, body: bytes) -> WebhookCall:
        return WebhookCall("POST", {}, {HEADER: sign(BASICS["app_secret"], body)}, body)

    def forged(self, call: WebhookCall) -> WebhookCall:
        return WebhookCall("POST", {}, {HEADER: sign("another", call.body)}, call.body)
