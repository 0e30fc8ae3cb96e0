"""What people on a channel react with is seen here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_connectors.incoming import Contact, Reacted
from chat4all_protocol.frames import Msg, Send, TextBody
from chat4all_protocol.ids import new_id

from .world import ACCOUNT, BEA, world

if TYPE_CHECKING:
    from trio.testing import MockClock


def seen(events: list[Msg]) -> list[tuple[str, int | None, object, str | None]]:
    return [
        (event.from_, event.target, event.meta, event.channel)
        for event in events
        if event.kind == "react"
    ]


def meta(emoji: str, *, on: bool) -> dict[str, object]:
    return {"emoji": emoji, "on": on}


async def test_another_reaction_takes_the_place_of_the_one_before(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        conversation = await there.with_bea()
        ana = await there.person("ana")
        await ana.say(Send(rid=1, conv=conversation, id=new_id(), body=TextBody("lunch?")))
        await there.soon()
        line = there.stage.lines("bea")[0]
        for emoji in ("👍", "🎉", None):
            there.stage.react("bea", line.id, emoji)
            await there.soon()
        assert seen(ana.outlet.of(Msg)) == [
            (BEA, 1, meta("👍", on=True), ACCOUNT),
            (BEA, 1, meta("👍", on=False), ACCOUNT),
            (BEA, 1, meta("🎉", on=True), ACCOUNT),
            (BEA, 1, meta("🎉", on=False), ACCOUNT),
        ]
        assert await there.pending() == 0


async def test_one_that_is_told_again_changes_nothing(autojump_clock: MockClock) -> None:
    async with world() as there:
        await there.with_bea()
        ana = await there.person("ana")
        message = there.stage.say("bea", "hello")
        await there.soon()
        for key in ("one", "other"):
            there.stage.tell(
                Reacted(
                    key=key,
                    chat="bea",
                    sender=Contact(id="bea"),
                    message=message,
                    at=0,
                    emoji="👍",
                )
            )
            await there.soon()
        assert seen(ana.outlet.of(Msg)) == [(BEA, 1, meta("👍", on=True), ACCOUNT)]


async def test_what_is_no_emoji_is_put_aside_and_the_others_go_on(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        await there.with_bea()
        ana = await there.person("ana")
        message = there.stage.say("bea", "hello")
        await there.soon()
        for emoji in ("x" * 33, "👍"):
            there.stage.react("bea", message, emoji)
            await there.soon()
        assert seen(ana.outlet.of(Msg)) == [(BEA, 1, meta("👍", on=True), ACCOUNT)]
        assert await there.pending() == 0


async def test_in_a_group_there_what_each_puts_is_added(autojump_clock: MockClock) -> None:
    async with world(inbox=("ana",)) as there:
        ana = await there.person("ana")
        there.stage.person("cem", "Cem")
        there.stage.group("club", "The club", ["bea", "cem"])
        message = there.stage.say("bea", "lunch?", chat="club")
        await there.soon()
        for person, emoji in (("bea", "👍"), ("cem", "🎉"), ("cem", None)):
            there.stage.react(person, message, emoji, chat="club")
            await there.soon()
        assert [each[2] for each in seen(ana.outlet.of(Msg))] == [
            meta("👍", on=True),
            meta("🎉", on=True),
        ]
