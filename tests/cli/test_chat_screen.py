from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from chat4all_actors.cli.chat_screen import Screen
from chat4all_actors.cli.chat_view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit.input import PipeInput


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        yield keys


class Recorder:
    def __init__(self) -> None:
        self.entered: list[str] = []
        self.typed = 0
        self.screen = Screen(
            View("ana", "bob"), entered=self.entered.append, typed=self.note, colour=True
        )

    def note(self) -> None:
        self.typed += 1


async def test_enter_hands_the_text_over_and_control_d_leaves(keys: PipeInput) -> None:
    recorder = Recorder()
    keys.send_text("hello\r")
    keys.send_text("two\x1b\rlines\r")
    keys.send_text("  \r")
    keys.send_text("\x04")
    await recorder.screen.run()
    assert recorder.entered == ["hello", "two\nlines"]
    assert recorder.typed > 0


async def test_control_d_does_not_leave_a_line_that_is_being_typed(keys: PipeInput) -> None:
    recorder = Recorder()
    keys.send_text("half\x04 a line\r\x03")
    await recorder.screen.run()
    assert recorder.entered == ["half a line"]


async def test_commands_are_not_told_as_typing(keys: PipeInput) -> None:
    recorder = Recorder()
    keys.send_text("/who\r\x03")
    await recorder.screen.run()
    assert recorder.entered == ["/who"]
    assert recorder.typed == 0


async def test_the_program_can_leave_at_any_time(keys: PipeInput) -> None:
    recorder = Recorder()
    recorder.screen.close()
    await recorder.screen.run()
    recorder.screen.close()
    recorder.screen.show("late", "")


async def test_being_cancelled_leaves(keys: PipeInput) -> None:
    recorder = Recorder()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.screen.run)
        nursery.cancel_scope.cancel()
