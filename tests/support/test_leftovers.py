from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.leftovers import run


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the temporary directory of a command is made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def python(script: str) -> list[str]:
    return [sys.executable, "-c", f"import os, subprocess, sys, tempfile; {script}"]


def test_a_command_that_cleans_up_ends_with_0_and_its_directory_is_gone(tmp_path: Path) -> None:
    assert run(python("tempfile.TemporaryDirectory().cleanup()"), []) == 0
    assert list(tmp_path.iterdir()) == []


def test_what_pytest_keeps_is_not_left_behind() -> None:
    assert run(python("os.mkdir(tempfile.gettempdir() + '/pytest-of-me')"), []) == 0


def test_a_command_that_fails_fails_with_its_code() -> None:
    assert run(python("sys.exit(5)"), []) == 5


def test_a_file_is_told_and_kept(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(python("print(tempfile.mkstemp()[1], flush=True)"), []) == 1
    told = capfd.readouterr()
    assert f"left behind: {told.out.strip()}\n" in told.err
    assert Path(told.out.strip()).exists()


def test_what_is_new_and_named_after_us_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "chat4all-old").touch()
    script = f"open({str(place)!r} + '/chat4all-new', 'w'); open({str(place)!r} + '/other', 'w')"
    assert run(python(script), [place]) == 1
    told = capfd.readouterr().err
    assert "chat4all-new" in told
    assert "chat4all-old" not in told
    assert "other" not in told


def test_a_process_that_goes_on_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    lasting = "subprocess.Popen(['sleep', '600'], start_new_session=True)"
    assert run(python(f"print({lasting}.pid, flush=True)"), [], ending=0.0) == 1
    told = capfd.readouterr()
    os.kill(pid := int(told.out), signal.SIGKILL)
    assert f"left behind: process {pid}: sleep 600\n" in told.err


def test_a_process_that_is_ending_is_waited_for() -> None:
    assert run(python("subprocess.Popen(['sleep', '0.3'])"), []) == 0
