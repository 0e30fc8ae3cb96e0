"""What is seen on a channel of the reactions of people here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_actors.channels import content
from chat4all_actors.conversation import appends
from chat4all_connectors.loopback.stage import US
from chat4all_protocol.frames import TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.deliveries import Sent
from tests.channels.scene import ACCOUNT, BEA, Scene

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock

CARL = f"{ACCOUNT}:carl"


async def group(text: str = "lunch?") -> tuple[Scene, int]:
    """A group of Alice, Bob and Bea, in which Alice has said something; and its seq."""
    scene = await Scene().set("group")
    await scene.stored(appends.join(scene.conversation, "alice", new_id(), "bob", "member"))
    return scene, await scene.say(text)


async def react(
    scene: Scene, seq: int, emoji: str = "👍", *, by: str = "alice", on: bool = True
) -> int:
    """React to a message, and let it be sent."""
    append = appends.react(scene.conversation, by, new_id(), seq, emoji, on=on)
    reacted = await scene.stored(append)
    await scene.route()
    await trio.sleep(2)
    return reacted


def shown(scene: Scene) -> str | None:
    """The account's reaction to the first message that Bea sees."""
    return scene.lines()[0].reactions.get(US)


async def test_a_reaction_is_put_and_taken_back_at_the_message(autojump_clock: MockClock) -> None:
    scene, seq = await Scene.where_was_said()
    async with scene.sending():
        await trio.sleep(1)
        reacted = await react(scene, seq)
        assert shown(scene) == "👍"
        await react(scene, seq, on=False)
        assert shown(scene) is None
    assert scene.texts() == ["hello"]
    assert await scene.states(reacted) == ["sent"]


async def test_what_they_wrote_is_reacted_to_as_well(autojump_clock: MockClock) -> None:
    scene = await Scene().set()
    line = scene.stage.say("bea", "hi")
    seq = await scene.say("hi", by=BEA)
    sent = Sent(
        account=ACCOUNT,
        chat="bea",
        message=line,
        conversation=scene.conversation,
        seq=seq,
        address=BEA,
    )
    await scene.stores.deliveries.note_messages([sent])
    async with scene.sending():
        await react(scene, seq, "❤")
    assert shown(scene) == "❤"


async def test_of_several_the_last_that_stands_is_seen(autojump_clock: MockClock) -> None:
    scene, seq = await group()
    await scene.route()
    seen = []
    async with scene.sending():
        await trio.sleep(1)
        for emoji, by, on in (
            ("👍", "alice", True),
            ("🎉", "bob", True),
            ("❤", "alice", True),
            ("❤", "alice", False),
            ("👍", "alice", False),
            ("🎉", "bob", False),
        ):
            await react(scene, seq, emoji, by=by, on=on)
            seen.append(shown(scene))
    assert seen == ["👍", "🎉", "❤", "🎉", "🎉", None]


async def test_what_they_put_themselves_is_theirs_and_hides_nothing(
    autojump_clock: MockClock,
) -> None:
    scene, seq = await group()
    await scene.route()
    async with scene.sending():
        await trio.sleep(1)
        await react(scene, seq, "👍")
        await react(scene, seq, "🎉", by=BEA)
        await react(scene, seq, "👎", by="bob")
        await react(scene, seq, "👎", by="bob", on=False)
    assert shown(scene) == "👍"


async def test_what_another_chat_put_is_seen_here(autojump_clock: MockClock) -> None:
    scene, seq = await group()
    other = await Scene.beside(scene, "carl")
    join = appends.join(scene.conversation, "alice", new_id(), CARL, "member")
    await scene.stored(join)
    await other.route()
    async with scene.sending():
        await trio.sleep(1)
        await react(scene, seq, "🎉", by=CARL)
    assert shown(scene) == "🎉"
    (line,) = scene.stage.chat("carl").lines
    assert line.reactions == {}


async def test_a_chat_that_has_not_seen_the_message_is_told_in_words(
    autojump_clock: MockClock,
) -> None:
    scene = await Scene().set()
    seq = await scene.stored(
        appends.message(scene.conversation, "alice", new_id(), TextBody("only here"))
    )
    for row in await scene.shard.leaving(9):
        await scene.shard.routed([row.id])
    async with scene.sending():
        await react(scene, seq)
        await react(scene, seq, on=False)
    assert scene.texts() == ["👍 to “only here”", "👍 to “only here” was taken back"]


async def test_of_a_message_that_was_deleted_nothing_is_shown(autojump_clock: MockClock) -> None:
    scene, seq = await Scene.where_was_said()
    async with scene.sending():
        await trio.sleep(1)
        append = appends.react(scene.conversation, "alice", new_id(), seq, "👍", on=True)
        reacted = await scene.stored(append)
        await scene.stored(appends.delete(scene.conversation, "alice", new_id(), seq))
        await scene.route()
        await trio.sleep(5)
    assert await scene.states(reacted) == ["sent"]
    assert scene.lines() == []


async def test_of_who_was_erased_nothing_is_sent_any_more(autojump_clock: MockClock) -> None:
    scene, seq = await group()
    await scene.stored(appends.react(scene.conversation, "bob", new_id(), seq, "👍", on=True))
    while not await scene.shard.erase_user("bob", "erased-1", 100):
        pass
    await scene.route()
    async with scene.sending():
        await trio.sleep(5)
    assert scene.texts() == ["alice: lunch?"]
    assert shown(scene) is None


async def test_only_the_last_reactions_are_looked_through(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "REACTIONS", 1)
    scene, seq = await group()
    await scene.route()
    async with scene.sending():
        await trio.sleep(1)
        await react(scene, seq, "👍")
        await react(scene, seq, "🎉", by=BEA)
        await react(scene, seq, "👎", by="bob")
        await react(scene, seq, "👎", by="bob", on=False)
    assert shown(scene) is None
