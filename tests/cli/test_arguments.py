from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from chat4all_actors.cli.arguments import COMMANDS, DEFAULT_URL
from chat4all_actors.cli.flags import add_settings, settings_of
from chat4all_actors.cli.main import OK, USAGE
from chat4all_actors.config import Settings
from chat4all_actors.config_loading import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

OURS: Final = {"chat4all_actors", "chat4all_bench", "chat4all_storage"}
SLOW: Final = {"asyncio", "ssl"}
"""Of the standard library."""
HARNESS: Final = {"msgspec", "typing_extensions"}
"""What `bench` takes for the types of what it measures: there in a moment."""

PROGRAM: Final = """
import contextlib, io, json, sys
known = set(sys.modules)

from chat4all_actors.cli.arguments import COMMANDS
from chat4all_actors.cli.main import run

def end(*arguments):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = run(arguments)
        except SystemExit as exit:
            code = exit.code
    return code, said.getvalue()

for name in COMMANDS:
    ends = end(name, "--help"), end(name, "--no-such-flag")
    print(json.dumps([name, *ends, sorted(set(sys.modules) - known)]))
    known |= set(sys.modules)
"""
"""For each command: how its help and a usage error end, and which modules came for them."""


# Help


def test_help_and_usage_errors_import_nothing_that_a_command_needs_to_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, *_ in lines] == list(COMMANDS)
    for name, (helped, help_), (refused, usage), imported in lines:
        assert (helped, refused) == (OK, USAGE)
        assert help_.startswith(f"usage: chat4all {name} ")
        assert usage.startswith(f"usage: chat4all {name} ")
        light = sys.stdlib_module_names - SLOW | OURS | (HARNESS if name == "bench" else set())
        assert [module for module in imported if module.partition(".")[0] not in light] == []
        assert f"chat4all_actors.cli.{name}" not in imported
        assert "chat4all_storage.storage" not in imported


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("host", "({})"),
        ("port", "({})"),
        ("data_dir", "(./{})"),
        ("workers", "({})"),
        ("jwt_algorithm", "({})"),
        ("drain_timeout", "({:.0f})"),
    ],
)
def test_the_default_that_help_tells_is_that_of_the_setting(
    name: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    parser = argparse.ArgumentParser()
    add_settings(parser, name)
    assert form.format(getattr(Settings(), name)) in parser.format_help()


def test_chat_looks_where_a_server_listens_by_default() -> None:
    settings = Settings()
    assert f"http://{settings.host}:{settings.port}" == DEFAULT_URL


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_module_of_its_name_that_runs_it(name: str) -> None:
    assert callable(importlib.import_module(f"chat4all_actors.cli.{name}").run)


# Settings


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_settings(parser, "host", "port", "postgres", "migrate", "drain_timeout")
    return parser.parse_args(arguments)


@pytest.fixture
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CHAT4ALL_"):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("_no_environment")
def test_flags_become_settings() -> None:
    settings = settings_of(
        parsed("--host", "::1", "--port", "5", "--postgres", "a", "--postgres", "b", "--no-migrate")
    )
    assert (settings.host, settings.port, settings.migrate) == ("::1", 5, False)
    assert settings.postgres == ["a", "b"]


@pytest.mark.usefixtures("_no_environment")
def test_flags_that_were_not_given_leave_the_other_sources_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "chat4all.toml"
    file.write_text('port = 1\nhost = "h"\nmigrate = false\npostgres = ["p"]\n')
    monkeypatch.setenv("CHAT4ALL_PORT", "2")
    settings = settings_of(parsed("--config", str(file), "--drain-timeout", "5"))
    assert (settings.port, settings.host, settings.migrate) == (2, "h", False)
    assert (settings.postgres, settings.drain_timeout) == (["p"], 5.0)


@pytest.mark.usefixtures("_no_environment")
def test_a_flag_that_does_not_fit_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^--drain-timeout: 'soon'"):
        settings_of(parsed("--drain-timeout", "soon"))
