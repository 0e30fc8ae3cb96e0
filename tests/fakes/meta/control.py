"""`/_control`: what a test or a player tells the made-up Meta, and what they can find out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from chat4all_connectors.testing.http_server import Response
from tests.fakes.meta.acts import Act
from tests.fakes.meta.failing import Fault
from tests.fakes.meta.model import CHANNELS, Account, Group, Person
from tests.fakes.meta.people import UnknownPerson
from tests.fakes.meta.webhooks import Manner

if TYPE_CHECKING:
    from tests.fakes.meta.checking import Call
    from tests.fakes.meta.failing import Faults
    from tests.fakes.meta.model import Channel, World
    from tests.fakes.meta.people import People
    from tests.fakes.meta.webhooks import Webhooks

T = TypeVar("T")


class Release(msgspec.Struct, forbid_unknown_fields=True):
    """What waits is sent now."""

    order: list[int] | None = None
    """By its numbers from 0, each any number of times; None: as it came."""


class Ahead(msgspec.Struct, forbid_unknown_fields=True):
    """The clock is set forward."""

    seconds: float


class Control:
    def __init__(
        self,
        world: World,
        webhooks: Webhooks,
        people: People,
        faults: Faults,
        calls: list[dict[str, Any]],
    ) -> None:
        self._world = world
        self._webhooks = webhooks
        self._people = people
        self._faults = faults
        self._calls = calls

    async def answer(self, request: Call, *, base: str) -> Response:
        """Do what is asked; 400 with the reason if it can't be."""
        try:
            answer = await self._do(request, base)
        except (msgspec.MsgspecError, UnknownPerson, KeyError, IndexError) as error:
            return Response(400, f"{type(error).__name__}: {error}".encode(), "text/plain")
        return Response(200, msgspec.json.encode(answer))

    async def _do(self, request: Call, base: str) -> Any:
        match request.method, request.path.strip("/").split("/")[1:]:
            case "PUT", ["accounts", channel] if channel in CHANNELS:
                return await self._account(channel, _read(request, Account))
            case "PUT", ["people", channel] if channel in CHANNELS:
                person = _read(request, Person)
                self._world.people[channel, person.id] = person
                return {}
            case "PUT", ["groups"]:
                group = _read(request, Group)
                self._world.groups[group.id] = group
                return {}
            case "POST", ["acts"]:
                act = msgspec.json.decode(request.body, type=Act)
                return {"id": self._people.act(act, base)}
            case "POST", ["faults"]:
                self._faults.scripted.append(_read(request, Fault))
                return {}
            case "PUT", ["webhooks"]:
                self._webhooks.manner = _read(request, Manner)
                return {}
            case "GET", ["webhooks"]:
                return {"held": self._webhooks.held, "calls": self._webhooks.log}
            case "POST", ["webhooks", "release"]:
                self._webhooks.release(_read(request, Release).order)
                return {}
            case "POST", ["webhooks", "settle"]:
                await self._webhooks.settled()
                return {}
            case "POST", ["clock"]:
                self._world.ahead += _read(request, Ahead).seconds
                return {"ahead": self._world.ahead}
            case "GET", ["shown", channel] if channel in CHANNELS:
                return self._shown(channel, dict(request.query))
            case "GET", ["files", id_]:
                return {"content": self._world.files[id_].content}
            case "GET", ["calls"]:
                return self._calls
        raise KeyError(f"{request.method} {request.path}")

    async def _account(self, channel: Channel, account: Account) -> dict[str, bool]:
        verified = await self._webhooks.verify(account) if account.webhook else False
        if account.webhook and not verified:
            # Meta does not save an address that does not answer its question.
            account.webhook = ""
        self._world.accounts[channel] = account
        return {"verified": verified}

    def _shown(self, channel: Channel, query: dict[str, str]) -> list[Any]:
        return [
            entry
            for entry in self._world.shown[channel]
            if query.get("person") in (None, entry.person)
            and query.get("kind") in (None, entry.kind)
        ]


def _read(request: Call, type_: type[T]) -> T:
    return msgspec.json.decode(request.body, type=type_)
