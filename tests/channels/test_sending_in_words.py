"""What a provider refuses to do to a message is said in words there."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import trio

from chat4all_actors.conversation import appends
from chat4all_connectors.errors import Refused, Transient
from chat4all_protocol.frames import TextBody
from chat4all_protocol.ids import new_id

from .scene import Scene

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_connectors.base import Connector
    from chat4all_connectors.errors import SendError
    from chat4all_connectors.loopback.connector import Loopback


class Strict:
    """A loopback that changes nothing that was sent."""

    def __init__(self, real: Loopback, error: SendError) -> None:
        self._real = real
        self.error = error

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    async def edit(self, chat: str, message: str, text: str) -> None:
        raise self.error

    async def delete(self, chat: str, message: str) -> None:
        raise self.error

    async def react(self, chat: str, message: str, emoji: str | None) -> None:
        raise self.error


async def changed(scene: Scene, seq: int, error: SendError) -> list[int]:
    """Edit, react to and delete the message, on a channel that meets this error; their seqs."""
    conversation = scene.conversation
    edit = appends.edit(conversation, "alice", new_id(), seq, TextBody("hello Bea"))
    react = appends.react(conversation, "alice", new_id(), seq, "👍", on=True)
    delete = appends.delete(conversation, "alice", new_id(), seq)
    connector = cast("Connector", Strict(scene.loopback, error))
    seqs = []
    async with scene.sending(connector=connector):
        await trio.sleep(5)
        for append in (edit, react, delete):
            seqs.append(await scene.stored(append))
            await scene.route()
            await trio.sleep(5)
    return seqs


async def test_a_change_that_is_refused_is_told_in_words(autojump_clock: MockClock) -> None:
    scene, seq = await Scene.where_was_said("hello")
    seqs = await changed(scene, seq, Refused("it can't be changed"))
    assert scene.texts() == [
        "hello",
        "Edited: hello Bea",
        "👍 to “hello Bea”",
        "This message was deleted",
    ]
    assert [await scene.states(each) for each in seqs] == [["sent"]] * 3


async def test_a_change_that_fails_for_now_is_tried_again_as_it_is(
    autojump_clock: MockClock,
) -> None:
    scene, seq = await Scene.where_was_said("hello")
    await changed(scene, seq, Transient("later"))
    assert scene.texts() == ["hello"]
