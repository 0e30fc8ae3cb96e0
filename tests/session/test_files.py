"""Messages with a file, and how far a file has come, in a live session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec.structs import replace

from chat4all_protocol.codec import encode
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import (
    AskFile,
    Conv,
    Create,
    Delete,
    Edit,
    Error,
    FileBody,
    FileProgress,
    Msg,
    Send,
    Sent,
    TextBody,
)
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import InDoubt, Unavailable

from ..actors.fake_files import FakeFiles, picture
from ..actors.harness import person, running_node

if TYPE_CHECKING:
    from trio.testing import MockClock

    from ..actors.harness import Person

PICTURE = picture()
BODY = FileBody(PICTURE.id, "look")
WHOLE = replace(BODY, name="plan.png", size=9, mime="image/png", width=3, height=2, thumbnail=True)
LIES = replace(BODY, name="other", size=1, mime="text/html", width=9, height=9)


async def begun(ana: Person, *members: str) -> str:
    await ana.say(Create(rid=1, type="group", members=list(members), title="t"))
    return ana.outlet.of(Conv)[-1].conv


def errors(someone: Person) -> list[tuple[int | None, str, str | None, bool]]:
    return [(e.rid, e.code, e.field, e.temporary) for e in someone.outlet.of(Error)]


def send(conv: str, rid: int = 1, body: FileBody = BODY) -> Send:
    return Send(rid=rid, conv=conv, id=new_id(), body=body)


@pytest.mark.parametrize("body", [BODY, LIES], ids=["plain", "with lies"])
async def test_a_message_with_a_file_tells_what_the_server_knows_of_it(body: FileBody) -> None:
    async with running_node() as node:
        node.files = files = FakeFiles(PICTURE)
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        message = send(conv, 2, body)
        await ana.say(message)
        assert [(sent.rid, sent.seq, sent.dup) for sent in ana.outlet.of(Sent)] == [(2, 1, False)]
        assert [msg.body for msg in bob.outlet.of(Msg)] == [WHOLE]
        assert files.uses == [(PICTURE.id, conv, message.id)]


async def test_an_edit_may_bring_a_file() -> None:
    async with running_node() as node:
        node.files = files = FakeFiles(PICTURE)
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        await ana.say(Send(rid=2, conv=conv, id=new_id(), body=TextBody("soon")))
        edit = Edit(rid=3, conv=conv, id=new_id(), target=1, body=BODY)
        await ana.say(edit)
        assert [(msg.kind, msg.body) for msg in bob.outlet.of(Msg)][1:] == [("edit", WHOLE)]
        assert files.uses == [(PICTURE.id, conv, edit.id)]


async def test_a_file_that_is_not_there_or_not_ready_is_refused_and_nothing_is_stored() -> None:
    async with running_node() as node:
        checking = picture(state="checking")
        node.files = FakeFiles(PICTURE, checking, picture("bob"))
        ana = await person(node, "ana")
        conv = await begun(ana)
        for rid, file in enumerate((checking.id, new_id(), *node.files.all), 2):
            await ana.say(send(conv, rid, FileBody(file)))
        assert errors(ana) == [
            (2, "CONFLICT", "body.file_id", False),
            (3, "NOT_FOUND", "body.file_id", False),
            (5, "CONFLICT", "body.file_id", False),
            (6, "NOT_FOUND", "body.file_id", False),
        ]
        assert [(sent.rid, sent.seq) for sent in ana.outlet.of(Sent)] == [(4, 1)]


async def test_a_retry_is_never_refused_whatever_became_of_the_file() -> None:
    async with running_node() as node:
        node.files = files = FakeFiles(PICTURE)
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        message = send(conv, 2)
        await ana.say(message)
        edit = Edit(rid=3, conv=conv, id=new_id(), target=1, body=replace(BODY, text="see"))
        await ana.say(edit)
        await ana.say(replace(message, rid=4, body=LIES))
        await files.remove("ana", PICTURE.id)
        await ana.say(replace(message, rid=5))
        await ana.say(replace(edit, rid=6))
        await ana.say(replace(message, rid=7, body=replace(BODY, text="other words")))
        await bob.say(replace(message, rid=8))
        await ana.say(Delete(rid=9, conv=conv, id=new_id(), target=1))
        await ana.say(replace(message, rid=10))
        assert [(sent.rid, sent.seq, sent.dup) for sent in ana.outlet.of(Sent)] == [
            (2, 1, False),
            (3, 2, False),
            (4, 1, True),
            (5, 1, True),
            (6, 2, True),
            (9, 3, False),
            (10, 1, True),
        ]
        assert errors(ana) == [(7, "CONFLICT", "id", False)]
        assert errors(bob) == [(8, "NOT_FOUND", "body.file_id", False)]


async def test_what_follows_a_message_with_a_file_is_stored_after_it(
    nursery: trio.Nursery,
) -> None:
    class Slow(FakeFiles):
        async def attach(self, *arguments: Any, **named: Any) -> FileBody:
            await go.wait()
            return await super().attach(*arguments, **named)

    go = trio.Event()
    async with running_node() as node:
        node.files = Slow(PICTURE)
        ana = await person(node, "ana")
        conv = await begun(ana)

        async def say() -> None:
            await ana.session.receive(encode(send(conv, 2)))
            await ana.say(Send(rid=3, conv=conv, id=new_id(), body=TextBody("there")))

        nursery.start_soon(say)
        await trio.testing.wait_all_tasks_blocked()
        assert ana.outlet.of(Sent) == []
        go.set()
        await trio.testing.wait_all_tasks_blocked()
        assert [(sent.rid, sent.seq) for sent in ana.outlet.of(Sent)] == [(2, 1), (3, 2)]


async def test_while_nobody_can_say_whose_file_it_is_the_message_is_refused_for_now() -> None:
    async with running_node() as node:
        node.files = files = FakeFiles(PICTURE)
        ana = await person(node, "ana")
        conv = await begun(ana)
        files.failure = Unavailable("away")
        await ana.say(send(conv, 2))
        await ana.say(AskFile(rid=3, file=PICTURE.id))
        assert errors(ana) == [(2, "UNAVAILABLE", None, True), (3, "UNAVAILABLE", None, True)]
        files.failure = InDoubt("lost")
        await ana.say(send(conv, 4))
        assert ana.outlet.closed is not None
        assert ana.outlet.closed[0] == CloseCode.INTERNAL


async def test_messages_with_a_file_count_against_the_rate_and_captions_have_their_limit(
    autojump_clock: MockClock,
) -> None:
    async with running_node(
        rate_messages_per_minute=60, rate_burst=1, heartbeat=3600, max_text=5
    ) as node:
        node.files = files = FakeFiles(PICTURE)
        ana = await person(node, "ana")
        conv = await begun(ana)
        await ana.say(send(conv, 2, replace(BODY, text="123456")))
        await ana.say(send(conv, 3))
        await ana.say(send(conv, 4))
        assert [error[:3] for error in errors(ana)] == [
            (2, "TOO_LARGE", "body.text"),
            (4, "RATE_LIMITED", None),
        ]
        assert len(files.uses) == 1


async def test_how_far_an_own_file_has_come_is_told() -> None:
    async with running_node() as node:
        upload = picture(state="uploading", width=None, height=None, thumbnail=None)
        node.files = files = FakeFiles(upload, PICTURE)
        files.uploaded = [1, 3]
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await ana.say(AskFile(rid=2, file=upload.id))
        await bob.say(AskFile(rid=3, file=upload.id))
        assert ana.outlet.of(FileProgress) == [
            FileProgress(upload.id, "uploading", 5, 9, "plan.png", "image/png", rid=2)
        ]
        assert errors(bob) == [(3, "NOT_FOUND", None, False)]
