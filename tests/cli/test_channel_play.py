"""`chat4all channels play`, beside a stage of the test's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from chat4all_actors.channels.addresses import Address
from chat4all_actors.channels.configuring import accounts_of
from chat4all_actors.channels.kinds import stage_path
from chat4all_actors.cli.channel_play_screen import Screenplay
from chat4all_actors.cli.main import OK, UNREACHABLE, USAGE, CommandError, first_error, run
from chat4all_actors.config import Settings
from chat4all_connectors.loopback import cues
from chat4all_connectors.loopback.connector import Loopback
from chat4all_connectors.loopback.playing import reachable
from chat4all_connectors.outgoing import FileMessage, Message
from chat4all_connectors.testing.uploads import MemoryUpload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from prompt_toolkit.input import PipeInput

PLAY: Final = (sys.executable, "-m", "chat4all_actors", "channels", "play")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@asynccontextmanager
async def stage(data_dir: Path, account: str = "loopback") -> AsyncIterator[Loopback]:
    """An account as a server has it."""
    (made,) = accounts_of(Settings(data_dir=str(data_dir), channels={account: {}}))
    assert isinstance(made.connector, Loopback)
    await made.connector.connect()
    try:
        yield made.connector
    finally:
        await made.connector.disconnect()


async def play(
    data_dir: Path, typed: str, *arguments: str, address: str = "loopback:ana"
) -> subprocess.CompletedProcess[bytes]:
    """The command in a pipe, to its end."""
    return await trio.run_process(
        [*PLAY, address, "--data-dir", str(data_dir), *arguments],
        stdin=typed.encode(),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )


def text(words: str) -> Message:
    return Message(chat="ana", text=words, reference="ref")


# Where a stage is


def test_a_stage_is_found_by_its_account_alone(data_dir: Path) -> None:
    settings = Settings(data_dir=str(data_dir))
    assert stage_path("loopback", settings) == data_dir / "channels" / "loopback.sock"
    assert stage_path("loopback:two", settings) == data_dir / "channels" / "loopback:two.sock"
    given = Settings(data_dir=str(data_dir), channels={"loopback": {"socket": "/run/stage.sock"}})
    assert str(stage_path("loopback", given)) == "/run/stage.sock"


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        ("loopback:ana", UNREACHABLE, "no server works on loopback here"),
        ("telegram:1", USAGE, "telegram:1 is a person on telegram"),
        ("ana", USAGE, "an address is channel:identity"),
    ],
)
def test_who_can_not_be_played_is_told(
    data_dir: Path, address: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["channels", "play", address, "--data-dir", str(data_dir)]) == code
    assert said in capsys.readouterr().err


# In a pipe


async def test_lines_in_are_messages_and_lines_out_are_what_she_sees(data_dir: Path) -> None:
    async with stage(data_dir) as account:
        await account.send_message(text("hello Ana"))
        done = await play(data_dir, "hi\n\n//slash\n", "--name", "Ana Banana")
        assert (done.returncode, done.stderr) == (OK, b"")
        (line,) = done.stdout.decode().splitlines()
        assert line.startswith("1 ")
        assert line.endswith(" loopback: hello Ana")
        assert [line.text for line in account.stage.lines("ana")] == ["hello Ana", "hi", "/slash"]
        assert account.stage.contact("ana").name == "Ana Banana"


async def test_commands_name_messages_by_their_numbers(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "a plan.png").write_bytes(b"a picture")
    async with stage(data_dir) as account:
        ours = (await account.send_message(text("hello"))).message
        typed = (
            "hi",
            "/reply 1 and to you",
            "/edit 2 hi!",
            "/react 1 👍",
            "/file 'a plan.png' look",
            "/delete 3",
            "/read",
            "/block",
            "/quit",
            "never said",
        )
        done = await trio.run_process(
            [*PLAY, "loopback:ana", "--data-dir", str(data_dir), "--json"],
            stdin="\n".join(typed).encode(),
            capture_stdout=True,
            cwd=tmp_path,
        )
        first, second, file = account.stage.lines("ana")
        assert (first.id, first.reactions, first.read) == (ours, {"ana": "👍"}, True)
        assert (second.text, second.edited) == ("hi!", True)
        assert file.file is not None
        assert (file.text, file.file.name, file.file.kind) == ("look", "a plan.png", "image")
        assert account.stage.files.get(file.file.ref) == b"a picture"
        assert account.stage.chat("ana").blocked
    seen: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert seen[0]["line"]["text"] == "hello"
    assert {each["number"] for each in seen} >= {1, 2, 3}


async def test_files_are_saved_over_nothing_and_nowhere_else(
    data_dir: Path, tmp_path: Path
) -> None:
    async with stage(data_dir) as account:
        upload = MemoryUpload(b"picture", name="../plan.png", mime="image/png")
        await account.send_file(FileMessage(chat="ana", file=upload, kind="image", reference=""))
        done = await trio.run_process(
            [*PLAY, "loopback:ana", "--data-dir", str(data_dir)],
            stdin=b"/save 1\n/save 1 other.png\n/save 1 other.png\n",
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=data_dir,
        )
    assert done.returncode == UNREACHABLE
    assert done.stderr.decode().splitlines() == [
        "saved as plan.png",
        "saved as other.png",
        "chat4all: not done: other.png: File exists",
    ]
    assert saved(data_dir) == {"plan.png": b"picture", "other.png": b"picture"}


def saved(directory: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in directory.glob("*.png")}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/dance", "there is no command /dance; /help lists them"),
        ("/edit", "/edit N TEXT"),
        ("/edit 1 mine", "message 1 is not yours"),
        ("/delete 1", "message 1 is not yours"),
        ("/delete 9", "there is no message 9"),
        ("/react", "/react N [EMOJI]"),
        ("/reply 1", "/reply N TEXT"),
        ("/file", "/file PATH [CAPTION]"),
        ("/file no-such-file.png", "no-such-file.png: No such file or directory"),
        ("/save", "/save N [PATH]"),
        ("/save 1", "message 1 has no file"),
        ("x" * 10_001, "Expected `str` of length <= 10000"),
    ],
)
async def test_what_can_not_be_done_is_told_and_the_rest_is_done(
    data_dir: Path, line: str, said: str
) -> None:
    async with stage(data_dir) as account:
        await account.send_message(text("ours"))
        done = await play(data_dir, f"{line}\nafterwards\n")
        assert done.returncode == UNREACHABLE
        assert said in done.stderr.decode()
        assert [line.text for line in account.stage.lines("ana")] == ["ours", "afterwards"]


async def test_following_goes_on_with_what_comes_and_changes(data_dir: Path) -> None:
    async with stage(data_dir, "loopback:two") as account:
        command = [*PLAY, "loopback:two:ana", "--data-dir", str(data_dir), "--follow", "--read"]
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            seen = lines_from(process.stdout)
            sent = (await account.send_message(text("hello"))).message
            assert (await anext(seen)).endswith(" loopback:two: hello")
            while not account.stage.lines("ana")[0].read:
                await account.stage.changed()
            await account.edit("ana", sent, "Hello")
            assert (await anext(seen)).endswith(" loopback:two: Hello (edited)")
            await account.delete("ana", sent)
            assert await anext(seen) == "1 (deleted)"
            await seen.aclose()
        finally:
            process.send_signal(signal.SIGINT)
            await process.wait()
            assert process.stdout is not None
            await process.stdout.aclose()


async def lines_from(stream: trio.abc.ReceiveStream) -> Any:
    buffer = b""
    while data := await stream.receive_some():
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            yield line.decode()


async def test_a_server_that_goes_ends_the_play(data_dir: Path) -> None:
    async with stage(data_dir) as account:
        done: list[subprocess.CompletedProcess[bytes]] = []

        async def follow() -> None:
            done.append(await play(data_dir, "hi\n", "--follow"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await account.poll(None)  # she has spoken
            await account.disconnect()
    assert done[0].returncode == UNREACHABLE
    assert "the server has gone" in done[0].stderr.decode()
    assert "Traceback" not in done[0].stderr.decode()


# On a terminal


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        yield keys


@asynccontextmanager
async def on_screen(data_dir: Path, *, reads: bool = False) -> AsyncIterator[Screenplay]:
    """Ana on a terminal."""
    path = stage_path("loopback", Settings(data_dir=str(data_dir)))
    with reachable(path) as address:
        stream = await trio.open_unix_socket(address)
    async with stream:
        enter = cues.Enter(person="ana")
        yield Screenplay(stream, enter, Address("loopback", "ana"), reads=reads)


async def test_on_a_terminal_what_is_typed_is_done(data_dir: Path, keys: PipeInput) -> None:
    async with stage(data_dir) as account, on_screen(data_dir, reads=True) as screen:
        await account.send_message(text("hello"))
        async with trio.open_nursery() as nursery:

            async def type_and_leave() -> None:
                keys.send_text("hi\r")
                while len(account.stage.lines("ana")) < 2 or not account.stage.lines("ana")[0].read:
                    await account.stage.changed()
                keys.send_text("/dance\r/quit\r")

            nursery.start_soon(type_and_leave)
            assert await screen.run() == OK
    assert [line.text for line in account.stage.lines("ana")] == ["hello", "hi"]


async def test_on_a_terminal_a_server_that_goes_ends_the_play(
    data_dir: Path, keys: PipeInput
) -> None:
    async with (
        stage(data_dir) as account,
        on_screen(data_dir) as screen,
        trio.open_nursery() as nursery,
    ):

        async def go_when_she_spoke() -> None:
            keys.send_text("hi\r")
            await account.poll(None)
            await account.disconnect()

        nursery.start_soon(go_when_she_spoke)
        with pytest.raises(ExceptionGroup) as caught:
            await screen.run()
    error = first_error(caught.value)
    assert isinstance(error, CommandError)
    assert "the server has gone" in error.message
