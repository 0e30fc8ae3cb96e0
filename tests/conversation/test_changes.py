"""Passing what changes the members or the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_protocol.codec import encode_meta
from chat4all_protocol.frames import Conv, Member

from .scene import Session, scene_of, stored

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock


async def test_who_joins_is_let_in_after_the_event_and_the_others_have_met() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        carla = scene.here("carla")
        scene.members("ana", "bob", "carla")
        scene.post(ana, kind="join")
        scene.post(ana)
        await scene.answered(stored(1), stored(2))
        assert carla.lately() == [("entered", 1, ["ana", "bob", "carla"]), 2]
        assert ana.lately() == [("sent", 1), ("met", "carla"), ("sent", 2)]
        assert bob.lately() == [1, ("met", "carla"), 2]
        assert scene.relay.told == [(1, "carla", True), [2]]
        assert scene.actor.members == ["ana", "bob", "carla"]
        assert scene.actor.changed_at == 1


async def test_who_was_let_in_before_is_not_told_again() -> None:
    async with scene_of("ana", "carla") as (scene, (ana, carla)):
        scene.post(ana, kind="join")
        await scene.answered(stored(1))
        assert carla.lately() == [1, ("met", "carla")]


async def test_who_leaves_does_not_get_the_event() -> None:
    async with scene_of("ana", "bob", "carla") as (scene, (ana, bob, carla)):
        scene.members("ana", "bob")
        scene.post(ana, kind="leave")
        scene.post(ana)
        await scene.answered(stored(1), stored(2))
        assert carla.lately() == [("left", 1)]
        assert bob.lately() == [1, ("parted", "carla"), 2]
        assert scene.relay.told == [(1, "carla", False), [2]]
        assert set(scene.actor.readers) == {ana, bob}


async def test_who_comes_while_it_is_passed_that_somebody_leaves_is_out_too() -> None:
    async with scene_of("ana", "carla") as (scene, (ana, carla)):
        scene.members("ana")
        scene.shards.held = trio.Event()
        scene.post(ana, kind="leave")
        await scene.answered(stored(1))
        laptop = scene.enter("carla", "laptop")
        scene.shards.held.set()
        await wait_all_tasks_blocked()
        assert carla.lately() == laptop.lately() == [("left", 1)]
        assert set(scene.actor.readers) == {ana}


async def test_who_comes_while_others_are_told_that_it_leaves_is_out_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        late: list[Session] = []
        monkeypatch.setattr(bob, "deliver", lambda *_: late.append(scene.enter("carla")))
        scene.post(ana, kind="leave")
        await scene.answered(stored(1))
        assert [carla.lately() for carla in late] == [[("parted", "carla"), ("left", 1)]]
        assert set(scene.actor.readers) == {ana, bob}


async def test_a_change_that_is_read_is_told_no_other_node() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        carla = scene.here("carla")
        scene.members("ana", "carla")
        scene.store(1, 3)
        scene.store(2, kind="join")
        await scene.stands(3)
        assert ana.lately() == [1, 2, ("met", "carla"), 3]
        assert carla.lately() == [("entered", 2, ["ana", "carla"]), 3]
        assert scene.relay.told == []


async def test_settings_are_shown_as_they_are_now_after_the_event() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        for meta in (encode_meta({"title": "title"}), None):
            scene.store(scene.actor.head + 1, kind="change", meta=meta)
            await scene.stands(scene.actor.head + 1)
            seq, shown = bob.lately()
            assert ana.lately() == [seq, shown]
            assert isinstance(shown, Conv)
            assert (shown.head, shown.changed, shown.details) == (seq, True, None)
            assert (shown.title, shown.members) == ("title", ["ana", "bob"])
        assert scene.relay.told == []
        assert scene.actor.changed_at == 0  # the members are the same


async def test_another_role_is_shown_with_the_member_it_is_of() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, _)):
        for user, details in (("bob", {"bob": Member(role="member", recv=0, read=0)}), ("eve", {})):
            scene.store(
                scene.actor.head + 1,
                kind="change",
                meta=encode_meta({"user": user, "role": "member"}),
            )
            await scene.stands(scene.actor.head + 1)
            _, shown = ana.lately()
            assert (cast("Conv", shown).details or {}) == details


async def test_other_nodes_are_told_that_own_settings_have_changed() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.post(ana, kind="change")
        await scene.answered(stored(1))
        assert ana.lately()[0] == ("sent", 1)
        assert scene.relay.told == [(1, None, False)]


async def test_a_member_event_without_a_member_is_a_fault() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.store(1, kind="join", body=None)
        scene.expected = [f"event 1 of {scene.id} names no member"]
        await scene.stands(1)
        assert ana.lately() == ["closed"]


async def test_what_was_told_before_a_change_is_told_again_after_it(
    autojump_clock: MockClock,
) -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.members("ana", "carla")
        scene.post(ana)
        await scene.answered(stored(2))
        assert scene.relay.told == [[2]]
        scene.store(1, kind="join")
        await scene.stands(1)
        assert ana.lately() == [1, ("met", "carla"), ("sent", 2)]
        assert scene.relay.told == [[2], [2]]  # carla may be on a node that was not told
