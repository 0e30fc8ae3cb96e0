from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_actors.cli import doctor
from chat4all_actors.cli.main import FINDING, USAGE, run
from chat4all_actors.config import Settings
from chat4all_connectors.base import Health
from chat4all_connectors.loopback.connector import Loopback
from tests.fakes.process import run_fake
from tests.fakes.telegram.client import open_people

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chat4all_actors.cli.doctor import Check
    from chat4all_connectors.base import HealthState

TOKEN = "7:s3cr3t"


@pytest.fixture(scope="module")
def fake() -> Iterator[str]:
    with run_fake("telegram") as url:
        yield url


def telegram(base_url: str, token: str = TOKEN) -> dict[str, Any]:
    return {"token": token, "mode": "polling", "base_url": base_url}


class Account(Loopback):
    """One that does as is said here."""

    def __init__(self, health: Health | None) -> None:
        super().__init__()
        self.said = health
        self.let_go = False

    async def health(self) -> Health:
        if self.said is None:
            await trio.sleep_forever()
            raise AssertionError
        return self.said

    async def disconnect(self) -> None:
        self.let_go = True


async def test_each_account_s_provider_is_asked_how_it_does(fake: str) -> None:
    async with open_people(fake, TOKEN, username="our_bot"):
        channels = {
            "telegram": telegram(fake),
            "telegram:wrong": telegram(fake, "8:s3cr3t"),
            "loopback": {},
        }
        checks = await doctor._channels(Settings(channels=channels))
    assert [(check.name, check.status) for check in checks] == [
        ("channel telegram", "ok"),
        ("channel telegram:wrong", "error"),
        ("channel loopback", "ok"),
    ]
    assert checks[1].found.startswith("dead: ")
    assert "token" in checks[1].mend
    assert "s3cr3t" not in str(checks)


async def test_a_provider_that_can_not_be_reached_is_a_warning() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        (check,) = await doctor._channels(Settings(channels={"telegram": telegram(url)}))
    assert check.status == "warning"
    assert check.found.startswith("degraded: ")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("connected", "ok"),
        ("degraded", "warning"),
        ("token_expiring", "warning"),
        ("dead", "error"),
    ],
)
async def test_what_an_account_s_health_is_worth(state: HealthState, status: str) -> None:
    account = Account(Health(state, "for a reason"))
    check: Check = await doctor._account("loopback", account)
    assert (check.name, check.status) == ("channel loopback", status)
    assert bool(check.mend) is (state != "connected")
    assert ("for a reason" in check.found) is (state != "connected")
    assert account.let_go


@pytest.mark.usefixtures("autojump_clock")
async def test_a_provider_that_does_not_answer_is_given_up() -> None:
    account = Account(None)
    check = await doctor._account("loopback", account)
    assert (check.status, check.found) == ("warning", "no answer within 10 s")
    assert account.let_go


def test_the_command_asks_for_the_accounts_of_its_settings(
    tmp_path: Path, fake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "chat4all.toml"
    file.write_text(f'[channels.telegram]\nmode = "polling"\nbase_url = "{fake}"\n')
    monkeypatch.setenv("CHAT4ALL_CHANNELS__TELEGRAM__TOKEN", "9:s3cr3t")
    code = run(["doctor", "--config", str(file), "--data-dir", str(tmp_path), "--port", "0"])
    captured = capsys.readouterr()
    assert code == FINDING
    assert "ERROR    channel telegram: dead: " in captured.out
    assert "s3cr3t" not in captured.out + captured.err


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_accounts_that_can_not_be_set_up_keep_a_command_that_uses_them_from_running(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "chat4all.toml"
    file.write_text('[channels.telegram]\ntoken = "s3cr3t"\nmode = "polling"\n')
    assert run([command, "--config", str(file)]) == USAGE
    captured = capsys.readouterr()
    assert captured.err.startswith("chat4all: channels.telegram.token: expected ")
    assert captured.out == ""
    assert "s3cr3t" not in captured.err
