"""What people do on a channel becomes a part of conversations here, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.channels import receiving
from chat4all_actors.channels.arrivals import CUT
from chat4all_actors.conversation import appends
from chat4all_connectors.errors import Refused, Transient
from chat4all_connectors.incoming import AccountNotice, Contact, Deleted, Edited, Received
from chat4all_protocol.codec import decode_body
from chat4all_protocol.frames import FileBody, Msg, Send, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.contacts import Link
from chat4all_storage.ports.events import Rules
from tests.actors.harness import memory_with_users

from .world import ACCOUNT, BEA, receipts, said, until, world

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from chat4all_connectors.incoming import Media
    from chat4all_connectors.loopback.connector import Loopback


PDF = b"%PDF-1.7 a little one"


async def test_what_a_person_writes_is_told_in_their_conversation(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        conversation = await there.with_bea()
        ana = await there.person("ana")
        there.stage.say("bea", "hello")
        await there.soon()
        assert said(ana) == [(BEA, "hello")]
        (frame,) = ana.outlet.of(Msg)
        assert (frame.conv, frame.channel) == (conversation, ACCOUNT)
        assert await there.pending() == 0


async def test_a_new_person_gets_to_the_one_who_looks_after_the_inbox(
    autojump_clock: MockClock,
) -> None:
    async with world(inbox=("ana",)) as there:
        ana = await there.person("ana")
        there.stage.say("bea", "hello")
        there.stage.say("bea", "anybody?")
        await there.soon()
        assert said(ana) == [(BEA, "hello"), (BEA, "anybody?")]
        first, second = ana.outlet.of(Msg)
        stored = await there.storage.shards.conversation(first.conv)
        assert stored is not None
        assert (stored.type, set(stored.members)) == ("private", {"ana", BEA})
        assert second.conv == first.conv


async def test_several_who_look_after_the_inbox_share_a_group_for_each_person(
    autojump_clock: MockClock,
) -> None:
    async with world(inbox=("ana", "bob")) as there:
        ana, bob = await there.person("ana"), await there.person("bob")
        there.stage.say("bea", "hello")
        there.stage.person("cem", "Cem")
        there.stage.say("cem", "hi")
        await there.soon()
        assert sorted(said(ana)) == sorted(said(bob)) == [(BEA, "hello"), ("loopback:cem", "hi")]
        first, second = ana.outlet.of(Msg)
        assert first.conv != second.conv
        stored = await there.storage.shards.conversation(first.conv)
        assert stored is not None
        assert stored.title in ("Bea", "Cem")
        assert stored.members["ana"].role == "owner"


async def test_without_an_inbox_what_a_new_person_writes_is_put_aside(
    autojump_clock: MockClock,
) -> None:
    async with world(inbox=()) as there:
        there.stage.say("bea", "hello")
        await there.soon()
        assert await there.pending() == 0
        assert await there.stores.accounts.put_back(ACCOUNT, SHELL) == 1


async def test_an_inbox_of_nobody_who_exists_is_put_aside(autojump_clock: MockClock) -> None:
    async with world(inbox=("zoe",)) as there:
        there.stage.say("bea", "hello")
        await there.soon()
        assert await there.stores.accounts.put_back(ACCOUNT, SHELL) == 1


async def test_an_answer_goes_where_what_it_quotes_is(autojump_clock: MockClock) -> None:
    async with world() as there:
        first, second = await there.with_bea("group"), await there.with_bea("group")
        ana = await there.person("ana")
        await ana.say(Send(rid=1, conv=first, id=new_id(), body=TextBody("in the first")))
        await there.soon()
        await ana.say(Send(rid=2, conv=second, id=new_id(), body=TextBody("in the second")))
        await there.soon()
        quoted = there.stage.lines("bea")[0]
        there.stage.say("bea", "to the first", reply_to=quoted.id)
        there.stage.say("bea", "and there again")
        await there.soon()
        answer, after = ana.outlet.of(Msg)
        assert (answer.conv, answer.reply_to) == (first, 1)
        assert (after.conv, after.reply_to) == (first, None)


async def test_who_has_left_a_conversation_gets_to_the_inbox(autojump_clock: MockClock) -> None:
    async with world(inbox=("bob",)) as there:
        conversation = await there.with_bea("group")
        bob = await there.person("bob")
        leave = appends.leave(conversation, "ana", new_id(), BEA)
        await there.storage.shards.all[0].commit([leave], [])
        there.stage.say("bea", "hello")
        await there.soon()
        assert said(bob) == [(BEA, "hello")]
        assert len(await there.events(conversation)) == 1


async def test_in_a_group_there_the_person_is_named(autojump_clock: MockClock) -> None:
    async with world() as there:
        ana = await there.person("ana")
        there.stage.person("cem", "Cem")
        there.stage.group("club", "The club", ["bea", "cem"])
        there.stage.say("cem", "hello all", chat="club")
        await there.soon()
        assert said(ana) == [("loopback:club", "Cem: hello all")]
        assert (await there.contact("loopback:club")).name == "The club"


async def test_what_can_not_be_carried_over_is_told_in_words(autojump_clock: MockClock) -> None:
    async with world() as there:
        ana = await there.person("ana")
        event = Received(
            key="k1",
            chat="bea",
            sender=Contact(id="bea", name="Bea"),
            message="m1",
            at=0,
            note="a location: -23.5, -46.6",
        )
        there.stage.tell(event)
        await there.soon()
        assert said(ana) == [(BEA, "[a location: -23.5, -46.6]")]


async def test_a_text_that_is_too_long_comes_in_parts(autojump_clock: MockClock) -> None:
    async with world(max_text=20) as there:
        ana = await there.person("ana")
        there.stage.say("bea", "one two three four five six seven eight")
        await there.soon()
        parts = [text for _, text in said(ana)]
        assert len(parts) > 1
        assert " ".join(parts) == "one two three four five six seven eight"


async def test_a_file_comes_with_its_text() -> None:
    async with world() as there:
        ana = await there.person("ana")
        there.stage.send(
            "bea", PDF, kind="document", mime="application/pdf", name="a.pdf", caption="look"
        )
        await until(lambda: bool(said(ana)))
        (frame,) = ana.outlet.of(Msg)
        assert isinstance(frame.body, FileBody)
        assert (frame.body.text, frame.body.name, frame.body.mime) == (
            "look",
            "a.pdf",
            "application/pdf",
        )
        file = await there.storage.files.find(frame.body.file_id)
        assert file is not None
        assert (file.owner, file.state) == (BEA, "ready")


class NoFiles:
    """A loopback whose files can't be had."""

    def __init__(self, real: Loopback, error: Exception) -> None:
        self._real = real
        self._error = error
        self.asked = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def download(self, media: Media) -> AsyncGenerator[bytes, None]:
        self.asked += 1
        raise self._error


