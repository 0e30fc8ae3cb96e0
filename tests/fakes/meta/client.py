"""The control API of the made-up Meta, from a test on trio."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec

from tests.fakes.meta.model import Account, Entry, Group, Person
from tests.fakes.meta.webhooks import Delivery, Manner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fakes.meta.acts import Act
    from tests.fakes.meta.failing import Fault
    from tests.fakes.meta.model import Channel


class MetaControl:
    """Sets the scene, plays people, scripts faults, and reads what people were shown."""

    def __init__(self, base_url: str, client: httpx2.AsyncClient) -> None:
        self.base_url = base_url
        self._client = client

    async def reset(self) -> None:
        """Begin anew."""
        await self._call("POST", "reset")

    async def account(self, channel: Channel, account: Account) -> bool:
        """Have an account; whether its webhook answered Meta's question."""
        answer = await self._call("PUT", f"accounts/{channel}", account)
        return bool(answer["verified"])

    async def person(self, channel: Channel, person: Person) -> None:
        """Have a person, or another state of one."""
        await self._call("PUT", f"people/{channel}", person)

    async def group(self, group: Group) -> None:
        """Have a WhatsApp group."""
        await self._call("PUT", "groups", group)

    async def act(self, act: Act) -> str:
        """Have somebody do something; the id of the message, if it is a new one."""
        return str((await self._call("POST", "acts", act))["id"])

    async def fault(self, fault: Fault) -> None:
        """Script a fault for the next calls that match."""
        await self._call("POST", "faults", fault)

    async def manner(self, manner: Manner) -> None:
        """Say how updates come."""
        await self._call("PUT", "webhooks", manner)

    async def release(self, order: list[int] | None = None) -> None:
        """Send the updates that are held."""
        await self._call("POST", "webhooks/release", {"order": order})

    async def settle(self) -> None:
        """Wait until no update is on its way."""
        await self._call("POST", "webhooks/settle")

    async def deliveries(self) -> list[Delivery]:
        """The webhook calls so far."""
        answer = await self._call("GET", "webhooks")
        return msgspec.convert(answer["calls"], list[Delivery])

    async def later(self, seconds: float) -> None:
        """Set the clock forward: windows close, addresses end."""
        await self._call("POST", "clock", {"seconds": seconds})

    async def shown(
        self, channel: Channel, *, person: str | None = None, kind: str | None = None
    ) -> list[Entry]:
        """What people were shown, in order."""
        query = {"person": person, "kind": kind}
        given = {name: value for name, value in query.items() if value is not None}
        return msgspec.convert(await self._call("GET", f"shown/{channel}", **given), list[Entry])

    async def content(self, entry: Entry) -> bytes:
        """The bytes of the file that somebody was shown."""
        assert entry.file is not None
        answer = await self._call("GET", f"files/{entry.file['id']}")
        return msgspec.convert(answer["content"], bytes)

    async def calls(self) -> list[dict[str, Any]]:
        """The calls of Graph so far, without what was in them."""
        answer: list[dict[str, Any]] = await self._call("GET", "calls")
        return answer

    async def _call(self, method: str, path: str, body: object = None, **query: str) -> Any:
        answer = await self._client.request(
            method,
            f"{self.base_url}/_control/{path}",
            params=query,
            content=b"" if body is None else msgspec.json.encode(body),
            timeout=None,
        )
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content)


@asynccontextmanager
async def control(base_url: str) -> AsyncIterator[MetaControl]:
    """Of a fake that runs."""
    # No TLS is spoken to it, and to read the authorities takes longer than most tests.
    async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
        yield MetaControl(base_url, client)
