"""Who is shown composing, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_actors.conversation import composing
from chat4all_actors.conversation.composing import INTERVAL, Composers

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_a_user_is_shown_again_only_after_the_interval(mock_clock: MockClock) -> None:
    composers = Composers()
    assert composers.may_show("ana")
    assert not composers.may_show("ana")
    assert composers.may_show("bob")
    mock_clock.jump(INTERVAL)
    assert composers.may_show("ana")


async def test_everybody_is_shown_it_but_the_user(mock_clock: MockClock) -> None:
    shown: list[str] = []

    class Reader:
        def __init__(self, user: str) -> None:
            self.user = user

        def deliver_passing(self, data: bytes) -> None:
            assert b"voice" in data
            shown.append(self.user)

    readers = [Reader(user) for user in ("ana", "bob", "ana", "carla")]
    composing.show("room", readers, "ana", "voice")  # type: ignore[arg-type] # the part it uses
    assert shown == ["bob", "carla"]
