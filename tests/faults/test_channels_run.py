"""One group over four ways: what is said in it is lost, doubled and reordered on none of them.

The server is killed twice, and each provider fails for a while, once after it has taken a message.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import trio
from PIL import Image

from chat4all_client import open_files
from tests.fakes.meta.failing import Fault

from .channel_town import ANA, BOB, EVERYBODY, INSTAGRAM, NAMES, TELEGRAM, WHATSAPP, town, until

if TYPE_CHECKING:
    from pathlib import Path

    from chat4all_client import Client

    from .channel_town import Town

SAID = [f"message {number}" for number in range(30)]


def picture() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(made, "PNG")
    return made.getvalue()


async def group_of_all(there: Town) -> str:
    """Everybody writes to Ana, who brings them together; the group's id."""
    for member in EVERYBODY:
        await there.write(member, f"hello from {NAMES[member]}")
    await until(lambda: {event.from_ for event in there.events} >= set(EVERYBODY))
    for event in there.events:
        assert there.said_by(event.from_, event.conv) == [f"hello from {NAMES[event.from_]}"]
    members = [BOB, *EVERYBODY]
    body = {"type": "group", "members": members, "title": "All"}
    made = await there.ask("POST", "/v1/conversations", body)
    assert set(made["members"]) == {ANA, *members}
    return str(made["conversation_id"])


async def fail_for_a_while(there: Town) -> None:
    """Each provider can't take a message or two, and then takes one without an answer."""
    await there.telegram.fail("error", code=500, times=2)
    await there.telegram.fail("drop")
    for path in ("106540352242922/messages", "110000000000002/messages"):
        await there.meta.fault(Fault(kind="graph_error", path=path, code=2, status=503, times=2))
        await there.meta.fault(Fault(kind="drop", path=path))


async def say_all(client: Client, group: str) -> None:
    for text in SAID:
        await client.send(group, text)


async def check(there: Town, group: str, expected: list[str], image: bytes) -> None:
    """Everybody there has seen all of it once and in order, but what is shown as uncertain."""
    for member in EVERYBODY:
        states, texts = await there.states(group, member), await there.texts(member)
        assert {state for of in states for state in of} <= {
            "sent",
            "delivered",
            "read",
            "unknown",
        }, (member, states)
        assert texts == [text for text in expected if text in texts], member  # in order, and once
        certain = [text for text, of in zip(expected, states, strict=True) if "unknown" not in of]
        assert [text for text in certain if text not in texts] == [], member
        pictures = [each.file for each in await there.shown(member) if each.file is not None]
        assert pictures == [image], member  # sent when nothing failed any more


async def test_a_group_over_four_ways_loses_doubles_and_reorders_nothing(tmp_path: Path) -> None:
    async with town(tmp_path / "data") as there, there.session() as client:
        group = await group_of_all(there)
        await fail_for_a_while(there)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say_all, client, group)
            for _ in range(2):  # the slowest of the three: so something is on its way
                await there.until_shown(TELEGRAM, len(await there.texts(TELEGRAM)) + 6)
                await there.kill()
        image = picture()
        (tmp_path / "red.png").write_bytes(image)
        async with open_files(there.url, token=there.token) as files:
            file = await files.upload(tmp_path / "red.png", conversation=group)
        await client.send(group, file.body("look"))
        expected = [f"{ANA}: {text}" for text in [*SAID, "look"]]
        await there.until_carried(group, len(expected))
        await check(there, group, expected, image)

        # Answers come into the group, and go to the others from there.
        for member in EVERYBODY:
            await there.write(member, f"an answer of {NAMES[member]}'s")
            await until(lambda m=member: bool(there.said_by(m, group)))  # type: ignore[misc]
        for member in EVERYBODY:
            assert there.said_by(member, group) == [f"an answer of {NAMES[member]}'s"]
            others = [name for other, name in NAMES.items() if other != member]
            await there.until_shown(member, 0, *others)
        last = len(expected) + len(EVERYBODY)
        assert [event.seq for event in there.events if event.conv == group] == list(
            range(1, last + 1)
        )

        # What is read there, is seen here.
        for member in (WHATSAPP, INSTAGRAM):
            await there.read(member)
            await until(lambda m=member: there.receipts.get(m, (0, 0))[1] >= last - 1)  # type: ignore[misc]
