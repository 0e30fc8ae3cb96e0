"""Somebody on a loopback channel, played from the shell, and users of the real server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from chat4all_protocol.frames import Delete, Edit, Msg, React, Receipt, TextBody
from chat4all_protocol.ids import new_id
from tests.life.devices import people
from tests.life.hook_receiver import Receiver
from tests.life.processes import chat4all, serving
from tests.life.rest import Rest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.life.devices import Device
    from tests.life.processes import ServerProcess
    from tests.life.rest import Answer
    from tests.support.storage_servers import PostgresServer

pytestmark = pytest.mark.xdist_group("test_channels")  # a database for all of them

ANA: Final = "loopback:ana"
SOON: Final = {"CHAT4ALL_CHANNEL_LEASE": "3"}
"""The servers before are killed, and hold the account until then."""
LOOPBACK: Final = {**SOON, "CHAT4ALL_CHANNELS__LOOPBACK__INBOX": "alice"}


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """One of their own: whoever shares one has the same channels."""
    with postgres_server.fresh_database() as dsn:
        added = chat4all("user", "add", "alice", "bob", "--password", "x" * 8, "--postgres", dsn)
        assert added.returncode == 0, added.stderr
        yield dsn


@pytest.fixture
def server(database: str, tmp_path: Path) -> Iterator[ServerProcess]:
    with serving(tmp_path / "data", "--postgres", database, env=LOOPBACK) as server:
        yield server


class Player:
    """`chat4all channels play --json` in a pipe."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._typed = process.stdin
        self._seen = process.stdout
        self._sights = self._lines()

    async def type(self, line: str) -> None:
        await self._typed.send_all(line.encode() + b"\n")

    async def sees(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message, as it is shown, of which this is so."""
        async for sight in self._sights:
            if sight["cue"] == "shown" and what(sight["line"]):
                return dict(sight["line"], number=sight["number"])
        raise AssertionError("the play is over")

    async def reads(self, text: str) -> dict[str, Any]:
        """The next message with this text."""
        return await self.sees(lambda line: line["text"] == text)

    async def misses(self, number: int) -> None:
        """The message is there no more."""
        async for sight in self._sights:
            if sight["cue"] == "gone" and sight["number"] == number:
                return
        raise AssertionError("the play is over")

    async def _lines(self) -> Any:
        buffer = b""
        while data := await self._seen.receive_some():
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                yield json.loads(line)

    async def aclose(self) -> None:
        await self._sights.aclose()


@asynccontextmanager
async def playing(server_data: Path, address: str = ANA) -> AsyncIterator[Player]:
    command = (sys.executable, "-m", "chat4all_actors", "channels", "play", address, "--json")
    process = await trio.lowlevel.open_process(
        [*command, "--follow", "--data-dir", str(server_data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        async with aclosing(Player(process)) as player:
            yield player
    finally:
        process.kill()
        await process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            await stream.aclose()


def data_of(server: ServerProcess) -> Path:
    return server.log.parent


def channels(database: str, *arguments: str) -> list[dict[str, Any]]:
    """What `chat4all channels … --json` tells."""
    done = chat4all("channels", *arguments, "--json", "--postgres", database)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def ready(server: ServerProcess) -> None:
    """Wait until the account is worked on."""
    while not (data_of(server) / "channels" / "loopback.sock").exists():  # noqa: ASYNC110
        await trio.sleep(0.02)


async def until(device: Device, kind: type[Any], is_it: Callable[[Any], bool]) -> Any:
    """The next frame of this kind of which this is so; others are passed over."""
    while True:
        frame = await device.receive()
        if isinstance(frame, kind) and is_it(frame):
            return frame


async def test_somebody_writes_first_and_they_talk(server: ServerProcess) -> None:
    await ready(server)
    async with people(server) as here, playing(data_of(server)) as ana:
        alice = await here.connect("alice")
        await ana.type("hello from outside")
        said = await until(alice, Msg, lambda msg: msg.body == TextBody("hello from outside"))
        assert said.from_ == ANA
        answer = await alice.say(said.conv, "hello Ana")
        shown = await ana.reads("hello Ana")
        assert shown["sender"] == ""
        await alice.send(
            Edit(
                rid=alice.next_rid(),
                conv=said.conv,
                id=new_id(),
                target=answer.seq,
                body=TextBody("Hello, Ana"),
            )
        )
        assert (await ana.reads("Hello, Ana"))["edited"]
        await ana.type("/read")
        await until(alice, Receipt, lambda told: told.user == ANA and told.read >= answer.seq)
        rid, id_ = alice.next_rid(), new_id()
        await alice.send(
            React(rid=rid, conv=said.conv, id=id_, target=said.seq, emoji="👍", on=True)
        )
        await ana.sees(lambda line: line["reactions"] == {"": "👍"})
        await ana.type(f"/react {shown['number']} 🎉")
        await until(alice, Msg, lambda msg: msg.kind == "react" and msg.from_ == ANA)
        rid, id_ = alice.next_rid(), new_id()
        await alice.send(Delete(rid=rid, conv=said.conv, id=id_, target=answer.seq))
        await ana.misses(shown["number"])


async def test_what_could_not_be_sent_is_sent_again_when_an_operator_says_so(
    server: ServerProcess, database: str
) -> None:
    await ready(server)
    async with people(server) as here, playing(data_of(server)) as ana:
        alice = await here.connect("alice")
        await ana.type("/block")
        await ana.type("do not answer")  # what is typed is done in its order
        said = await until(alice, Msg, lambda msg: msg.body == TextBody("do not answer"))
        lost = await alice.say(said.conv, "an answer")
        dead = await dead_letter(database, said.conv, lost.seq)
        assert (dead["state"], dead["account"], dead["address"]) == ("failed", "loopback", ANA)
        assert dead["reason"] == "blocked"
        await ana.type("/unblock")
        await ana.type("go on")
        await until(alice, Msg, lambda msg: msg.body == TextBody("go on"))
        assert channels(database, "retry", str(dead["id"])) == [
            {"id": dead["id"], "state": "queued"}
        ]
        await ana.reads("an answer")
        (shown,) = channels(database, "show", str(dead["id"]))
        states = [step["state"] for step in shown["steps"]]
        assert states[0] == "failed"
        assert set(states[1:]) <= {"sent", "delivered"}
        (account,) = channels(database, "status")
        assert (account["state"], account["failed"]) == ("connected", 0)


async def test_somebody_is_written_to_first_by_rest_and_over_a_socket(
    server: ServerProcess,
) -> None:
    await ready(server)
    rest = await trio.to_thread.run_sync(Rest(server.port).log_in, "alice", "x" * 8)

    def post(text: str, **more: Any) -> Answer:
        body = {"payload": {"type": "text", "text": text}, **more}
        return rest.ask("POST", "/v1/messages", body)

    fay = "loopback:fay"
    async with playing(data_of(server), fay) as played:
        sent = await trio.to_thread.run_sync(partial(post, "by REST", recipient_id=fay))
        assert sent.status == 202
        await played.reads("by REST")
        conv = sent.json["conversation_id"]
        for text, channel in (("for us alone", "internal"), ("for her too", "loopback")):
            inside = partial(post, text, conversation_id=conv, channels=[channel])
            assert (await trio.to_thread.run_sync(inside)).status == 202
        next_seen = await played.sees(lambda line: line["sender"] == "")
        while next_seen["text"] == "by REST":  # which is shown again when it changes
            next_seen = await played.sees(lambda line: line["sender"] == "")
        assert next_seen["text"] == "for her too"

        async with people(server) as here:
            alice = await here.connect("alice")
            made = await alice.create("private", [fay])
            assert (made.conv, sorted(made.members)) == (conv, ["alice", fay])
            await alice.send(alice.message(conv, "over a socket"))
            await played.reads("over a socket")

    for recipient, refusal in (
        ("telegram:12345", (422, "CHANNEL_UNAVAILABLE")),
        ("loopback:", (400, "INVALID_PAYLOAD")),
    ):
        refused = await trio.to_thread.run_sync(partial(post, "hi", recipient_id=recipient))
        assert refused.refusal == refusal
        assert refused.error["details"]["field"] == "recipient_id"


async def test_a_user_is_linked_by_a_code_and_the_same_person_there_from_then_on(
    server: ServerProcess,
) -> None:
    await ready(server)
    rest = await trio.to_thread.run_sync(Rest(server.port).log_in, "bob", "x" * 8)
    ida, link = "loopback:ida", "/v1/users/me/channels/loopback"
    async with people(server) as here, playing(data_of(server), ida) as played:
        asked = await trio.to_thread.run_sync(partial(rest.ask, "PUT", link, {"address": ida}))
        assert (asked.status, asked.json["verified"]) == (202, False)
        shown = await played.sees(lambda line: "“bob”" in line["text"])
        (code,) = re.findall(r"\b[0-9]{6}\b", shown["text"])
        told = await trio.to_thread.run_sync(partial(rest.ask, "PUT", link, {"code": code}))
        assert (told.status, told.json["verified"]) == (200, True)
        alice = await here.connect("alice")
        await played.type("bob writes from there")
        said = await until(alice, Msg, lambda msg: msg.body == TextBody("bob writes from there"))
        assert (said.from_, said.channel) == ("bob", "loopback")
        await alice.send(alice.message(said.conv, "wherever you are", channels=["all"]))
        await played.reads("wherever you are")
        gone = await trio.to_thread.run_sync(partial(rest.ask, "DELETE", link))
        assert gone.status == 204


async def dead_letter(database: str, conversation: str, seq: int) -> dict[str, Any]:
    """What became of this message, once it was given up."""
    while True:
        for each in channels(database, "list"):
            if (each["conversation_id"], each["seq"]) == (conversation, seq):
                return each
        await trio.sleep(0.1)


async def test_what_nobody_is_to_have_is_put_aside_until_somebody_is(
    database: str, tmp_path: Path
) -> None:
    nobody = {**SOON, "CHAT4ALL_CHANNELS__LOOPBACK__NAME": "without an inbox"}
    with serving(tmp_path / "data", "--postgres", database, env=nobody) as server:
        await ready(server)
        async with playing(data_of(server), "loopback:eve") as eve:
            await eve.type("is anybody there?")
            while channels(database, "status")[0]["aside"] != 1:  # noqa: ASYNC110
                await trio.sleep(0.1)
    with serving(tmp_path / "data", "--postgres", database, env=LOOPBACK) as server:
        async with people(server) as here:
            alice = await here.connect("alice")
            assert channels(database, "put-back", "loopback") == [
                {"account": "loopback", "events": 1}
            ]
            said = await until(alice, Msg, lambda msg: msg.from_ == "loopback:eve")
            assert said.body == TextBody("is anybody there?")


async def test_of_several_workers_the_one_that_works_on_an_account_has_its_stage(
    database: str, tmp_path: Path
) -> None:
    arguments = ("--postgres", database, "--workers", "2")
    with serving(tmp_path / "data", *arguments, env=LOOPBACK) as server:
        await ready(server)
        async with people(server) as here, playing(data_of(server), "loopback:bea") as bea:
            # On both nodes, as far as connections are spread.
            devices = [await here.connect("alice", f"device{number}") for number in range(4)]
            await bea.type("hello")
            for device in devices:
                said = await until(device, Msg, lambda msg: msg.from_ == "loopback:bea")
            for number, device in enumerate(devices):
                await device.send(device.message(said.conv, f"answer {number}"))
                await bea.reads(f"answer {number}")


async def test_a_program_is_told_on_any_node_of_what_did_not_arrive(
    database: str, tmp_path: Path
) -> None:
    arguments = ("--postgres", database, "--workers", "2")
    env = {**LOOPBACK, "CHAT4ALL_WEBHOOK_ALLOW_PRIVATE": "1", "CHAT4ALL_WEBHOOK_LEASE": "3"}
    with (
        Receiver().open() as receiver,
        serving(tmp_path / "data", *arguments, env=env) as server,
    ):
        await ready(server)
        rest = await trio.to_thread.run_sync(Rest(server.port).log_in, "alice", "x" * 8)

        async def ask(*request: Any) -> Answer:
            return await trio.to_thread.run_sync(partial(rest.ask, *request))

        hook = await ask(
            "POST", "/v1/webhooks", {"url": receiver.url, "events": ["message.failed"]}
        )
        start = (await ask("GET", "/v1/events?types=message.failed")).json["next_cursor"]
        async with people(server) as here, playing(data_of(server), "loopback:gus") as gus:
            alice = await here.connect("alice")
            await gus.type("/block")
            await gus.type("leave me alone")
            said = await until(alice, Msg, lambda msg: msg.from_ == "loopback:gus")
            lost = await alice.say(said.conv, "but why?")
        await trio.to_thread.run_sync(receiver.until, lambda: bool(receiver.taken()))
        told = receiver.taken()[0]
        assert told.is_signed_with(hook.json["secret"])
        assert told.json["type"] == "message.failed"
        data = told.json["data"]
        assert (data["conversation_id"], data["sequence_number"]) == (said.conv, lost.seq)
        assert (data["channel"], data["reason"]) == ("loopback", "blocked")
        fed = await ask("GET", f"/v1/events?types=message.failed&wait=30&cursor={start}")
        assert data in [event["data"] for event in fed.json["events"]]