@pytest.mark.parametrize(("error", "asked"), [(Refused("gone"), 1), (Transient("later"), 5)])
async def test_a_file_that_can_not_be_had_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, error: Exception, asked: int
) -> None:
    monkeypatch.setattr(receiving, "DELAYS", (0.0,))
    made: list[NoFiles] = []

    def without(real: Loopback) -> NoFiles:
        made.append(NoFiles(real, error))
        return made[0]

    async with world(connector=without) as there:  # type: ignore[arg-type]
        ana = await there.person("ana")
        there.stage.send(
            "bea", PDF, kind="document", mime="application/pdf", name="a.pdf", caption="look"
        )
        there.stage.say("bea", "and then")
        await until(lambda: len(said(ana)) == 2)
        (_, first), (_, second) = said(ana)
        assert first.startswith("look\n[a file, a.pdf")
        assert second == "and then"
        assert made[0].asked == asked


# --- changes


async def test_an_edit_is_one_here(autojump_clock: MockClock) -> None:
    async with world() as there:
        conversation = await there.with_bea()
        ana = await there.person("ana")
        message = there.stage.say("bea", "helo")
        await there.soon()
        there.stage.edit("bea", message, "hello")
        await there.soon()
        edit = ana.outlet.of(Msg)[-1]
        assert (edit.kind, edit.target, edit.from_) == ("edit", 1, BEA)
        (first, _) = await there.events(conversation)
        assert first.body is not None
        assert decode_body(first.body) == TextBody("hello")


async def test_an_edit_of_a_file_s_text_keeps_the_file() -> None:
    async with world() as there:
        conversation = await there.with_bea()
        ana = await there.person("ana")
        line = there.stage.send(
            "bea", PDF, kind="document", mime="application/pdf", name="a.pdf", caption="lok"
        )
        there.stage.edit("bea", line, "look")
        await until(lambda: len(said(ana)) == 2)
        (first, _) = await there.events(conversation)
        assert first.body is not None
        body = decode_body(first.body)
        assert isinstance(body, FileBody)
        assert (body.text, body.name) == ("look", "a.pdf")


async def test_what_is_edited_too_late_is_said_anew(autojump_clock: MockClock) -> None:
    storage = await memory_with_users(Rules(edit_window=10.0, delete_window=10.0))
    async with world(storage=storage) as there:
        conversation = await there.with_bea()
        message = there.stage.say("bea", "helo")
        await trio.sleep(60)
        there.stage.edit("bea", message, "hello")
        await there.soon()
        there.stage.delete("bea", message)
        await there.soon()
        (_, edit, deletion) = await there.events(conversation)
        for event, words in ((edit, "Edited: hello"), (deletion, "[deleted this on loopback]")):
            assert (event.kind, event.sender, event.reply_to) == ("message", BEA, 1)
            assert event.body is not None
            assert decode_body(event.body) == TextBody(words)


