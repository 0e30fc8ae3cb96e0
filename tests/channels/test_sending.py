"""Sending what is due, and what becomes of each class of error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from chat4all_actors.channels.breaker import BreakerSettings
from chat4all_actors.channels.calling import Template
from chat4all_actors.conversation import appends
from chat4all_connectors.errors import (
    Misconfigured,
    Refused,
    SendError,
    Throttled,
    Transient,
    UnknownOutcome,
    Unreachable,
)
from chat4all_connectors.loopback.settings import LoopbackSettings
from chat4all_connectors.loopback.stage import Fault
from chat4all_protocol.frames import TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import InDoubt, Unavailable
from tests.channels.scene import BEA, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from chat4all_storage.ports.files import File


async def test_what_is_said_is_sent_once_and_in_order(autojump_clock: MockClock) -> None:
    scene, first = await Scene.where_was_said("one")
    second = await scene.say("two")
    await scene.route()
    async with scene.sending() as sending:
        await trio.sleep(5)
        assert sending.statistics().sent == 2
    assert scene.texts() == ["one", "two"]
    assert await scene.states(first) == await scene.states(second) == ["sent"]


async def test_a_long_text_goes_in_parts_in_order(autojump_clock: MockClock) -> None:
    scene, seq = await Scene.where_was_said("word " * 2000)
    await scene.say("after")
    await scene.route()
    async with scene.sending():
        await trio.sleep(60)
    assert await scene.states(seq) == ["sent"] * 3
    assert scene.texts()[-1] == "after"
    words = " ".join(scene.texts()[:-1]).split()
    assert (len(words), set(words)) == (2000, {"word"})


async def test_in_a_group_the_author_is_named(autojump_clock: MockClock) -> None:
    scene = await Scene().set("group")
    await scene.say("hello")
    await scene.route()
    async with scene.sending():
        await trio.sleep(1)
    assert scene.texts() == ["alice: hello"]


async def test_an_edit_and_a_deletion_follow_what_was_sent(autojump_clock: MockClock) -> None:
    scene, seq = await Scene.where_was_said("helo")
    async with scene.sending():
        await trio.sleep(1)
        edit = appends.edit(scene.conversation, "alice", new_id(), seq, TextBody("hello"))
        await scene.stored(edit)
        await scene.route()
        await trio.sleep(2)
        assert [(line.text, line.edited) for line in scene.lines()] == [("hello", True)]
        await scene.stored(appends.delete(scene.conversation, "alice", new_id(), seq))
        await scene.route()
        await trio.sleep(2)
    assert scene.lines() == []


async def test_an_answer_quotes_what_the_chat_has_seen(autojump_clock: MockClock) -> None:
    scene, seq = await Scene.where_was_said("lunch?")
    async with scene.sending():
        await trio.sleep(1)
        await scene.say("at noon", reply_to=seq)
        await scene.route()
        await trio.sleep(2)
    question, answer = scene.lines()
    assert answer.reply_to == question.id


async def test_a_passing_failure_is_tried_again(autojump_clock: MockClock) -> None:
    scene, seq = await Scene.where_was_said()
    scene.stage.faults.extend([Fault(Transient("down"))] * 3)
    async with scene.sending():
        await trio.sleep(10)
    assert scene.texts() == ["hello"]
    assert await scene.states(seq) == ["sent"]


async def test_one_that_does_not_pass_makes_a_dead_letter_and_lets_the_next_one_go(
    autojump_clock: MockClock,
) -> None:
    scene, seq = await Scene.where_was_said()
    await scene.say("next")
    await scene.route()
    scene.stage.faults.extend([Fault(Transient("down", code="503"))] * 5)
    async with scene.sending(breaker=BreakerSettings(failures=100, pause=30)) as sending:
        await trio.sleep(60)
        assert sending.statistics().failed == 1
    assert await scene.states(seq) == ["failed"]
    (progress,) = await scene.stores.deliveries.progress(scene.conversation, seq)
    assert progress.reason == "down (503)"
    assert progress.attempts == 5
    assert scene.texts() == ["next"]


async def test_who_is_throttled_waits_as_long_as_told_and_no_attempt_is_counted(
    autojump_clock: MockClock,
) -> None:
    scene, seq = await Scene.where_was_said()
    scene.stage.faults.append(Fault(Throttled("slow", retry_after=100, scope="chat")))
    async with scene.sending():
        await trio.sleep(99)
        assert scene.texts() == []
        await trio.sleep(3)
    assert scene.texts() == ["hello"]
    (progress,) = await scene.stores.deliveries.progress(scene.conversation, seq)
    assert progress.attempts == 0


@pytest.mark.parametrize("error", [Refused("no"), Unreachable("blocked")])
async def test_what_nothing_mends_fails_at_once_and_the_next_one_goes(
    error: SendError, autojump_clock: MockClock
) -> None:
    scene, seq = await Scene.where_was_said()
    await scene.say("next")
    await scene.route()
    scene.stage.faults.append(Fault(error))
    async with scene.sending():
        await trio.sleep(5)
    assert await scene.states(seq) == ["failed"]
    assert scene.texts() == ["next"]


async def test_who_cannot_be_reached_is_marked_so(autojump_clock: MockClock) -> None:
    scene, _ = await Scene.where_was_said()
    scene.stage.faults.append(Fault(Unreachable("blocked")))
    async with scene.sending():
        await trio.sleep(2)
    contacts = await scene.stores.contacts.contacts([BEA])
    assert not contacts[BEA].reachable


@pytest.mark.parametrize("acted", [False, True])
async def test_what_may_have_been_sent_is_unknown_and_never_sent_again(
    acted: bool, autojump_clock: MockClock
) -> None:
    scene, seq = await Scene.where_was_said()
    await scene.say("next")
    await scene.route()
    scene.stage.faults.append(Fault(UnknownOutcome("no answer"), acted=acted))
    async with scene.sending() as sending:
        await trio.sleep(60)
        assert sending.statistics().unknown == 1
    assert await scene.states(seq) == ["unknown"]
    assert scene.texts() == (["hello", "next"] if acted else ["next"])


async def test_an_account_that_cannot_be_used_keeps_its_backlog_until_it_can(
    autojump_clock: MockClock,
) -> None:
    scene, seq = await Scene.where_was_said()
    scene.stage.faults.append(Fault(Misconfigured("token")))
    async with scene.sending() as sending:
        await trio.sleep(600)
        assert scene.unusable == ["token"]
        assert await scene.states(seq) == ["queued"]
        sending.resume()
        await trio.sleep(2)
    assert scene.texts() == ["hello"]


async def test_an_open_breaker_leaves_the_provider_alone(autojump_clock: MockClock) -> None:
    scene, _ = await Scene.where_was_said()
    scene.stage.faults.extend([Fault(Transient("down"))] * 2)
    async with scene.sending(breaker=BreakerSettings(failures=2, pause=300)):
        await trio.sleep(299)
        assert scene.texts() == []
        await trio.sleep(5)
    assert scene.texts() == ["hello"]


async def test_outside_the_window_a_template_goes_if_there_is_one(
    autojump_clock: MockClock,
) -> None:
    scene = await Scene(LoopbackSettings(window=60)).set()
    await scene.say("hello")
    await scene.route()
    async with scene.sending(template=Template("hello", "en")):
        await trio.sleep(2)
    assert scene.texts() == ["[hello en]"]


async def test_and_else_it_has_failed(autojump_clock: MockClock) -> None:
    scene = await Scene(LoopbackSettings(window=60)).set()
    seq = await scene.say("hello")
    await scene.route()
    async with scene.sending():
        await trio.sleep(2)
    assert await scene.states(seq) == ["failed"]


async def test_a_chat_that_has_moved_is_sent_to_where_it_is_now(
    autojump_clock: MockClock,
) -> None:
    scene, seq = await Scene.where_was_said()
    scene.stage.move("bea", "bea-now")
    async with scene.sending():
        await trio.sleep(5)
    assert [line.text for line in scene.stage.chat("bea-now").lines] == ["hello"]
    assert await scene.states(seq) == ["sent"]
    contacts = await scene.stores.contacts.contacts([BEA])
    assert contacts[BEA].chat == "bea-now"


async def test_all_parts_of_a_long_text_are_replaced_and_taken_back(
    autojump_clock: MockClock,
) -> None:
    scene, seq = await Scene.where_was_said("a" * 9000)
    async with scene.sending():
        await trio.sleep(5)
        body = TextBody("b" * 9000)
        await scene.stored(appends.edit(scene.conversation, "alice", new_id(), seq, body))
        await scene.route()
        await trio.sleep(10)
        assert [(len(text), set(text)) for text in scene.texts()] == [
            (4096, {"b"}),
            (4096, {"b"}),
            (808, {"b"}),
        ]
        await scene.stored(appends.delete(scene.conversation, "alice", new_id(), seq))
        await scene.route()
        await trio.sleep(10)
    assert scene.lines() == []


async def test_an_edit_that_puts_another_file_in_place_is_said_anew(
    autojump_clock: MockClock,
) -> None:
    scene = await Scene().set()
    first, second = await scene.file("one.png"), await scene.file("two.png")
    seq = await scene.stored(appends.message(scene.conversation, "alice", new_id(), first))
    await scene.route()
    async with scene.sending():
        await trio.sleep(2)
        await scene.stored(appends.edit(scene.conversation, "alice", new_id(), seq, second))
        await scene.route()
        await trio.sleep(5)
    names = [line.file.name for line in scene.lines() if line.file is not None]
    assert names == ["one.png", "two.png"]


async def test_a_file_goes_with_its_bytes(autojump_clock: MockClock) -> None:
    scene = await Scene().set()
    body = await scene.file("cat.png", b"the bytes")
    await scene.stored(appends.message(scene.conversation, "alice", new_id(), body))
    await scene.route()
    async with scene.sending():
        await trio.sleep(2)
    (line,) = scene.lines()
    assert line.file is not None
    assert scene.stage.files.get(line.file.ref) == b"the bytes"


async def test_a_file_store_that_is_away_keeps_the_message_waiting_and_fails_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await Scene().set()
    seq = await scene.stored(
        appends.message(scene.conversation, "alice", new_id(), await scene.file("cat.png"))
    )
    await scene.route()

    async def away(id_: str) -> File | None:
        raise Unavailable("away")

    async with scene.sending() as sending:
        with monkeypatch.context() as patch:
            patch.setattr(scene.storage.files, "find", away)
            await trio.sleep(100)
            assert await scene.states(seq) == ["queued"]
        await trio.sleep(5)
        assert (sending.statistics().sent, sending.statistics().failed) == (1, 0)


async def test_what_was_sent_is_noted_however_long_the_store_is_away(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, seq = await Scene.where_was_said()

    async def away(*_: object) -> None:
        raise Unavailable("away")

    async with scene.sending():
        with monkeypatch.context() as patch:
            patch.setattr(scene.stores.deliveries, "finish", away)
            await trio.sleep(100)
            assert await scene.states(seq) == ["sending"]
        await trio.sleep(2)
        assert await scene.states(seq) == ["sent"]
    assert scene.texts() == ["hello"]


async def test_what_may_have_been_begun_unheard_is_sent_once_the_store_answers(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, seq = await Scene.where_was_said()
    begin = scene.stores.deliveries.begin

    async def in_doubt(holder: str, account: str, ids: Sequence[int]) -> set[int]:
        await begin(holder, account, ids)
        raise InDoubt("the connection broke")

    async with scene.sending():
        with monkeypatch.context() as patch:
            patch.setattr(scene.stores.deliveries, "begin", in_doubt)
            await trio.sleep(3)
        await trio.sleep(3)
        assert await scene.states(seq) == ["sent"]
    assert scene.texts() == ["hello"]


async def test_one_chat_that_waits_keeps_no_other_waiting(autojump_clock: MockClock) -> None:
    scene, _ = await Scene.where_was_said()
    other = await Scene.beside(scene, "carl")
    await other.say("hi")
    await other.route()
    scene.stage.faults.append(Fault(Throttled("slow", retry_after=1000, scope="chat")))
    async with scene.sending():
        await trio.sleep(10)
    others = [line.text for line in scene.stage.chat("carl").lines]
    assert scene.texts() + others in (["hello"], ["hi"])  # either met the fault


async def test_nothing_that_people_wrote_and_no_address_is_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    scene, _ = await Scene.where_was_said("a secret of ours")
    scene.stage.faults.extend([Fault(Transient("down")), Fault(Unreachable("blocked"))])
    async with scene.sending():
        await trio.sleep(10)
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("chat4all_actors")]
    assert ours
    assert not any(word in line for line in ours for word in ("secret", "bea", BEA))
