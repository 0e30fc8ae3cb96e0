"""Posts and marks of those without a session: the answer, or that it is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from chat4all_actors.conversation import appends
from chat4all_actors.conversation.storing import ATTEMPTS, MARK_PATIENCE, Stored, mark, store
from chat4all_actors.wire import not_found
from chat4all_protocol.frames import TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_actors.conversation.conversations import Conversations
    from chat4all_actors.messages import Origin, Post

APPEND = appends.message(new_id(), "ana", new_id(), TextBody("hello"))
MARK = Mark(APPEND.conversation, "ana", 3, 3)


class FakeConversations:
    """Answers posts by what it is told, and writes marks if it does."""

    def __init__(
        self, *answers: Callable[[Origin, Post], None], writes_marks: bool = False
    ) -> None:
        self._answers = list(answers)
        self._writes_marks = writes_marks
        self.posted: list[Any] = []
        self.shown: list[Mark] = []
        self.logs = self

    async def post(self, append: Any, origin: Origin) -> None:
        self.posted.append(append)
        await trio.lowlevel.checkpoint()
        self._answers.pop(0)(origin, cast("Post", None))

    def mark_nowait(self, mark: Mark, owner: Callable[[Mark], None]) -> None:
        if self._writes_marks:
            owner(mark)

    def marked(self, mark: Mark) -> None:
        self.shown.append(mark)


def fake(*answers: Callable[[Origin, Post], None], **more: Any) -> Conversations:
    return cast("Conversations", FakeConversations(*answers, **more))


async def test_what_is_stored_is_told_with_its_place() -> None:
    conversations = fake(lambda origin, post: origin.stored(post, 7, 1000, dup=True))
    assert await store(conversations, APPEND) == Stored(7, 1000, dup=True)


async def test_a_refusal_is_handed_on() -> None:
    conversations = fake(lambda origin, post: origin.refused(post, not_found(0)))
    assert await store(conversations, APPEND) == not_found(0)


async def test_a_lost_answer_is_asked_for_again_under_the_same_id() -> None:
    conversations = fake(
        lambda origin, post: origin.lost(post),
        lambda origin, post: origin.stored(post, 7, 1000, dup=True),
    )
    assert await store(conversations, APPEND) == Stored(7, 1000, dup=True)
    assert cast("FakeConversations", conversations).posted == [APPEND, APPEND]


async def test_what_stays_lost_is_not_known() -> None:
    conversations = fake(*[lambda origin, post: origin.lost(post)] * ATTEMPTS)
    assert await store(conversations, APPEND) is None


async def test_a_store_that_is_away_is_told() -> None:
    def away(origin: Origin, post: Post) -> None:
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        await store(fake(away), APPEND)


async def test_a_mark_that_stands_is_shown_to_the_others() -> None:
    conversations = fake(writes_marks=True)
    assert await mark(conversations, MARK)
    assert cast("FakeConversations", conversations).shown == [MARK]


async def test_of_a_mark_that_nothing_was_heard_of_nothing_is_known(autojump_clock: Any) -> None:
    began = trio.current_time()
    assert not await mark(fake(), MARK)
    assert trio.current_time() - began == pytest.approx(MARK_PATIENCE)
