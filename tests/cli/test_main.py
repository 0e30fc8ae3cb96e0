from __future__ import annotations

import argparse
import os
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from chat4all_actors import __version__
from chat4all_actors.__main__ import main
from chat4all_actors.cli.arguments import COMMANDS
from chat4all_actors.cli.arguments import Command as Entry
from chat4all_actors.cli.main import (
    FINDING,
    INTERNAL,
    INTERRUPTED,
    OK,
    UNREACHABLE,
    USAGE,
    CommandError,
    run,
)
from chat4all_actors.config_loading import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

Capture = pytest.CaptureFixture[str]


class Command:
    """Stands in for `chat4all doctor`, so that no real command runs."""

    def __init__(self) -> None:
        self.options = argparse.Namespace()
        self.act: Callable[[], int] = lambda: OK
        self.module = ModuleType("chat4all_actors.cli.doctor")
        self.module.__dict__.update(run=self._run)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", nargs="*")
        parser.add_argument("--flag", type=int)

    def _run(self, options: argparse.Namespace) -> int:
        self.options = options
        return self.act()

    def fail(self, error: BaseException) -> int:
        """Run it so that it ends with this error."""

        def act() -> int:
            raise error

        self.act = act
        return run(["doctor"])


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    command = Command()
    entry = Entry("for the list", "What it is for.", command.add_arguments)
    monkeypatch.setitem(COMMANDS, "doctor", entry)
    monkeypatch.setitem(sys.modules, command.module.__name__, command.module)
    monkeypatch.delenv("CHAT4ALL_TRACEBACK", raising=False)
    return command


def group(*errors: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("from a nursery", errors)


# Commands


def test_the_exit_codes_are_what_scripts_rely_on() -> None:
    assert (OK, FINDING, USAGE, UNREACHABLE, INTERNAL, INTERRUPTED) == (0, 1, 2, 3, 4, 130)


def test_a_command_gets_its_arguments_and_gives_the_exit_code(command: Command) -> None:
    command.act = lambda: FINDING
    assert run(["doctor", "a", "b", "--flag", "5"]) == FINDING
    assert (command.options.names, command.options.flag) == (["a", "b"], 5)


def test_the_process_ends_with_the_exit_code(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.act = lambda: FINDING
    monkeypatch.setattr(sys, "argv", ["chat4all", "doctor"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == FINDING


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("serv", "serve"), ("docter", "doctor"), ("tokens", "token"), ("usr", "user")],
)
def test_an_unknown_command_suggests_the_nearest(capsys: Capture, typed: str, meant: str) -> None:
    assert run([typed]) == USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"chat4all: there is no command `{typed}`; did you mean `{meant}`?\n"


def test_a_command_that_is_near_to_none_suggests_none(capsys: Capture) -> None:
    assert run(["xyzzy"]) == USAGE
    assert capsys.readouterr().err == "chat4all: there is no command `xyzzy`\n"


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_names_every_command_and_goes_to_stdout(capsys: Capture, arguments: list[str]) -> None:
    if arguments:
        with pytest.raises(SystemExit) as ended:
            run(arguments)
        assert ended.value.code == OK
    else:
        assert run(arguments) == OK
    captured = capsys.readouterr()
    assert captured.err == ""
    for name, command in COMMANDS.items():
        assert re.search(rf"\n  {name} +{re.escape(command.summary)}\n", captured.out)


def test_the_help_of_a_command_begins_with_its_usage_and_what_it_is_for(
    command: Command, capsys: Capture
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["doctor", "--help"])
    assert ended.value.code == OK
    usage, said = capsys.readouterr().out.split("\n\n")[:2]
    assert usage.startswith("usage: chat4all doctor ")
    assert said == "What it is for."


def test_the_version_is_one_line(capsys: Capture) -> None:
    assert run(["--version"]) == OK
    assert capsys.readouterr().out == f"chat4all {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "program"), [(["--what"], "chat4all"), (["doctor", "--what"], "chat4all doctor")]
)
def test_an_unknown_flag_is_named_with_the_usage(
    command: Command, capsys: Capture, arguments: list[str], program: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    assert ended.value.code == USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    usage, *_, said = captured.err.splitlines()
    assert usage.startswith(f"usage: {program} ")
    assert said == f"{program}: unrecognized arguments: --what"


# Errors


def test_an_error_of_a_command_is_one_line_with_its_code(command: Command, capsys: Capture) -> None:
    assert command.fail(CommandError("no database")) == UNREACHABLE
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "chat4all: no database\n")


def test_what_mends_it_follows_on_a_line_of_its_own(command: Command, capsys: Capture) -> None:
    assert command.fail(CommandError("no password", "add --password P", code=USAGE)) == USAGE
    assert capsys.readouterr().err == "chat4all: no password\n  add --password P\n"


def test_a_setting_that_does_not_fit_is_an_error_of_usage(
    command: Command, capsys: Capture
) -> None:
    assert command.fail(ConfigError("--port: 'x' is not a valid value")) == USAGE
    assert capsys.readouterr().err == "chat4all: --port: 'x' is not a valid value\n"


def test_an_interrupt_ends_without_a_word(command: Command, capsys: Capture) -> None:
    assert command.fail(KeyboardInterrupt()) == INTERRUPTED
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("wrong"), USAGE),
        (CommandError("away"), UNREACHABLE),
        (CommandError("refused", code=FINDING), FINDING),
        (KeyboardInterrupt(), INTERRUPTED),
        (RuntimeError("a defect"), INTERNAL),
    ],
)
@pytest.mark.parametrize("depth", [1, 3])
def test_errors_are_found_in_the_groups_that_nurseries_make(
    command: Command, capsys: Capture, error: BaseException, code: int, depth: int
) -> None:
    wrapped = error
    for _ in range(depth):
        wrapped = group(wrapped)
    assert command.fail(wrapped) == code
    said = capsys.readouterr().err
    assert str(error) in said
    assert "Traceback" not in said
    assert "group" not in said.lower()


