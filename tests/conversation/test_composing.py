"""Who is shown composing, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_actors.conversation.composing import INTERVAL, TTL_MS, Composers, show
from chat4all_actors.messages import Compose
from chat4all_protocol.frames import Composing

from .scene import Session, scene_of

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_a_user_is_shown_again_only_after_the_interval(mock_clock: MockClock) -> None:
    async with scene_of("ana", "bob", type_="private") as (scene, (ana, bob)):
        composers = Composers(scene.actor)

        def shown(session: Session) -> bool:
            assert composers.compose(Compose(session, "text"))
            return bool(ana.lately() + bob.lately())

        assert shown(ana)
        assert not shown(ana)
        assert shown(bob)
        mock_clock.jump(INTERVAL)
        assert shown(ana)


async def test_who_does_not_read_it_composes_nothing(mock_clock: MockClock) -> None:
    async with scene_of("ana", type_="private") as (scene, (ana,)):
        assert not Composers(scene.actor).compose(Compose(Session("eve"), "text"))
        assert ana.lately() == []


def test_everybody_is_shown_it_but_the_user() -> None:
    sessions = [Session("ana"), Session("bob"), Session("ana", "laptop"), Session("carla")]
    show("room", sessions, "ana", "voice")
    shown = Composing(conv="room", user="ana", kind="voice", ttl=TTL_MS)
    assert [session.lately() for session in sessions] == [[], [shown], [], [shown]]
