"""Files on their way while clients, servers, databases and stores die: nothing is lost or left."""

from __future__ import annotations

import io
import os
import random
import uuid
from typing import TYPE_CHECKING, Final

import pytest
import trio
from PIL import Image

from tests.faults import file_crash_points
from tests.faults.file_client import FileClient, Transfer
from tests.faults.file_scene import CHUNK, LEASE_HOURS, MIB, FileScene, file_scene, persistently
from tests.support.storage_servers import run_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.s3_server import S3Server
    from tests.support.storage_servers import PostgresServer

pytestmark = pytest.mark.xdist_group("file faults")

SEED: Final = int(os.environ.get("FAULTS_SEED") or random.randrange(10**9))
ENOUGH: Final = 5
"""Faults: files travel until so many have happened."""
STORES: Final = os.environ.get("FAULTS_STORES", "local,s3").split(",")
ANA, BOB = "ana", "bob"
SERVER: Final = ("chat4all_actors",)
STEPS: Final = {
    "local": file_crash_points.STEPS,
    "s3": tuple(step for step in file_crash_points.STEPS if step.startswith("store")),
}


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A database server that may crash."""
    with run_postgres() as server:
        yield server


@pytest.fixture(params=STORES)
def s3(request: pytest.FixtureRequest) -> S3Server | None:
    """The S3 server that is the store; None: a directory is."""
    found: S3Server | None = (
        request.getfixturevalue("running_s3") if request.param == "s3" else None
    )
    return found


def transfer(rng: random.Random, size: int) -> Transfer:
    """A PDF of so many bytes."""
    data = b"%PDF-1.7\n" + rng.randbytes(size - 9)
    return Transfer(f"{uuid.UUID(int=rng.getrandbits(128))}", data, "application/pdf")


async def _conversation(scene: FileScene) -> str:
    body = {"type": "private", "members": [BOB]}
    made = await scene.device(ANA).call("POST", "/v1/conversations", body)
    id_: str = made.json["conversation_id"]
    return id_


async def _files_in_messages(scene: FileScene, conversation: str) -> list[tuple[str, str]]:
    """The id of each message and its file."""
    found = await scene.device(BOB).call(
        "GET", f"/v1/conversations/{conversation}/messages?after=0&limit=100"
    )
    assert not found.json["has_more"]
    return [(each["message_id"], each["payload"]["file_id"]) for each in found.json["messages"]]


# --- at any moment --------------------------------------------------------------------------------


class Journey:
    """A file that goes up, into a message, and down to who reads it: in this order, once."""

    def __init__(self, scene: FileScene, conversation: str, moved: Transfer) -> None:
        self.moved = moved
        self.message = str(uuid.uuid4())
        self.sent = False
        self._scene = scene
        self._conversation = conversation

    async def go_on(self) -> None:
        """From wherever it is to its end, on devices that have just been started."""
        ana, bob = self._scene.device(ANA), self._scene.device(BOB)
        await ana.upload(self.moved)
        assert self.moved.file is not None
        if not self.sent:
            await ana.send(self._conversation, self.message, self.moved.file)
            self.sent = True
        await bob.download(self.moved, 3 * MIB)
        assert self.moved.received == self.moved.data


async def test_files_get_through_whatever_is_killed_and_nothing_is_left_of_others(
    memory_path: Path, postgres: PostgresServer, s3: S3Server | None
) -> None:
    print(f"FAULTS_SEED={SEED}")
    rng = random.Random(SEED)
    async with file_scene(
        memory_path / "server", (ANA, BOB), postgres, s3, launcher=SERVER
    ) as scene:
        conversation = await _conversation(scene)
        journeys: list[Journey] = []
        sizes = (8 * CHUNK - 1000, 2 * CHUNK + 1000)
        kills = [trio.open_memory_channel[None](0) for _ in sizes]

        async def kill_clients() -> None:
            for channel, _ in kills:
                try:
                    channel.send_nowait(None)
                except (trio.WouldBlock, trio.BrokenResourceError):
                    continue  # it has arrived

        faults = [scene.kill_server, scene.kill_server, scene.crash_database]
        faults += [scene.take_store_away, scene.take_store_away, kill_clients, kill_clients]
        faults += [scene.freeze_store] if s3 is not None else []
        rng.shuffle(faults)
        happened: list[str] = []

        async def break_things() -> None:
            for fault in faults:
                await scene.steps(rng.randint(1, 4))
                happened.append(fault.__name__)
                with trio.CancelScope(shield=True):  # it heals what it breaks
                    await fault()

        async def travel(size: int, killed: trio.MemoryReceiveChannel[None]) -> None:
            while True:
                journeys.append(journey := Journey(scene, conversation, transfer(rng, size)))
                await persistently(journey.go_on, killed)
                if len(happened) >= ENOUGH:
                    return

        async with trio.open_nursery() as breaking:
            breaking.start_soon(break_things)
            async with trio.open_nursery() as travelling:
                for size, (_, receive) in zip(sizes, kills, strict=True):
                    travelling.start_soon(travel, size, receive)
            breaking.cancel_scope.cancel()
        print(f"seed {SEED}: {', '.join(happened)}")

        sent = [(journey.message, journey.moved.file) for journey in journeys]
        assert sorted(await _files_in_messages(scene, conversation)) == sorted(sent)
        await _abandon(scene, scene.device(ANA), rng)
        await scene.swept({file for _, file in sent if file is not None})
        for journey in journeys:
            journey.moved.received.clear()
            await scene.device(BOB).download(journey.moved, 50 * MIB)
            assert journey.moved.received == journey.moved.data


async def _abandon(scene: FileScene, device: FileClient, rng: random.Random) -> None:
    """Leave uploads behind, each at another place."""
    promised, unfinished, unsent = (transfer(rng, CHUNK + 10) for _ in range(3))
    await device.promise(promised)
    await device.promise(unfinished)
    status = (await device.call("GET", f"/v1/files/{unfinished.file}/upload")).json
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(device.put_missing, unfinished, status)
            await scene.steps(1)
            scope.cancel()
    await device.upload(unsent)


# --- after each step ------------------------------------------------------------------------------


def _picture(rng: random.Random) -> Transfer:
    made = io.BytesIO()
    side = rng.randint(20, 60)
    Image.frombytes("RGB", (side, side), rng.randbytes(side * side * 3)).save(made, "PNG")
    return Transfer(str(uuid.UUID(int=rng.getrandbits(128))), made.getvalue(), "image/png")


async def test_a_server_that_dies_after_any_step_leaves_nothing_that_is_not_taken_up_again(
    memory_path: Path, postgres: PostgresServer, s3: S3Server | None
) -> None:
    print(f"FAULTS_SEED={SEED}")
    rng = random.Random(SEED)
    point = memory_path / "point"
    steps = STEPS["local" if s3 is None else "s3"]
    async with file_scene(
        memory_path / "server",
        (ANA, BOB),
        postgres,
        s3,
        launcher=("tests.faults.file_crash_points",),
        settings={file_crash_points.VARIABLE: str(point)},
    ) as scene:
        conversation = await _conversation(scene)
        kept: list[tuple[str, str]] = []

        async def start_again() -> None:
            while True:
                await scene.server.wait()
                await scene.later(LEASE_HOURS)
                await scene.server.start()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(start_again)
            device = scene.device(ANA)
            for step in steps:
                point.write_text(step)
                message, moved = str(uuid.uuid4()), _picture(rng)
                await device.upload(moved)
                assert moved.file is not None
                await device.send(conversation, message, moved.file)
                kept.append((message, moved.file))
                spare = _picture(rng)
                await device.upload(spare)
                await device.call("DELETE", f"/v1/files/{spare.file}")
                while point.exists():  # noqa: ASYNC110 - a process that dies sets no events
                    await trio.sleep(0.01)
                shown = (await device.call("GET", f"/v1/files/{moved.file}")).json
                assert (shown["status"], shown["thumbnail"]) == ("ready", True), step
            assert await _files_in_messages(scene, conversation) == kept
            await scene.swept({file for _, file in kept})
            nursery.cancel_scope.cancel()