def test_of_several_errors_the_first_is_told(command: Command, capsys: Capture) -> None:
    assert command.fail(group(CommandError("first"), RuntimeError("second"))) == UNREACHABLE
    assert capsys.readouterr().err == "chat4all: first\n"


def test_a_defect_is_told_without_a_traceback_and_how_to_see_one(
    command: Command, capsys: Capture
) -> None:
    assert command.fail(RuntimeError("a defect")) == INTERNAL
    assert capsys.readouterr().err == (
        "chat4all: internal error: RuntimeError: a defect\n"
        "  set CHAT4ALL_TRACEBACK=1 to see where\n"
    )


def test_a_defect_is_raised_when_its_traceback_is_wanted(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT4ALL_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="a defect"):
        command.fail(RuntimeError("a defect"))
    with pytest.raises(BaseExceptionGroup):
        command.fail(group(RuntimeError("a defect")))


@pytest.mark.parametrize(
    ("error", "code"),
    [(CommandError("away"), UNREACHABLE), (KeyboardInterrupt(), INTERRUPTED)],
)
def test_what_is_no_defect_has_no_traceback_even_then(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    monkeypatch.setenv("CHAT4ALL_TRACEBACK", "1")
    assert command.fail(error) == code


def test_an_exit_of_the_command_itself_goes_through(command: Command) -> None:
    with pytest.raises(SystemExit) as ended:
        command.fail(SystemExit(7))
    assert ended.value.code == 7


def test_when_nobody_reads_the_output_the_command_ends_well(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    def act() -> int:
        print("to nobody", flush=True)
        return FINDING

    command.act = act
    with open(writer, "w") as nobody:
        monkeypatch.setattr(sys, "stdout", nobody)
        assert run(["doctor"]) == OK
        print("and nothing fails at the end either", flush=True)
    assert capsys.readouterr().err == ""
