"""REST and WebSockets in one conversation, on a server of two workers.

A REST request reaches either worker, and a listener has a device on each: so what it hears on both
has come from one to the other.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_client import Connected, Msg, open_client
from chat4all_protocol.frames import Conv, TextBody
from chat4all_protocol.ids import new_id
from tests.life.conftest import PASSWORD
from tests.life.processes import ServerProcess, serving
from tests.life.rest import Rest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from chat4all_client import Client
    from tests.life.conftest import Names
    from tests.life.rest import Answer

SENDS = 100
DEVICES = 20
"""Of them over WebSockets."""


@pytest.fixture(scope="module")
def workers(
    life_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    flags = ["--workers", "2", "--postgres", life_database]
    with serving(tmp_path_factory.mktemp("both"), *flags) as server:
        yield server


class Ear:
    """A device of the SDK, and everything that it hears."""

    client: Client

    def __init__(self) -> None:
        self.node = ""
        """The worker it is connected to."""
        self.heard: list[Msg | Conv] = []
        self._news = trio.Event()

    async def listen(self, url: str, token: str, *, task_status: trio.TaskStatus[None]) -> None:
        async with open_client(url, token=token, device=new_id()) as self.client:
            async for event in self.client.events():
                if isinstance(event, Connected):
                    self.node = event.node
                    task_status.started()
                elif isinstance(event, Msg | Conv):
                    self.heard.append(event)
                self._news.set()
                self._news = trio.Event()

    async def hears(self, count: int) -> list[tuple[int, str]]:
        """The messages, once there are so many."""
        await self.until(lambda: len(self.messages()) >= count)
        return self.messages()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._news.wait()

    def messages(self) -> list[tuple[int, str]]:
        """Seq and text of the messages that came."""
        return [
            (event.seq, event.body.text)
            for event in self.heard
            if isinstance(event, Msg) and isinstance(event.body, TextBody)
        ]

    def left(self) -> bool:
        """Whether it was told that it was removed."""
        return any(isinstance(event, Conv) and event.left for event in self.heard)


class Scene:
    """People at the server: by REST, and with ears on both workers."""

    def __init__(self, server: ServerProcess, nursery: trio.Nursery) -> None:
        self.server = server
        self._nursery = nursery

    async def rest(self, name: str) -> Rest:
        return await trio.to_thread.run_sync(Rest(self.server.port).log_in, name, PASSWORD)

    async def device(self, rest: Rest) -> Ear:
        """A device of this user, who listens."""
        assert rest.token is not None
        ear = Ear()
        await self._nursery.start(ear.listen, self.server.url, rest.token)
        return ear

    async def ears(self, rest: Rest) -> list[Ear]:
        """A device of this user on each worker."""
        found: dict[str, Ear] = {}
        while len(found) < 2:
            ear = await self.device(rest)
            found.setdefault(ear.node, ear)
        return list(found.values())


@asynccontextmanager
async def scene_at(server: ServerProcess) -> AsyncIterator[Scene]:
    async with trio.open_nursery() as nursery:
        yield Scene(server, nursery)
        nursery.cancel_scope.cancel()


async def ask(rest: Rest, method: str, path: str, body: Any = None) -> Answer:
    return await trio.to_thread.run_sync(rest.ask, method, path, body)


async def group(owner: Rest, *members: str) -> str:
    made = await ask(owner, "POST", "/v1/conversations", {"type": "group", "members": members})
    assert made.status == 201
    id_: str = made.json["conversation_id"]
    return id_


def text(conversation: str, words: str, **fields: Any) -> dict[str, Any]:
    return {
        "conversation_id": conversation,
        "payload": {"type": "text", "text": words},
        **fields,
    }


async def test_many_sends_of_one_id_over_both_ways_are_one_message(
    workers: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with scene_at(workers) as scene:
        rest, reader = await scene.rest(ana), await scene.rest(bob)
        conversation, id_ = await group(rest, bob), new_id()
        ears = await scene.ears(reader)
        devices = [await scene.device(rest) for _ in range(DEVICES)]
        stored: list[int] = []

        async def post() -> None:
            answer = await ask(
                rest, "POST", "/v1/messages", text(conversation, "hi", message_id=id_)
            )
            assert answer.status == 202, answer.body
            stored.append(answer.json["sequence_number"])

        async def send(device: Ear) -> None:
            stored.append((await device.client.send(conversation, "hi", id=id_)).seq)

        async with trio.open_nursery() as nursery:
            for _ in range(SENDS - DEVICES):
                nursery.start_soon(post)
            for device in devices:
                nursery.start_soon(send, device)
        assert stored == [1] * SENDS
        await ask(rest, "POST", "/v1/messages", text(conversation, "the next"))
        for ear in ears:
            assert await ear.hears(2) == [(1, "hi"), (2, "the next")]
        history = await ask(reader, "GET", f"/v1/conversations/{conversation}/messages")
        first, _ = history.json["messages"]
        assert first["message_id"] == id_
        other = text(conversation, "something else", message_id=id_)
        assert (await ask(rest, "POST", "/v1/messages", other)).refusal == (409, "CONFLICT")


async def test_what_is_written_either_way_is_heard_on_every_worker_in_one_order(
    workers: ServerProcess, names: Names
) -> None:
    ana, bob, carla = names(3)
    async with scene_at(workers) as scene:
        rest, writer = await scene.rest(ana), await scene.device(await scene.rest(bob))
        listener = await scene.rest(carla)
        conversation = await group(rest, bob, carla)
        ears = await scene.ears(listener)

        async with trio.open_nursery() as nursery:
            for number in range(25):
                body = text(conversation, f"rest {number}")
                nursery.start_soon(ask, rest, "POST", "/v1/messages", body)
                nursery.start_soon(writer.client.send, conversation, f"socket {number}")
        expected = {f"{way} {number}" for way in ("rest", "socket") for number in range(25)}
        for ear in ears:
            heard = await ear.hears(50)
            assert [seq for seq, _ in heard] == list(range(1, 51))
            assert {words for _, words in heard} == expected
        assert ears[0].messages() == ears[1].messages()
        history = await ask(listener, "GET", f"/v1/conversations/{conversation}/messages?limit=100")
        read = [
            (each["sequence_number"], each["payload"]["text"]) for each in history.json["messages"]
        ]
        assert read == ears[0].messages()


async def test_a_removed_member_hears_nothing_later_on_any_worker(
    workers: ServerProcess, names: Names
) -> None:
    ana, bob, carla = names(3)
    async with scene_at(workers) as scene:
        rest, gone = await scene.rest(ana), await scene.rest(carla)
        conversation = await group(rest, bob, carla)
        leaving, staying = await scene.ears(gone), await scene.ears(await scene.rest(bob))
        await ask(rest, "POST", "/v1/messages", text(conversation, "before"))
        path = f"/v1/conversations/{conversation}"
        removed = await ask(rest, "DELETE", f"{path}/members/{carla}")
        assert removed.status == 204
        for ear in leaving:
            await ear.until(ear.left)
        for number in range(10):
            await ask(rest, "POST", "/v1/messages", text(conversation, f"after {number}"))
        for ear in staying:
            await ear.hears(11)
        for ear in leaving:
            assert all("after" not in words for _, words in ear.messages())
            await ear.client.create("private", [bob])  # what was pushed before has come by now
            assert all("after" not in words for _, words in ear.messages())
        for suffix in ("", "/messages"):
            assert (await ask(gone, "GET", path + suffix)).refusal == (404, "NOT_FOUND")
        sent = await ask(gone, "POST", "/v1/messages", text(conversation, "let me in"))
        assert sent.refusal == (404, "NOT_FOUND")
