"""What happens on the stage, beyond what every connector does."""

from __future__ import annotations

from contextlib import aclosing

import pytest
import trio

from chat4all_connectors.errors import (
    Moved,
    Refused,
    Throttled,
    UnknownOutcome,
    Unreachable,
    WindowClosed,
)
from chat4all_connectors.incoming import ChatMoved, Media, Reachability, Receipt, Received
from chat4all_connectors.loopback.chats import Unknown
from chat4all_connectors.loopback.connector import Loopback
from chat4all_connectors.loopback.settings import LoopbackSettings
from chat4all_connectors.loopback.stage import US, Fault
from chat4all_connectors.outgoing import FileMessage, Message, TemplateMessage
from chat4all_connectors.testing.uploads import MemoryUpload


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def loopback(clock: Clock | None = None, **settings: object) -> Loopback:
    made = Loopback(LoopbackSettings(**settings), clock=clock or Clock())  # type: ignore[arg-type]
    made.stage.person("ana", "Ana")
    return made


def text(words: str, chat: str = "ana") -> Message:
    return Message(chat=chat, text=words, reference="ref")


async def test_what_is_sent_is_seen_and_its_receipt_polled() -> None:
    account = loopback()
    sent = await account.send_message(text("hi"))
    [line] = account.stage.lines("ana")
    assert (line.id, line.sender, line.text, line.read) == (sent.message, US, "hi", False)
    [receipt] = (await account.poll(None)).events
    assert isinstance(receipt, Receipt)
    assert (receipt.status, receipt.message, receipt.reference) == (
        "delivered",
        sent.message,
        "ref",
    )


async def test_it_may_tell_nothing_of_what_arrived() -> None:
    account = loopback(delivers=False)
    await account.send_message(text("hi"))
    account.stage.read("ana")
    assert [event.status for event in (await account.poll(None)).events] == ["read"]  # type: ignore[union-attr]


async def test_a_poll_waits_until_something_happens() -> None:
    account = loopback()
    polled: list[str] = []

    async def poll() -> None:
        polled.extend(type(event).__name__ for event in (await account.poll(None)).events)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await trio.testing.wait_all_tasks_blocked()
        account.stage.say("ana", "hi")
    assert polled == ["Received"]


async def test_events_come_again_until_their_cursor_is_given() -> None:
    account = loopback()
    account.stage.say("ana", "1")
    first = await account.poll(None)
    assert await account.poll(None) == first
    account.stage.say("ana", "2")
    second = await account.poll(first.cursor)
    assert [event.text for event in second.events if isinstance(event, Received)] == ["2"]


async def test_what_an_earlier_stage_has_told_is_not_taken_for_this_one_s() -> None:
    earlier = loopback()
    for words in ("1", "2", "3"):
        earlier.stage.say("ana", words)
    old = await earlier.poll(None)
    account = loopback()
    account.stage.say("ana", "1")
    new = await account.poll(old.cursor)
    assert len(new.events) == 1
    assert new.events[0].key not in {event.key for event in old.events}


async def test_events_nobody_polls_are_given_up_from_a_bound_on() -> None:
    account = loopback(events_kept=2)
    for words in ("1", "2", "3"):
        account.stage.say("ana", words)
    events = (await account.poll(None)).events
    assert [event.text for event in events if isinstance(event, Received)] == ["2", "3"]


async def test_old_messages_and_files_are_given_up() -> None:
    account = loopback(messages_kept=2, files_kept_bytes=3)
    for content in (b"12", b"34"):
        account.stage.send("ana", content, kind="document", mime="text/plain", name="f")
    account.stage.say("ana", "3")
    assert len(account.stage.lines("ana")) == 2
    events = (await account.poll(None)).events
    old, new = [event.media for event in events if isinstance(event, Received) and event.media]
    assert await fetched(account, new) == b"34"
    with pytest.raises(Refused, match="given up"):
        await fetched(account, old)


async def test_a_file_beyond_the_limit_is_refused() -> None:
    account = loopback(media_max_bytes=4)
    with pytest.raises(Refused, match="larger than 4"):
        await account.send_file(
            FileMessage(chat="ana", file=MemoryUpload(b"12345"), kind="document")
        )
    assert account.stage.lines("ana") == []