async def test_a_long_edit_is_shortened_where_people_see_it(autojump_clock: MockClock) -> None:
    async with world(max_text=40) as there:
        conversation = await there.with_bea()
        message = there.stage.say("bea", "short")
        await there.soon()
        there.stage.edit("bea", message, "word " * 20)
        await there.soon()
        (first, _) = await there.events(conversation)
        assert first.body is not None
        body = decode_body(first.body)
        assert isinstance(body, TextBody)
        assert body.text.endswith(CUT)
        assert len(body.text) <= 40


async def test_a_deletion_is_one_here(autojump_clock: MockClock) -> None:
    async with world() as there:
        conversation = await there.with_bea()
        message = there.stage.say("bea", "oops")
        await there.soon()
        there.stage.delete("bea", message)
        await there.soon()
        (first, second) = await there.events(conversation)
        assert first.deleted
        assert (second.kind, second.sender) == ("delete", BEA)


async def test_nobody_there_changes_what_was_written_here(autojump_clock: MockClock) -> None:
    async with world() as there:
        conversation = await there.with_bea()
        ana = await there.person("ana")
        await ana.say(Send(rid=1, conv=conversation, id=new_id(), body=TextBody("mine")))
        await there.soon()
        ours = there.stage.lines("bea")[0]
        bea = Contact(id="bea")
        there.stage.tell(Edited(key="e", chat="bea", sender=bea, message=ours.id, at=0, text="x"))
        there.stage.tell(Deleted(key="d", chat="bea", message=ours.id, at=0))
        await there.soon()
        assert len(await there.events(conversation)) == 1
        assert await there.pending() == 0


# --- news of people


async def test_whether_a_person_takes_messages_is_noted(autojump_clock: MockClock) -> None:
    async with world() as there:
        await there.with_bea()
        there.stage.block("bea")
        await there.soon()
        assert not (await there.contact()).reachable
        there.stage.chat("bea").blocked = False
        there.stage.say("bea", "I am back")
        await there.soon()
        assert (await there.contact()).reachable


async def test_a_chat_that_moves_keeps_its_conversation(autojump_clock: MockClock) -> None:
    async with world() as there:
        ana = await there.person("ana")
        there.stage.group("club", "The club", ["bea"])
        there.stage.say("bea", "before", chat="club")
        await there.soon()
        there.stage.move("club", "club2")
        there.stage.say("bea", "after", chat="club2")
        await there.soon()
        before, after = ana.outlet.of(Msg)
        assert (after.conv, after.from_) == (before.conv, before.from_)


async def test_news_of_the_account_are_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world() as there:
        there.stage.tell(AccountNotice(key="n", at=0, severity="warning", text="mind the limit"))
        await there.soon()
        assert "account loopback: mind the limit" in caplog.text


# --- a user who is linked


async def test_what_a_linked_user_writes_there_is_theirs(autojump_clock: MockClock) -> None:
    async with world() as there:
        ana, bob = await there.person("ana"), await there.person("bob")
        id_ = new_id()
        await there.storage.shards.create(
            id_, "private", None, "ana", dict.fromkeys(("ana", "bob"), "member")
        )
        contacts = there.stores.contacts
        there.stage.say("bea", "hi")
        await there.soon()
        link = Link("bob", ACCOUNT, BEA, "bea", None)
        await contacts.ask_link(link, code_hash=b"h", expires_at=2**60)
        assert await contacts.verify_link("bob", ACCOUNT, b"h", SHELL, now=1, tries=3) is not None
        await ana.say(Send(rid=1, conv=id_, id=new_id(), body=TextBody("?"), channels=None))
        await contacts.note_conversations([(ACCOUNT, "bea", id_)])
        there.stage.say("bea", "it is me")
        await there.soon()
        assert said(ana)[-1] == ("bob", "it is me")
        assert said(bob)[-1] == ("bob", "it is me")


# --- receipts


async def test_receipts_become_watermarks_that_others_see(autojump_clock: MockClock) -> None:
    async with world() as there:
        conversation = await there.with_bea()
        ana = await there.person("ana")
        await ana.say(Send(rid=1, conv=conversation, id=new_id(), body=TextBody("hello")))
        await there.soon()
        assert receipts(ana)[-1] == (BEA, 1, 0)
        (progress,) = await there.progress(conversation, 1)
        assert progress.state == "delivered"
        there.stage.read("bea")
        await there.soon()
        assert receipts(ana)[-1] == (BEA, 1, 1)
        (progress,) = await there.progress(conversation, 1)
        assert progress.state == "read"
        assert await there.pending() == 0
