from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from chat4all_actors.cli.announcing import SERVER_FILE, announced, server_url
from chat4all_actors.cli.main import CommandError

if TYPE_CHECKING:
    from chat4all_actors.config import Settings

URL = "http://127.0.0.1:8000"


def test_a_server_is_found_by_its_data_directory_while_it_runs(settings: Settings) -> None:
    assert server_url(settings.data_dir) is None
    with announced(settings, URL):
        assert server_url(settings.data_dir) == URL
    assert server_url(settings.data_dir) is None


def test_it_is_found_no_more_after_it_failed(settings: Settings) -> None:
    def serve() -> None:
        with announced(settings, URL):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        serve()
    assert server_url(settings.data_dir) is None


def test_the_announcement_names_the_process_and_leaves_no_draft(settings: Settings) -> None:
    with announced(settings, URL):
        (file,) = list(os.scandir(settings.data_dir))
        with open(file.path) as content:
            assert json.load(content) == {"url": URL, "pid": os.getpid()}
        assert stat.S_IMODE(os.stat(settings.data_dir).st_mode) == 0o700
    assert os.listdir(settings.data_dir) == []


def test_the_end_of_a_server_leaves_the_announcement_of_another(settings: Settings) -> None:
    with announced(settings, URL):
        successor = announced(settings, "http://127.0.0.1:9000")
        successor.__enter__()
    assert server_url(settings.data_dir) == "http://127.0.0.1:9000"
    successor.__exit__(None, None, None)
    assert server_url(settings.data_dir) is None


def test_what_a_killed_server_left_is_replaced(settings: Settings) -> None:
    announced(settings, "http://127.0.0.1:9000").__enter__()
    with announced(settings, URL):
        assert server_url(settings.data_dir) == URL


def test_a_data_directory_that_can_not_be_written_is_told(no_directory: Settings) -> None:
    with (
        pytest.raises(CommandError, match="can't be written") as caught,
        announced(no_directory, URL),
    ):
        pass
    assert no_directory.data_dir in caught.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"{}", b'{"url": 5}', b"\xff"])
def test_an_announcement_that_makes_no_sense_is_none(settings: Settings, content: bytes) -> None:
    with announced(settings, URL):
        with open(f"{settings.data_dir}/{SERVER_FILE}", "wb") as file:
            file.write(content)
        assert server_url(settings.data_dir) is None


def test_where_no_directory_can_be_there_is_no_server(no_directory: Settings) -> None:
    assert server_url(no_directory.data_dir) is None
