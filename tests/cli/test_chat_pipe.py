from __future__ import annotations

import json
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.cli import chat_pipe
from chat4all_actors.cli.chat_pipe import Pipe
from chat4all_actors.cli.main import OK, UNREACHABLE, CommandError
from chat4all_client import Client, open_client
from chat4all_protocol import frames as f
from tests.client.model import CONV, ME, OTHER, ModelServer, conversation_id
from tests.client.network import Network

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from trio.testing import MockClock


class Desk:
    """A client on a model server, and what is typed into it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = ModelServer()
        self.server.create(CONV)
        self.network = Network(self.server)
        self.keys, self._typed = trio.open_memory_channel[str](100)
        monkeypatch.setattr(chat_pipe, "lines", self._lines)

    async def _lines(self) -> AsyncGenerator[str, None]:
        async for line in self._typed:
            yield line

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with open_client(
            "ws://model", token="t", device="d", opener=self.network.open
        ) as client:
            yield client


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


async def test_a_line_in_is_a_message_out_and_the_end_waits_for_the_answers(
    desk: Desk, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.server.refusals.append(f.Error("UNAVAILABLE", "", temporary=True, retry_after_ms=5000))
    async with desk.client() as client:
        for line in ("one", "", "  ", "two"):
            await desk.keys.send(line)
        await desk.keys.aclose()
        assert await Pipe(client, CONV, json=False, follow=False).run() == OK
    texts = [event.body for event in desk.server.logs[CONV].events]
    assert texts == [f.TextBody("one"), f.TextBody("two")]
    assert capsys.readouterr().out == ""


async def test_more_lines_than_the_outbox_holds_are_sent_in_order(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with open_client(
        "ws://model", token="t", device="d", opener=desk.network.open, outbox=3
    ) as client:
        for number in range(20):
            await desk.keys.send(str(number))
        await desk.keys.aclose()
        assert await Pipe(client, CONV, json=False, follow=False).run() == OK
    texts = [event.body for event in desk.server.logs[CONV].events]
    assert texts == [f.TextBody(str(number)) for number in range(20)]


async def test_received_messages_of_the_conversation_are_printed_and_read(
    desk: Desk, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.server.create(conversation_id(1))
    async with desk.client() as client, trio.open_nursery() as nursery:
        pipe = Pipe(client, CONV, json=False, follow=False)
        nursery.start_soon(pipe.run)
        await wait_all_tasks_blocked()
        desk.server.say(CONV, "hello\x1b[2J")
        desk.server.say(conversation_id(1), "elsewhere")
        await wait_all_tasks_blocked()
        await desk.keys.aclose()
    (line,) = capsys.readouterr().out.splitlines()
    assert line[5:] == " bob: hello␛[2J"
    assert f.Read(CONV, 1) in desk.server.marks[CONV]


async def test_json_prints_answers_and_what_others_send(
    desk: Desk, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk.client() as client, trio.open_nursery() as nursery:
        nursery.start_soon(Pipe(client, CONV, json=True, follow=True).run)
        await desk.keys.send("mine")
        await wait_all_tasks_blocked()
        await desk.keys.aclose()
        desk.server.say(CONV, "theirs")
        desk.network.session.send(f.Receipt(CONV, OTHER, 1, 1))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [frame["t"] for frame in printed] == ["sent", "msg", "receipt"]
    assert printed[0]["seq"] == 1
    assert printed[1]["from"] == OTHER


async def test_without_a_conversation_all_are_printed_and_nothing_can_be_sent(
    desk: Desk, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.server.create(conversation_id(1))
    async with desk.client() as client, trio.open_nursery() as nursery:
        nursery.start_soon(Pipe(client, None, json=False, follow=True).run)
        await wait_all_tasks_blocked()
        desk.server.say(CONV, "here")
        desk.server.say(conversation_id(1), "there")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [line[11:] for line in capsys.readouterr().out.splitlines()] == ["here", "there"]

    async with desk.client() as client:
        await desk.keys.send("to whom?")
        with pytest.RaisesGroup(pytest.RaisesGroup(CommandError)):
            await Pipe(client, None, json=False, follow=False).run()


async def test_a_refused_line_is_told_and_makes_the_command_fail(
    desk: Desk, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk.client() as client:
        await desk.keys.send("x" * 70_000)
        await desk.keys.send("fine")
        desk.server.logs[CONV].members.remove(ME)
        await desk.keys.aclose()
        assert await Pipe(client, CONV, json=True, follow=False).run() == UNREACHABLE
    printed = capsys.readouterr()
    codes = [json.loads(line)["code"] for line in printed.out.splitlines()]
    assert codes == ["TOO_LARGE", "NOT_FOUND"]
    assert "not sent: no such conversation" in printed.err


async def test_lines_are_cut_at_line_ends_whatever_the_pieces() -> None:
    read, write = os.pipe()
    try:
        os.write(write, "één\r\ntwo\n\nlast \xff".encode("latin-1"))
        os.close(write)
        found = [line async for line in chat_pipe.lines(read)]
    finally:
        os.close(read)
    assert found == ["\ufffd\ufffdn", "two", "", "last \ufffd"]