async def test_a_group_has_its_title_and_its_people() -> None:
    account = loopback()
    account.stage.person("bob")
    account.stage.group("friends", "Friends", ["ana", "bob"])
    account.stage.say("bob", "hi", chat="friends")
    [event] = (await account.poll(None)).events
    assert isinstance(event, Received)
    assert (event.chat, event.group, event.sender.name) == ("friends", "Friends", "bob")
    with pytest.raises(Unknown, match="person carl"):
        account.stage.group("others", "Others", ["carl"])


async def test_a_group_can_move() -> None:
    account = loopback()
    account.stage.group("friends", "Friends", ["ana"])
    account.stage.move("friends", "super")
    [event] = (await account.poll(None)).events
    assert isinstance(event, ChatMoved)
    with pytest.raises(Moved) as caught:
        await account.send_message(text("hi", "friends"))
    await account.send_message(text("hi", caught.value.chat))
    assert [line.text for line in account.stage.lines("super")] == ["hi"]


async def test_who_blocks_is_unreachable_until_they_come_back() -> None:
    account = loopback()
    account.stage.block("ana")
    with pytest.raises(Unreachable):
        await account.send_message(text("hi"))
    account.stage.block("ana", blocked=False)
    await account.send_message(text("hi"))
    events = (await account.poll(None)).events
    assert [event.reachable for event in events if isinstance(event, Reachability)] == [
        False,
        True,
    ]


async def test_within_the_window_only_templates_begin(clock: Clock) -> None:
    account = loopback(clock, window=60.0)
    assert not account.capabilities.starts
    with pytest.raises(WindowClosed):
        await account.send_message(text("hi"))
    await account.send_template(TemplateMessage(chat="ana", name="hello", language="en"))
    account.stage.say("ana", "yes?")
    clock.now += 60
    await account.send_message(text("hi"))
    clock.now += 1
    with pytest.raises(WindowClosed):
        await account.send_message(text("hi"))


async def test_what_is_too_old_is_not_deleted(clock: Clock) -> None:
    account = loopback(clock, delete_within=60.0)
    sent = await account.send_message(text("hi"))
    clock.now += 61
    with pytest.raises(Refused, match="too old"):
        await account.delete("ana", sent.message)


async def test_only_own_messages_are_edited() -> None:
    account = loopback()
    said = account.stage.say("ana", "mine")
    sent = await account.send_message(text("ours"))
    with pytest.raises(Refused):
        await account.edit("ana", said, "other")
    with pytest.raises(Unknown):
        account.stage.edit("ana", sent.message, "other")


async def test_typing_is_shown_for_a_while_or_until_something_is_sent(clock: Clock) -> None:
    account = loopback(clock)
    await account.typing("ana", None)
    assert account.stage.typing("ana")
    clock.now += 5
    assert not account.stage.typing("ana")
    await account.typing("ana", None)
    await account.send_message(text("hi"))
    assert not account.stage.typing("ana")


async def test_reading_is_shown_up_to_a_message() -> None:
    account = loopback()
    said = [account.stage.say("ana", words) for words in ("1", "2", "3")]
    await account.mark_read("ana", said[1])
    assert [line.read for line in account.stage.lines("ana")] == [True, True, False]


async def test_faults_are_met_in_their_order_each_once() -> None:
    account = loopback()
    account.stage.faults += [
        Fault(Throttled("slowly")),
        Fault(UnknownOutcome("no answer"), acted=True),
    ]
    with pytest.raises(Throttled):
        await account.send_message(text("1"))
    with pytest.raises(UnknownOutcome):
        await account.send_message(text("2"))
    await account.send_message(text("3"))
    assert [line.text for line in account.stage.lines("ana")] == ["2", "3"]


async def test_whoever_watches_is_told_of_each_side() -> None:
    account = loopback()
    seen: list[int] = []

    async def watch() -> None:
        for _ in range(2):
            await account.stage.changed()
            seen.append(len(account.stage.lines("ana")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await trio.testing.wait_all_tasks_blocked()
        await account.send_message(text("hi"))
        await trio.testing.wait_all_tasks_blocked()
        account.stage.say("ana", "yes")
    assert seen == [1, 2]


async def fetched(account: Loopback, media: Media) -> bytes:
    async with account.download(media) as download, aclosing(download) as pieces:
        return b"".join([piece async for piece in pieces])
