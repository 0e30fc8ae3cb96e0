"""What the connector does with the Bot API, over HTTP with the fake."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_connectors.base import WebhookCall
from chat4all_connectors.errors import (
    Misconfigured,
    Moved,
    NotSupported,
    Refused,
    Throttled,
    Transient,
    UnknownOutcome,
    Unreachable,
    WebhookRefused,
)
from chat4all_connectors.incoming import ChatMoved, Media, Reachability, Received
from chat4all_connectors.outgoing import FileMessage, Message
from chat4all_connectors.telegram.connector import SECRET_HEADER, Telegram
from chat4all_connectors.testing.http_server import Response
from chat4all_connectors.testing.uploads import MemoryUpload
from tests.connectors.telegram.scenes import ANA, SECRET, Scene, open_scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_connectors.capabilities import MediaKind

pytestmark = pytest.mark.xdist_group("telegram")

CHAT = str(ANA)
FRIENDS = -100


@pytest.fixture
async def scene(fake: str) -> AsyncIterator[Scene]:
    async with open_scene(fake) as opened:
        yield opened


async def calls(scene: Scene, method: str) -> list[dict[str, Any]]:
    made = (await scene.people.state())["calls"]
    return [call["parameters"] for call in made if call["method"] == method]


def file(kind: MediaKind, mime: str, *, caption: str = "") -> FileMessage:
    return FileMessage(
        chat=CHAT, file=MemoryUpload(b"content", mime=mime), kind=kind, caption=caption
    )


# --- its life -------------------------------------------------------------------------------------


async def test_it_sets_its_webhook_with_what_it_wants_to_be_told(scene: Scene) -> None:
    assert (await scene.people.state())["webhook"] == scene.callback.url
    [given] = await calls(scene, "setWebhook")
    assert given["allowed_updates"] == [
        "message",
        "edited_message",
        "message_reaction",
        "my_chat_member",
    ]
    assert "drop_pending_updates" not in given


async def test_who_it_is_is_what_people_see(scene: Scene) -> None:
    identity = await scene.telegram.connect()
    assert identity.id == scene.settings.token.partition(":")[0]
    assert identity.name == "our_bot"


async def test_for_polling_the_webhook_is_taken_away(fake: str, scene: Scene) -> None:
    async with open_scene(fake, mode="polling", poll_seconds=1) as polling:
        assert (await polling.people.state())["webhook"] == ""
        assert await calls(polling, "deleteWebhook") == [{}]


async def test_without_an_address_there_is_no_webhook(scene: Scene) -> None:
    lost = Telegram(scene.settings)
    with pytest.raises(Misconfigured, match="address"):
        await lost.connect()
    await lost.disconnect()


async def test_a_token_that_is_not_known_is_told_when_it_connects(scene: Scene) -> None:
    await scene.people.token(valid=False)
    with pytest.raises(Misconfigured, match="Unauthorized"):
        await scene.telegram.connect()


async def test_its_health_is_that_of_the_calls_back(scene: Scene) -> None:
    assert (await scene.telegram.health()).state == "connected"
    other = Telegram(scene.settings, callback_url="https://elsewhere.example/")
    assert (await other.health()).state == "degraded"
    await other.disconnect()
    await scene.people.fail("error", method="getWebhookInfo")
    assert (await scene.telegram.health()).state == "degraded"


async def test_calls_back_that_fail_are_told_for_a_while(scene: Scene) -> None:
    scene.callback.answers.append(Response(500))
    await scene.people.say(ANA, "hello")
    await scene.people.settled()
    health = await scene.telegram.health()
    assert health.state == "degraded"
    assert "500" in health.detail
    later = Telegram(
        scene.settings, callback_url=scene.callback.url, clock=lambda: time.time() + 301
    )
    assert (await later.health()).state == "connected"
    await later.disconnect()


async def test_updates_that_wait_are_told(fake: str) -> None:
    async with open_scene(fake, mode="polling", poll_seconds=1, late_updates=2) as scene:
        await scene.people.say(ANA, "1")
        assert (await scene.telegram.health()).state == "connected"
        await scene.people.say(ANA, "2")
        assert (await scene.telegram.health()).state == "degraded"


# --- what is sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "mime", "method"),
    [
        ("image", "image/png", "sendPhoto"),
        ("video", "video/mp4", "sendVideo"),
        ("audio", "audio/mpeg", "sendAudio"),
        ("audio", "audio/ogg", "sendVoice"),
        ("document", "image/gif", "sendDocument"),
    ],
)
async def test_a_file_is_sent_as_what_it_is(
    scene: Scene, kind: MediaKind, mime: str, method: str
) -> None:
    await scene.telegram.send_file(file(kind, mime, caption="look"))
    assert await calls(scene, method) == [{"chat_id": CHAT, "caption": "look"}]


async def test_a_picture_that_is_no_photo_goes_as_a_file(scene: Scene) -> None:
    wrong = "Bad Request: PHOTO_INVALID_DIMENSIONS"
    await scene.people.fail("error", method="sendPhoto", code=400, description=wrong)
    sent = await scene.telegram.send_file(file("image", "image/png"))
    [received] = await scene.people.received()
    assert (received["kind"], str(received["message_id"])) == ("document", sent.message)


async def test_another_fault_of_a_picture_is_told(scene: Scene) -> None:
    wrong = "Bad Request: something else"
    await scene.people.fail("error", method="sendPhoto", code=400, description=wrong)
    with pytest.raises(Refused, match="something else"):
        await scene.telegram.send_file(file("image", "image/png"))
    assert await scene.people.received() == []


async def test_a_file_whose_answer_is_lost_is_of_unknown_outcome(scene: Scene) -> None:
    await scene.people.fail("drop")
    with pytest.raises(UnknownOutcome):
        await scene.telegram.send_file(file("document", "text/plain"))
    assert len(await scene.people.received()) == 1


async def test_a_file_can_quote(scene: Scene) -> None:
    asked = await scene.people.say(ANA, "send it")
    await scene.telegram.send_file(
        FileMessage(chat=CHAT, file=MemoryUpload(b"1"), kind="document", reply_to=str(asked))
    )
    [received] = await scene.people.received()
    assert received["reply_to"] == asked


async def test_what_was_deleted_is_not_quoted_but_answered(scene: Scene) -> None:
    await scene.telegram.send_message(Message(chat=CHAT, text="late", reply_to="999"))
    [received] = await scene.people.received()
    assert received["reply_to"] is None


@pytest.mark.parametrize("id_", ["x", "1.5", "-1", "", "²"])
async def test_ids_that_are_not_telegram_s_are_refused(scene: Scene, id_: str) -> None:
    with pytest.raises(Refused):
        await scene.telegram.send_message(Message(chat=CHAT, text="hi", reply_to=id_))
    with pytest.raises(Refused):
        await scene.telegram.delete(CHAT, id_)


async def test_the_caption_of_a_file_can_be_replaced(scene: Scene) -> None:
    sent = await scene.telegram.send_file(file("document", "text/plain", caption="frist"))
    for _ in range(2):
        await scene.telegram.edit(CHAT, sent.message, "first")
    assert [one["text"] for one in await scene.people.received()] == ["first"]


async def test_a_message_of_somebody_else_s_can_not_be_edited(scene: Scene) -> None:
    said = await scene.people.say(ANA, "mine")
    with pytest.raises(Refused, match="can't be edited"):
        await scene.telegram.edit(CHAT, str(said), "yours")


async def test_a_heart_is_a_reaction_in_any_colour(scene: Scene) -> None:
    said = await scene.people.say(ANA, "look")
    await scene.telegram.react(CHAT, str(said), "❤\ufe0f")
    assert (await scene.people.reactions(ANA, said))["bot"] == [{"type": "emoji", "emoji": "❤"}]


async def test_an_emoji_that_is_no_reaction_there_is_refused(scene: Scene) -> None:
    said = await scene.people.say(ANA, "look")
    with pytest.raises(Refused, match="REACTION_INVALID"):
        await scene.telegram.react(CHAT, str(said), "🦖")


async def test_typing_is_shown(scene: Scene) -> None:
    await scene.telegram.typing(CHAT, None)
    assert await calls(scene, "sendChatAction") == [{"chat_id": CHAT, "action": "typing"}]


async def test_what_can_be_repeated_is_never_of_unknown_outcome(scene: Scene) -> None:
    sent = await scene.telegram.send_message(Message(chat=CHAT, text="hi"))
    await scene.people.fail("drop", method="deleteMessage")
    with pytest.raises(Transient):
        await scene.telegram.delete(CHAT, sent.message)
    await scene.telegram.delete(CHAT, sent.message)


async def test_too_many_calls_hold_back_the_chat(scene: Scene) -> None:
    text = "Too Many Requests: retry after 7"
    await scene.people.fail("error", code=429, description=text, retry_after=7)
    with pytest.raises(Throttled) as caught:
        await scene.telegram.send_message(Message(chat=CHAT, text="hi"))
    assert (caught.value.retry_after, caught.value.scope) == (7, "chat")


@pytest.mark.parametrize("does", ["block", "deactivate"])
async def test_who_is_gone_is_unreachable(scene: Scene, does: str) -> None:
    await getattr(scene.people, does)(ANA)
    with pytest.raises(Unreachable):
        await scene.telegram.send_message(Message(chat=CHAT, text="hi"))


async def test_a_person_who_has_not_begun_can_not_be_written_to(scene: Scene) -> None:
    await scene.people.user(8, "Bob")
    with pytest.raises(Unreachable, match="can't initiate"):
        await scene.telegram.send_message(Message(chat="8", text="hi"))


async def test_a_group_that_became_a_supergroup_is_told_on_both_ways(scene: Scene) -> None:
    await scene.people.group(FRIENDS, "Friends", [ANA])
    await scene.people.migrate(FRIENDS, -1_001_234_567_890)
    moves = [event for event in await scene.events() if isinstance(event, ChatMoved)]
    assert {(event.key, event.chat, event.now) for event in moves} == {
        ("moved:-100:-1001234567890", "-100", "-1001234567890")
    }
    assert len(moves) == 2
    with pytest.raises(Moved) as caught:
        await scene.telegram.send_message(Message(chat=str(FRIENDS), text="hi"))
    assert caught.value.chat == "-1001234567890"
    await scene.telegram.send_message(Message(chat=caught.value.chat, text="hi"))


# --- what comes in --------------------------------------------------------------------------------


async def test_a_person_who_blocks_and_comes_back(scene: Scene) -> None:
    await scene.people.block(ANA)
    await scene.people.member(ANA, "member", by=ANA)
    events = await scene.events()
    assert [event.reachable for event in events if isinstance(event, Reachability)] == [
        False,
        True,
    ]


async def test_an_album_comes_as_a_message_for_each_part(scene: Scene) -> None:
    for number in range(3):
        content = f"{number}".encode()
        await scene.people.send(
            ANA, "photo", content, name=f"{number}.jpg", mime="image/jpeg", media_group_id="7"
        )
    events = [event for event in await scene.events() if isinstance(event, Received)]
    assert len({event.message for event in events}) == 3
    for number, event in enumerate(events):
        assert event.media is not None
        assert await fetched(scene, event.media) == f"{number}".encode()


async def test_a_file_that_is_not_there_is_asked_for_later(scene: Scene) -> None:
    with pytest.raises(Transient, match="temporarily unavailable"):
        await fetched(scene, Media(ref="nothing", kind="image"))


async def test_a_file_is_not_fetched_beyond_the_limit(fake: str) -> None:
    async with open_scene(fake, download_max_bytes=10) as scene:
        await scene.people.send(ANA, "document", b"x" * 11, name="f", mime="text/plain")
        [event] = await scene.events()
        assert isinstance(event, Received)
        assert event.media is None
        assert event.note.startswith("f (0.0 MB)")
        [update] = (await scene.people.state())["attempts"][-1:]
        assert update["status"] == 200


async def test_somebody_s_profile(scene: Scene) -> None:
    profile = await scene.telegram.profile(CHAT)
    assert profile is not None
    assert (profile.name, profile.handle) == ("Ana Silva", "ana")
    assert await scene.telegram.profile("999") is None


async def test_a_webhook_needs_its_secret_and_its_method(scene: Scene) -> None:
    good = {SECRET_HEADER: SECRET}
    for call, status in [
        (WebhookCall("POST", {}, {}, b'{"update_id": 1}'), 401),
        (WebhookCall("POST", {}, {SECRET_HEADER: "other"}, b'{"update_id": 1}'), 401),
        (WebhookCall("GET", {}, good, b""), 405),
        (WebhookCall("POST", {}, good, b'{"update_id": "1"}'), 400),
    ]:
        with pytest.raises(WebhookRefused) as caught:
            scene.telegram.handle_webhook(call)
        assert caught.value.status == status


async def test_webhooks_are_not_taken_while_it_polls_and_the_other_way_round(
    fake: str, scene: Scene
) -> None:
    with pytest.raises(NotSupported):
        await scene.telegram.poll(None)
    async with open_scene(fake, mode="polling", poll_seconds=1) as polling:
        call = WebhookCall("POST", {}, {SECRET_HEADER: SECRET}, b'{"update_id": 1}')
        with pytest.raises(WebhookRefused) as caught:
            polling.telegram.handle_webhook(call)
    assert caught.value.status == 404


async def test_what_was_polled_comes_again_until_its_cursor_is_given(fake: str) -> None:
    async with open_scene(fake, mode="polling", poll_seconds=1) as scene:
        await scene.people.say(ANA, "1")
        first = await scene.telegram.poll(None)
        assert (await scene.telegram.poll(None)).events == first.events
        await scene.people.say(ANA, "2")
        second = await scene.telegram.poll(first.cursor)
        assert [event.text for event in second.events if isinstance(event, Received)] == ["2"]
        empty = await scene.telegram.poll(second.cursor)
        assert (list(empty.events), empty.cursor) == ([], second.cursor)


async def test_of_two_that_poll_the_later_one_is_served(fake: str) -> None:
    async with open_scene(fake, mode="polling", poll_seconds=10) as scene:
        await scene.people.say(ANA, "1")
        cursor = (await scene.telegram.poll(None)).cursor
        await scene.people.pace(1.0)  # so that only the other one ends a poll
        lost = trio.Event()

        async def loses() -> None:
            with pytest.raises(Transient, match="terminated by other getUpdates"):
                await scene.telegram.poll(cursor)
            lost.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(loses)
            while not (await scene.people.state())["polled"]:
                pass
            nursery.start_soon(scene.telegram.poll, cursor)
            await lost.wait()
            await scene.people.say(ANA, "2")


async def test_polling_beside_somebody_s_webhook_is_a_matter_for_operators(fake: str) -> None:
    async with open_scene(fake, mode="polling", poll_seconds=1) as scene:
        await scene.people.webhook("https://other.example/")
        with pytest.raises(Misconfigured, match="webhook is active"):
            await scene.telegram.poll(None)


async def fetched(scene: Scene, media: Media) -> bytes:
    async with scene.telegram.download(media) as download, aclosing(download) as pieces:
        return b"".join([piece async for piece in pieces])
