"""What becomes of files that people on a channel send."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from chat4all_actors.channels.media import Media
from chat4all_actors.files.errors import no_such_file
from chat4all_connectors import errors, incoming
from chat4all_connectors.loopback.connector import Loopback
from chat4all_protocol.frames import FileBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.files import Use
from tests.actors.fake_files import FakeFiles
from tests.channels.scene import BEA
from tests.connectors.telegram.scenes import ANA, open_scene
from tests.fakes.process import run_fake
from tests.files.files_harness import Place
from tests.files.test_kinds import JPEG, PROGRAM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from chat4all_connectors.base import Connector

CONVERSATION = new_id()


class Scene:
    """Bea, who sends files on a loopback channel."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.loopback = Loopback()
        self.loopback.stage.person("bea", "Bea")
        self.media = self.media_of(self.loopback)
        self.id = new_id()
        """Of the message that is going to carry the file."""

    def media_of(self, connector: Connector) -> Media:
        return Media(connector, lambda: self.place.files, self.place.settings)

    async def sent(self, content: bytes = JPEG, **what: Any) -> incoming.Received:
        """What comes in when Bea has sent a file."""
        told: dict[str, Any] = {"kind": "image", "mime": "image/jpeg", "name": "beach.jpg"}
        self.loopback.stage.send("bea", content, **(told | what))
        polled = await self.loopback.poll(None)
        said = polled.events[-1]
        assert isinstance(said, incoming.Received)
        return said

    async def fetch(self, said: incoming.Received) -> FileBody | str:
        return await self.media.fetch(self.id, said, BEA, CONVERSATION)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    most = 500_000
    async with Place(file_spool=str(tmp_path), channel_media_max_size=most).running() as place:
        yield Scene(place)


async def test_a_picture_becomes_a_file_of_the_sender_s_that_the_message_carries(
    scene: Scene,
) -> None:
    body = await scene.fetch(await scene.sent(caption="look"))
    assert body == FileBody(scene.id, "look", "beach.jpg", len(JPEG), "image/jpeg")
    file = await scene.place.stands(scene.id)
    assert (file.owner, file.state, file.conversation) == (BEA, "ready", CONVERSATION)
    assert await scene.place.catalogue.uses(file.id, None, 10) == [Use(CONVERSATION, scene.id)]


async def test_a_file_without_a_caption_has_no_text(scene: Scene) -> None:
    body = await scene.fetch(await scene.sent())
    assert isinstance(body, FileBody)
    assert body.text is None


async def test_what_was_taken_is_not_fetched_again_for_another_conversation(scene: Scene) -> None:
    said = await scene.sent()
    first = await scene.fetch(said)
    scene.media = scene.media_of(Loopback())  # which has no such file
    other = new_id()
    assert await scene.media.fetch(scene.id, said, "bea", other) == first
    uses = await scene.place.catalogue.uses(scene.id, None, 10)
    assert {use.conversation for use in uses} == {CONVERSATION, other}


@pytest.mark.parametrize(
    ("content", "what", "note"),
    [
        (bytes(600_000), {}, "a picture, beach.jpg (0.6 MB), which is too large to come here"),
        (b"", {"kind": "audio"}, "a recording, beach.jpg, which is empty"),
        (
            PROGRAM,
            {"kind": "document", "name": "/tmp/a.exe"},
            "a file, a.exe (0.1 kB), of a type that is not taken here",
        ),
    ],
)
async def test_what_is_not_taken_is_told_of_in_words(
    scene: Scene, content: bytes, what: dict[str, Any], note: str
) -> None:
    assert await scene.fetch(await scene.sent(content, **what)) == note
    assert scene.place.objects.keys == set()


async def test_one_of_which_no_size_was_told_is_too_large_when_so_much_has_come(
    scene: Scene,
) -> None:
    said = await scene.sent(bytes(600_000), kind="video")
    assert said.media is not None
    unknown = incoming.Media(ref=said.media.ref, kind="video")
    said = incoming.Received(
        key="k", chat="bea", sender=said.sender, message="1", at=0, media=unknown
    )
    assert await scene.fetch(said) == "a video, which is too large to come here"


