"""The made-up Meta as an HTTP server: Graph's paths, the addresses of files, and `/_control`."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Any, Final

from chat4all_connectors.testing.http_server import Response, json_response
from tests.fakes.meta.checking import Call, Strict, checked, content
from tests.fakes.meta.control import Control
from tests.fakes.meta.failing import Faults, GraphError, after, before
from tests.fakes.meta.messaging import Messaging
from tests.fakes.meta.model import CHANNELS, World, beginning
from tests.fakes.meta.people import People
from tests.fakes.meta.webhooks import Webhooks
from tests.fakes.meta.whatsapp import WhatsApp

if TYPE_CHECKING:
    import httpx2
    import trio

    from chat4all_connectors.testing.http_server import Request
    from tests.fakes.meta.model import Account, Channel

_VERSION: Final = re.compile(r"v[0-9]{2}\.[0-9]")
_CONTROL: Final = "/_control/"


class _Subscription(Strict):
    subscribed_fields: str | None = None


class Meta:
    """Answers calls; `base` is where it is served."""

    def __init__(self, nursery: trio.Nursery, client: httpx2.AsyncClient) -> None:
        self.base = ""
        self._nursery = nursery
        self._client = client
        self._begin()

    def _begin(self) -> None:
        world = self._world = World(accounts=beginning())
        self._webhooks = Webhooks(world, self._nursery, self._client)
        self._faults = Faults()
        self._calls: list[dict[str, Any]] = []
        self._whatsapp = WhatsApp(world, self._webhooks)
        self._messaging: dict[Channel, Messaging] = {
            channel: Messaging(channel, world, self._webhooks, self._client)
            for channel in CHANNELS
            if channel != "whatsapp"
        }
        people = People(world, self._webhooks, self._whatsapp, self._messaging)
        self._control = Control(world, self._webhooks, people, self._faults, self._calls)

    async def handle(self, request: Request) -> Response:
        if request.path == f"{_CONTROL}reset":
            self._webhooks.stop()
            self._begin()
            return json_response({})
        if request.path.startswith(_CONTROL):
            return await self._control.answer(await _whole(request), base=self.base)
        fault = self._faults.take(request)
        kind = None if fault is None else fault.kind
        self._calls.append({"method": request.method, "path": request.path, "fault": kind})
        early = None if fault is None else await before(fault, request)
        if early is not None:
            return early
        try:
            response = await self._graph(await _whole(request))
        except GraphError as error:
            response = error.response()
        return response if fault is None else await after(fault)

    # --- Graph

    async def _graph(self, request: Call) -> Response:
        parts = request.path.strip("/").split("/")
        if parts[0] == "_media" and len(parts) == 2:
            return self._linked(request, parts[1])
        if parts[0] == "_cdn" and len(parts) == 2:
            return self._on_cdn(parts[1])
        if not _VERSION.fullmatch(parts[0]) or len(parts) not in (2, 3):
            raise GraphError(2500, "Unknown path components")
        channel, account = self._authorised(request, parts[1])
        edge = parts[2] if len(parts) == 3 else ""
        return json_response(await self._routed(request, channel, account, parts[1], edge))

    async def _routed(
        self, request: Call, channel: Channel, account: Account, node: str, edge: str
    ) -> Any:
        ours = node in (account.id, account.page_id, account.entry_id)
        match request.method, edge:
            case "POST", "messages" if ours:
                if channel == "whatsapp":
                    return self._whatsapp.messages(account, content(request))
                return await self._messaging[channel].messages(account, content(request))
            case "POST", "media" if ours and channel == "whatsapp":
                return self._whatsapp.upload(account, request)
            case "POST", "message_attachments" if ours and channel != "whatsapp":
                by_page = channel == "messenger" or node == account.page_id
                return self._messaging[channel].upload(account, request, by_page=by_page)
            case "POST", "subscribed_apps" if ours:
                fields = checked(content(request), _Subscription).subscribed_fields
                if (fields is None) != (channel == "whatsapp"):
                    raise GraphError(100, "subscribed_fields is missing or too much")
                self._world.subscribed[channel] = (fields or "messages").split(",")
                return {"success": True}
            case "GET", "" if ours:
                if channel == "whatsapp":
                    return self._whatsapp.number(account)
                return {"id": node, "name": account.name}
            case "GET", "" if channel == "whatsapp" and node in self._world.files:
                file = self._world.files[node]
                return self._whatsapp.media(account, file, dict(request.query), self.base)
            case "GET", "":
                person = self._world.person(channel, node)
                if person is not None and channel != "whatsapp":
                    fields_ = request.query.get("fields", "name").split(",")
                    return self._messaging[channel].profile(person, fields_)
        raise GraphError(100, "Unsupported request", subcode=33)

    def _authorised(self, request: Call, node: str) -> tuple[Channel, Account]:
        """Whose token it is; among accounts of one token, whose the node is."""
        given = request.headers.get("authorization", "")
        accounts = [
            (channel, account)
            for channel, account in self._world.accounts.items()
            if hmac.compare_digest(f"Bearer {account.access_token}", given)
        ]
        if not accounts:
            raise GraphError(190, "Invalid OAuth access token", status=401)
        for channel, account in accounts:
            if node in (account.id, account.page_id, account.entry_id):
                return channel, account
            if self._world.person(channel, node) is not None:
                return channel, account
        return accounts[0]

    # --- files

    def _linked(self, request: Call, link: str) -> Response:
        self._authorised(request, "")
        file_id, ends = self._world.links.get(link, ("", 0.0))
        if self._world.now() >= ends or file_id not in self._world.files:
            return Response(404, b"URL signature expired", "text/plain")
        file = self._world.files[file_id]
        return Response(200, file.content, file.mime)

    def _on_cdn(self, file_id: str) -> Response:
        file = self._world.files.get(file_id)
        if file is None:
            return Response(403, b"URL signature expired", "text/plain")
        return Response(200, file.content, file.mime)


async def _whole(request: Request) -> Call:
    body = await request.read()
    return Call(request.method, request.path, request.query, request.headers, body)
