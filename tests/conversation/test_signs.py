"""Who outside is told what people here do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_actors.conversation.composing import INTERVAL, Composers
from chat4all_actors.conversation.signs import FEW, Signs
from chat4all_actors.messages import Compose

from .scene import scene_of

if TYPE_CHECKING:
    from trio.testing import MockClock


class Watcher:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int | None]] = []

    def composes(self, user: str) -> None:
        self.told.append((user, None))

    def has_read(self, user: str, seq: int) -> None:
        self.told.append((user, seq))


def test_a_watcher_is_told_of_its_conversation_until_it_leaves() -> None:
    signs, watcher = Signs(), Watcher()
    signs.watch("room", watcher)
    signs.composes("room", "ana")
    signs.has_read("room", "bob", 7)
    signs.has_read("another", "bob", 8)
    assert watcher.told == [("ana", None), ("bob", 7)]
    signs.leave("room", watcher)
    signs.composes("room", "ana")
    assert len(watcher.told) == 2
    assert len(signs) == 0


def test_several_are_told_of_one_conversation_once_each() -> None:
    signs, former, latter = Signs(), Watcher(), Watcher()
    for watcher in (former, latter, former):
        signs.watch("room", watcher)
    signs.composes("room", "ana")
    signs.has_read("room", "bob", 7)
    assert former.told == latter.told == [("ana", None), ("bob", 7)]


def test_of_too_many_in_one_conversation_those_that_were_quiet_longest_go() -> None:
    signs, watchers = Signs(), [Watcher() for _ in range(FEW + 1)]
    for watcher in (*watchers[:FEW], watchers[0], watchers[FEW]):
        signs.watch("room", watcher)
    signs.composes("room", "ana")
    assert [len(watcher.told) for watcher in watchers] == [1, 0, *[1] * (FEW - 1)]


def test_who_came_last_is_told_and_stays_when_the_former_one_leaves() -> None:
    signs, former, latter = Signs(), Watcher(), Watcher()
    signs.watch("room", former)
    signs.watch("room", latter)
    signs.leave("room", former)
    signs.composes("room", "ana")
    assert (former.told, latter.told) == ([], [("ana", None)])


def test_beyond_the_bound_the_conversation_that_was_quiet_longest_goes() -> None:
    signs, watchers = Signs(most=2), [Watcher(), Watcher(), Watcher()]
    for name, watcher in zip("aba", watchers, strict=True):
        signs.watch(name, watcher)
    signs.watch("c", Watcher())
    assert len(signs) == 2
    signs.composes("b", "ana")
    signs.composes("a", "ana")
    assert [len(watcher.told) for watcher in watchers] == [1, 0, 1]


async def test_it_is_told_as_often_as_people_here_are_shown_it(mock_clock: MockClock) -> None:
    async with scene_of("ana", "bob", type_="private") as (scene, (ana, _)):
        watcher = Watcher()
        scene.signs.watch(scene.id, watcher)
        composers = Composers(scene.actor)
        for _ in range(2):
            composers.compose(Compose(ana, "text"))
        assert watcher.told == [("ana", None)]
        mock_clock.jump(INTERVAL)
        composers.compose(Compose(ana, "text"))
        assert len(watcher.told) == 2