async def test_what_could_not_be_scanned_is_told_of(tmp_path: Path) -> None:
    async with Place(file_spool=str(tmp_path), clamd="/nowhere").running() as place:
        scene = Scene(place)
        note = await scene.fetch(await scene.sent())
    assert note == "a picture, beach.jpg (0.1 kB), which could not be scanned"


async def test_what_the_provider_has_no_more_is_told_of(scene: Scene) -> None:
    said = await scene.sent()
    scene.media = scene.media_of(Loopback())
    note = await scene.fetch(said)
    assert note == "a picture, beach.jpg (0.1 kB), which could not be fetched"
    assert said.media is not None
    assert note == scene.media.lost(said.media)


class Failing(Loopback):
    """A provider from which nothing can be fetched."""

    def __init__(self, error: errors.SendError) -> None:
        super().__init__()
        self._error = error

    @asynccontextmanager
    async def download(self, media: incoming.Media) -> AsyncIterator[Any]:
        yield self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        yield b"the beginning"
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        errors.Transient("it fails"),
        errors.Throttled("too much", retry_after=3),
        errors.Misconfigured("the token is not valid"),
        errors.UnknownOutcome("no answer"),
    ],
)
async def test_what_may_be_had_later_is_tried_again(scene: Scene, error: errors.SendError) -> None:
    said = await scene.sent()
    scene.media = scene.media_of(Failing(error))
    with pytest.raises(type(error)) as caught:
        await scene.fetch(said)
    assert caught.value is error
    scene.media = scene.media_of(scene.loopback)
    assert isinstance(await scene.fetch(said), FileBody)


@pytest.mark.parametrize(
    "error",
    [errors.Refused("gone"), errors.NotSupported("no files"), errors.Unreachable("blocked")],
)
async def test_what_is_never_to_be_had_is_told_of(scene: Scene, error: errors.SendError) -> None:
    said = await scene.sent()
    scene.media = scene.media_of(Failing(error))
    assert await scene.fetch(said) == "a picture, beach.jpg (0.1 kB), which could not be fetched"


async def test_a_store_that_is_away_is_waited_for(scene: Scene) -> None:
    said = await scene.sent()
    scene.place.objects.down = True
    with pytest.raises(Unavailable):
        await scene.fetch(said)
    scene.place.objects.down = False
    assert isinstance(await scene.fetch(said), FileBody)


async def test_a_file_that_is_let_go_before_it_is_used_is_taken_anew(scene: Scene) -> None:
    class LetGo(FakeFiles):
        async def attach(self, *_: object, **__: object) -> FileBody:
            raise no_such_file()

    files = LetGo()
    media = Media(scene.loopback, lambda: files, scene.place.settings)
    with pytest.raises(Unavailable):
        await media.fetch(scene.id, await scene.sent(), BEA, CONVERSATION)


@pytest.fixture(scope="module")
def telegram() -> Iterator[str]:
    with run_fake("telegram", "--pace", "0.01") as url:
        yield url


async def test_a_voice_message_comes_from_telegram(telegram: str, scene: Scene) -> None:
    content = b"OggS" + bytes(300_000)
    async with open_scene(telegram) as there:
        await there.people.send(ANA, "voice", content, name="", mime="audio/ogg", caption="listen")
        [said] = await there.events()
        assert isinstance(said, incoming.Received)
        body = await scene.media_of(there.telegram).fetch(scene.id, said, BEA, CONVERSATION)
    assert isinstance(body, FileBody)
    assert (body.text, body.name, body.mime) == ("listen", "audio.ogg", "audio/ogg")
    file = await scene.place.stands(scene.id)
    async with scene.place.objects.read(file.key) as pieces:
        assert b"".join([piece async for piece in pieces]) == content
