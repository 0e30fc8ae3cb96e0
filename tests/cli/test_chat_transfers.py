from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.cli.chat_transfers import Place, Transfers, path_and_rest, state_file
from chat4all_actors.cli.chat_view import View
from chat4all_client import FileBody, UploadNotes, open_files
from chat4all_protocol import frames as f
from tests.client.file_server import TOKEN, FileServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONV = "00000000-0000-4000-8000-000000000000"
FILE = "00000000-0000-4000-8000-00000000000f"
DATA = b"%PDF-1.7 " * 300


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with FileServer().running() as server:
        yield server


class Chat:
    """What a user of the commands sees."""

    def __init__(self, server: FileServer, state: Path) -> None:
        self.sent: list[FileBody] = []
        self.notices: list[str] = []
        self.view = View("ana", "bob")
        open_ = partial(open_files, server.url, token=TOKEN, patience=0.0, random=lambda: 0.0)
        self.transfers = Transfers(
            Place(open_, UploadNotes(state, "ana")),
            CONV,
            self.view,
            send=self.sent.append,
            notice=self.notices.append,
        )

    def shows(self, seq: int, id_: str, name: str) -> None:
        body = FileBody(id_, None, name, 10)
        self.view.happened(f.Msg(CONV, seq, CONV[:-1] + str(seq), "bob", 0, body))


@pytest.fixture
def chat(server: FileServer, tmp_path: Path) -> Chat:
    return Chat(server, tmp_path / "state.json")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.pdf"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, which is the current one."""
    directory = tmp_path / "saved"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


# --- /send --------------------------------------------------------------------------------------


async def test_a_file_is_sent_with_its_caption_once_it_is_uploaded(
    server: FileServer, chat: Chat, plan: Path
) -> None:
    await chat.transfers.send(f"{plan} the new plan")
    (body,) = chat.sent
    assert server.uploads[body.file_id].data == DATA
    assert (body.name, body.text, body.size) == ("plan.pdf", "the new plan", len(DATA))
    assert (chat.transfers.lines(), chat.notices) == ([], [])


async def test_an_upload_is_a_line_while_it_is_under_way(
    server: FileServer, chat: Chat, plan: Path
) -> None:
    lines: list[str] = []
    server.before = lambda kind: lines.extend(chat.transfers.lines())
    await chat.transfers.send(str(plan))
    assert lines[0] == "↑ plan.pdf  asking the server…"
    assert lines[-1].endswith("all there, being checked…")


async def test_what_was_broken_off_goes_on_when_it_is_sent_again(
    server: FileServer, chat: Chat, plan: Path
) -> None:
    server.faults["put"] = [503]
    await chat.transfers.send(str(plan))
    assert chat.sent == []
    assert chat.notices == [
        "plan.pdf was not sent: the server answered 503 so far, for 0 s; the same call goes on"
    ]
    await chat.transfers.send(str(plan))
    assert (len(chat.sent), server.requests["initiate"]) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "notice"),
    [
        ("", "which file? /send PATH [caption]; a path with blanks goes in quotes"),
        ("/no/such/file", "file was not sent: No such file or directory: /no/such/file"),
        ("/", " was not sent:  is no file"),
    ],
)
async def test_what_can_not_be_sent_is_told(chat: Chat, arguments: str, notice: str) -> None:
    await chat.transfers.send(arguments)
    assert chat.notices == [notice]


async def test_what_the_server_refuses_is_told_in_its_words(
    server: FileServer, chat: Chat, plan: Path
) -> None:
    server.faults["initiate"] = [415]
    await chat.transfers.send(str(plan))
    assert chat.notices == ["plan.pdf was not sent: as the test wants it"]


def test_a_path_is_a_word_or_in_quotes_or_everything(tmp_path: Path) -> None:
    blank = tmp_path / "my plan.pdf"
    blank.touch()
    assert path_and_rest("a.pdf  the plan ") == (Path("a.pdf"), "the plan")
    assert path_and_rest('"my plan.pdf" look') == (Path("my plan.pdf"), "look")
    assert path_and_rest("'my plan.pdf'") == (Path("my plan.pdf"), "")
    assert path_and_rest(r"my\ plan.pdf look") == (Path("my plan.pdf"), "look")
    assert path_and_rest(str(blank)) == (blank, "")
    assert path_and_rest("~/a.pdf") == (Path.home() / "a.pdf", "")
    assert path_and_rest(" ") == (None, "")


def contents_of(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


# --- /save --------------------------------------------------------------------------------------


async def test_the_last_file_is_saved_unless_another_is_named(
    server: FileServer, chat: Chat, saved: Path
) -> None:
    for seq, id_, name in ((1, "f1", "one.pdf"), (2, FILE, "two.pdf")):
        server.stored(name.encode(), name, id_=id_)
        chat.shows(seq, id_, name)
    await chat.transfers.save("")
    await chat.transfers.save("1")
    await chat.transfers.save(FILE)
    await chat.transfers.save("1 first.pdf")
    assert contents_of(saved) == {
        "two.pdf": "two.pdf",
        "one.pdf": "one.pdf",
        "two (2).pdf": "two.pdf",
        "first.pdf": "one.pdf",
    }
    assert chat.notices[0] == "saved as two.pdf, 7 B"


async def test_a_file_is_saved_to_the_path_or_directory_that_is_named(
    server: FileServer, chat: Chat, saved: Path
) -> None:
    server.stored(DATA)
    chat.shows(1, "f1", "plan.pdf")
    for target in ("my plan.pdf", "new/", str(saved), "1 '1 plan.pdf'"):
        await chat.transfers.save(target)
    paths = await trio.to_thread.run_sync(lambda: sorted(saved.rglob("*.pdf")))
    assert [str(path.relative_to(saved)) for path in paths] == [
        "1 plan.pdf",
        "my plan.pdf",
        "new/plan.pdf",
        "plan.pdf",
    ]


async def test_what_can_not_be_saved_is_told(server: FileServer, chat: Chat, saved: Path) -> None:
    await chat.transfers.save("")
    await chat.transfers.save("3")
    server.stored(DATA)
    chat.shows(1, "f1", "plan.pdf")
    await chat.transfers.save("plan.pdf")
    await chat.transfers.save("plan.pdf")
    await chat.transfers.save(FILE)
    assert chat.notices == [
        "there is no file on this page; /history shows older messages",
        "there is no file 3 on this page; /history shows older ones",
        "saved as plan.pdf, 2.7 kB",
        "plan.pdf was not saved: plan.pdf is there already",
        f"{FILE} was not saved: no such file",
    ]


def test_notes_are_kept_where_state_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert state_file() == Path("/state/chat4all/uploads.json")
    monkeypatch.setenv("XDG_STATE_HOME", "")
    assert state_file() == Path.home() / ".local/state/chat4all/uploads.json"
