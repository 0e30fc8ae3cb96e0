"""What two nodes store in one conversation at once crosses on its way between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from chat4all_actors.conversation.actor import EARLY_WAIT
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import Msg, Sent

from ..actors.harness import Person, person
from .two_nodes import Two, begun, heard, text, two_nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest
    from trio.testing import MockClock

    from chat4all_storage.ports.events import Append, CommitResult, Mark, StoredEvent
    from chat4all_storage.ports.shard import Range


async def test_an_own_message_that_the_journal_tells_first_is_answered_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(ana, "bob")
        two.bus.down = True
        await trio.sleep(3)
        store = two.storage.shards.all[0]
        commit = store.commit

        async def answer_late(appends: Sequence[Append], marks: Sequence[Mark]) -> CommitResult:
            result = await commit(appends, marks)
            await trio.sleep(2)
            return result

        monkeypatch.setattr(store, "commit", answer_late)
        await ana.say(text(conv))
        await trio.sleep(1)
        assert ana.outlet.of(Msg) == []
        assert ana.outlet.of(Sent) == []
        assert heard(bob) == [(1, "hello")]
        await trio.sleep(2)
        assert ana.outlet.of(Msg) == []
        assert [(sent.seq, sent.dup) for sent in ana.outlet.of(Sent)] == [(1, False)]


class Held:
    """What the other node tells the first one is held back until it is let go."""

    def __init__(self, two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bus, self._to = two.bus, two.one.backbone.name
        self._append = two.bus.append
        self._entries: list[tuple[str, bytes]] = []
        self.reads = 0
        """Of events, from the store."""
        store = two.storage.shards.all[0]
        history = store.history

        async def counted(ranges: Sequence[Range]) -> list[list[StoredEvent]]:
            self.reads += 1
            return await history(ranges)

        monkeypatch.setattr(store, "history", counted)
        monkeypatch.setattr(two.bus, "append", self._hold)

    async def _hold(self, entries: Sequence[tuple[str, bytes]]) -> None:
        self._entries += [each for each in entries if each[0] == self._to]
        await self._append([each for each in entries if each[0] != self._to])

    async def let_go(self) -> None:
        entries, self._entries = self._entries, []
        await self._append(entries)
        await trio.testing.wait_all_tasks_blocked()


class Crossed(Struct):
    """Bob's message was stored before ana's, and her node has heard nothing of it."""

    ana: Person
    bob: Person
    conv: str
    held: Held


async def crossed(two: Two, monkeypatch: pytest.MonkeyPatch) -> Crossed:
    ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
    conv = await begun(ana, "bob")
    held = Held(two, monkeypatch)
    await bob.say(text(conv, "first"))
    await ana.say(text(conv, "second"))
    assert ana.outlet.of(Sent) == []
    assert heard(bob) == [(2, "second")]  # nobody else waits for that
    return Crossed(ana, bob, conv, held)


async def test_an_own_message_waits_for_what_another_node_stored_before_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_nodes() as two:
        that = await crossed(two, monkeypatch)
        await that.ana.say(text(that.conv, "third"))
        assert that.ana.outlet.of(Sent) == []
        await that.held.let_go()
        assert heard(that.ana) == [(1, "first")]
        assert [sent.seq for sent in that.ana.outlet.of(Sent)] == [2, 3]
        assert [type(frame) for frame in that.ana.outlet.taken[-3:]] == [Msg, Sent, Sent]
        assert that.held.reads == 0
        assert heard(that.bob) == [(2, "second"), (3, "third")]


async def test_what_does_not_come_from_the_other_node_in_time_is_read(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_nodes() as two:
        that = await crossed(two, monkeypatch)
        await trio.sleep(EARLY_WAIT)
        await trio.testing.wait_all_tasks_blocked()
        assert [type(frame) for frame in that.ana.outlet.taken[-2:]] == [Msg, Sent]
        assert that.held.reads == 1
        await that.held.let_go()
        assert heard(that.ana) == [(1, "first")]


async def test_who_waits_for_another_node_is_told_when_the_conversation_ends(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_nodes() as two:
        that = await crossed(two, monkeypatch)
        conversations = two.one.conversations
        actor = conversations.get(that.conv)
        assert actor is not None
        with conversations.heads.reading():
            actor.stop()
            assert conversations.heads.of(that.conv) == 2
        assert that.ana.outlet.of(Sent) == []
        assert that.ana.outlet.closed is not None
        assert that.ana.outlet.closed[0] == CloseCode.INTERNAL


async def test_a_retry_of_what_waits_is_answered_after_what_comes_before_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_nodes() as two:
        phone, bob = await person(two.one, "ana"), await person(two.other, "bob")
        laptop = await person(two.one, "ana", "laptop")
        conv = await begun(phone, "bob")
        held = Held(two, monkeypatch)
        await bob.say(text(conv, "first"))
        await phone.say(text(conv, "second"))
        await phone.say(again := text(conv, "third"))
        await laptop.say(again)
        await held.let_go()
        assert heard(laptop) == [(1, "first"), (2, "second"), (3, "third")]
        answer = laptop.outlet.taken[-1]
        assert isinstance(answer, Sent)
        assert (answer.seq, answer.dup) == (3, True)
