"""The commands as processes: what they print, where, and how they end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from chat4all_actors.accounts.tokens import Tokens
from chat4all_protocol.frames import Connect, Send, TextBody
from chat4all_protocol.ids import new_id
from tests.life.devices import people
from tests.life.processes import chat4all, serving
from tests.life.raw_sockets import RawSocket, request
from tests.support.server import JWT_KEY, environment, token

if TYPE_CHECKING:
    from pathlib import Path

    from tests.life.conftest import Names, StartServer
    from tests.life.processes import ServerProcess

PASSWORD = ("--password", "a password")
HEAVY = ["asyncpg", "trio", "msgspec", "bcrypt", "jwt", "redis", "uvloop", "h11", "ssl", "asyncio"]


@pytest.fixture
def database(life_database: str) -> tuple[str, str]:
    """The flags of the database that the tests share."""
    return "--postgres", life_database


def fresh(count: int) -> list[str]:
    """Names that nobody has registered."""
    return [f"new-{new_id()[:12]}" for _ in range(count)]


def assert_told(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """It failed with this code, and a message with these words that is no traceback."""
    assert done.returncode == code, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


# serve


def test_serve_prints_one_line_on_stdout_and_listens_there(server: ServerProcess) -> None:
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert server.port > 0
    with RawSocket(server.port) as connection:
        connection.upgrade()


def test_serve_prints_nothing_else_on_stdout_until_its_end(start_server: StartServer) -> None:
    server = start_server()
    with RawSocket(server.port) as connection:
        connection.upgrade()
        assert connection.receive_message()["t"] == "hello"
    assert server.stop() == 0
    assert server.stdout.read() == ""


def test_serve_on_a_port_that_is_in_use_ends_with_3(
    server: ServerProcess, database: tuple[str, str], tmp_path: Path
) -> None:
    done = chat4all("serve", "--port", str(server.port), "--data-dir", str(tmp_path), *database)
    assert_told(done, 3, str(server.port), "--port")


def test_serve_on_an_admin_port_that_is_in_use_ends_with_3(
    server: ServerProcess, database: tuple[str, str], tmp_path: Path
) -> None:
    flags = ["--port", "0", "--admin-port", str(server.port), "--data-dir", str(tmp_path)]
    assert_told(chat4all("serve", *flags, *database), 3, str(server.port), "--admin-port")


def test_serve_without_its_database_ends_with_3(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        dsn = f"postgresql://x:a-secret@127.0.0.1:{nobody.getsockname()[1]}/x"
        flags = ["--port", "0", "--data-dir", str(tmp_path), "--postgres", dsn]
        done = chat4all("serve", *flags)
    assert_told(done, 3, "PostgreSQL", "--postgres")
    assert "a-secret" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "env", "name"),
    [
        (["--port", "99999"], {}, "port"),
        (["--port", "many"], {}, "--port"),
        ([], {"CHAT4ALL_MAX_FRAME": "abc"}, "CHAT4ALL_MAX_FRAME"),
        ([], {"CHAT4ALL_MAX_FRAME": "1"}, "max_frame"),
        ([], {"CHAT4ALL_MIGRATE": "perhaps"}, "CHAT4ALL_MIGRATE"),
        ([], {"CHAT4ALL_HEARTBEAT": "0"}, "heartbeat"),
        ([], {"CHAT4ALL_JWT_KEY": "short"}, "jwt_key"),
        ([], {"CHAT4ALL_ALLOWED_ORIGINS": "chat.example.org"}, "allowed_origins"),
        (["--log-format", "xml"], {}, "log_format"),
        (["--log-level", "loud"], {}, "log_level"),
        (["--tls-cert", "cert.pem"], {}, "tls_key"),
        (["--tls-cert", "missing.pem", "--tls-key", "missing.pem"], {}, "--tls-cert"),
        (["--config", "missing.toml"], {}, "missing.toml"),
        (["--unknown-flag"], {}, "--unknown-flag"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list | dict) else value,
)
def test_a_setting_that_is_wrong_ends_with_2_and_is_named(
    tmp_path: Path, flags: list[str], env: dict[str, str], name: str
) -> None:
    done = chat4all("serve", "--data-dir", str(tmp_path / "data"), *flags, env=env, cwd=tmp_path)
    assert_told(done, 2, name)
    assert not (tmp_path / "data" / "postgres").exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("max_txt = 5\n", "max_txt"),
        ("max_text = 'five'\n", "max_text"),
        ("port = 70000\n", "port"),
        ("this is no toml", "not valid TOML"),
    ],
)
def test_a_configuration_file_that_is_wrong_ends_with_2_and_is_named(
    tmp_path: Path, content: str, named: str
) -> None:
    file = tmp_path / "chat4all.toml"
    file.write_text(content)
    assert_told(chat4all("serve", "--config", str(file)), 2, str(file), named)


def limits(server: ServerProcess) -> dict[str, int]:
    """What the server tells of its settings."""
    with RawSocket(server.port) as connection:
        connection.upgrade(request())
        hello = connection.receive_message()
    return {**hello["limits"], "heartbeat_ms": hello["heartbeat_ms"]}


def test_a_flag_beats_the_environment_which_beats_the_file(
    tmp_path: Path, database: tuple[str, str]
) -> None:
    port = socket.create_server(("127.0.0.1", 0))
    taken = port.getsockname()[1]
    file = tmp_path / "chat4all.toml"
    file.write_text(f"port = {taken}\nmax_text = 111\nmax_inflight = 11\nheartbeat = 5\n")
    env = {"CHAT4ALL_PORT": str(taken), "CHAT4ALL_MAX_TEXT": "222"}
    with (
        port,
        serving(tmp_path / "data", "--config", str(file), *database, env=env) as server,
    ):
        assert server.port != taken  # `--port 0`
        told = limits(server)
    assert (told["text"], told["inflight"], told["heartbeat_ms"]) == (222, 11, 5000)
    assert told["frame"] == 65_536


# user, token, migrate


def test_several_users_are_added_at_once_and_their_tokens_come_in_order(
    database: tuple[str, str],
) -> None:
    names = fresh(3)
    added = chat4all("user", "add", *names, *PASSWORD, *database)
    assert (added.returncode, added.stderr) == (0, "")
    ids = dict(line.split() for line in added.stdout.splitlines())
    assert list(ids) == names
    wanted = [names[2], names[0], names[1], names[0]]
    issued = chat4all("token", *wanted, *database)
    assert (issued.returncode, issued.stderr) == (0, "")
    identities = [Tokens(JWT_KEY).verify(line) for line in issued.stdout.splitlines()]
    assert [identity.username for identity in identities] == wanted
    assert [identity.user_id for identity in identities] == [ids[name] for name in wanted]


def test_a_name_that_is_taken_ends_with_1_and_the_others_are_added(
    database: tuple[str, str],
) -> None:
    first, second, third = fresh(3)
    assert chat4all("user", "add", first, *PASSWORD, *database).returncode == 0
    again = chat4all("user", "add", second, first.upper(), third, *PASSWORD, *database)
    assert again.returncode == 1
    assert first.upper() in again.stderr
    assert [line.split()[0] for line in again.stdout.splitlines()] == [second, third]
    assert len(chat4all("token", second, third, *database).stdout.splitlines()) == 2


@pytest.mark.parametrize("name", ["", "with space", "-dash", "x" * 65, "ends."])
def test_a_name_that_can_not_be_ends_with_2(database: tuple[str, str], name: str) -> None:
    assert_told(chat4all("user", "add", *PASSWORD, *database, "--", name), 2, name)


def test_a_password_that_is_too_short_ends_with_2(database: tuple[str, str]) -> None:
    flags = ("--password", "short", *database)
    assert_told(chat4all("user", "add", *fresh(1), *flags), 2, "password")


def test_a_token_needs_a_user_and_the_right_password(database: tuple[str, str]) -> None:
    known, unknown = fresh(2)
    assert chat4all("user", "add", known, *PASSWORD, *database).returncode == 0
    assert chat4all("token", known, *PASSWORD, *database).returncode == 0
    assert_told(chat4all("token", known, "--password", "another one", *database), 3, known)
    assert_told(chat4all("token", known, unknown, *database), 3, unknown, "user add")


def test_json_reports_one_object_a_line(database: tuple[str, str]) -> None:
    names = fresh(2)
    added = chat4all("user", "add", *names, *PASSWORD, "--json", *database)
    assert [json.loads(line)["username"] for line in added.stdout.splitlines()] == names
    issued = chat4all("token", *names, "--json", *database)
    assert [json.loads(line)["username"] for line in issued.stdout.splitlines()] == names
    migrated = chat4all("migrate", "--json", *database)
    assert [json.loads(line) for line in migrated.stdout.splitlines()] == [
        {"database": 1, "applied": []}
    ]


async def test_accounts_of_a_data_directory_work_beside_its_server_and_without_it(
    tmp_path: Path,
) -> None:
    flags = ("--data-dir", str(tmp_path / "data"))
    env = {"CHAT4ALL_JWT_KEY": ""}  # the data directory's own
    assert chat4all("user", "add", "ana", *PASSWORD, *flags, env=env).returncode == 0
    before = chat4all("token", "ana", *flags, env=env).stdout.strip()
    with serving(tmp_path / "data", env=env) as server:
        assert chat4all("user", "add", "bob", *PASSWORD, *flags, env=env).returncode == 0
        assert chat4all("migrate", *flags, env=env).returncode == 0
        during = chat4all("token", "bob", "ana", *flags, env=env).stdout.splitlines()
        async with people(server) as here:
            for name, access_token in (("ana", before), ("bob", during[0]), ("ana", during[1])):
                device = here.device()
                ready = await device.present(access_token, new_id())
                assert getattr(ready, "user", ready) == name
            conv = await device.create("private", ["bob"])
        assert server.stop() == 0
    assert sorted(conv.members) == ["ana", "bob"]
    after = chat4all("token", "bob", *flags, env=env)
    assert (after.returncode, len(after.stdout.split())) == (0, 1)


def test_migrate_may_be_repeated(tmp_path: Path) -> None:
    flags = ("--data-dir", str(tmp_path / "data"))
    first, second = chat4all("migrate", *flags), chat4all("migrate", *flags)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "up to date" not in first.stdout
    assert second.stdout == "database 1: up to date\n"


# Help, and what is unknown


@pytest.mark.parametrize(
    ("typed", "meant"), [("serv", "serve"), ("tokn", "token"), ("migrat", "migrate")]
)
def test_an_unknown_command_suggests_the_one_that_was_meant(typed: str, meant: str) -> None:
    assert_told(chat4all(typed), 2, f"`{typed}`", f"`{meant}`")


def test_an_unknown_command_that_is_like_no_other_suggests_none() -> None:
    done = chat4all("xyzzy")
    assert_told(done, 2, "`xyzzy`")
    assert "did you mean" not in done.stderr


def test_help_names_every_command(tmp_path: Path) -> None:
    done = chat4all("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("demo", "serve", "migrate", "user", "token", "chat", "doctor"):
        assert name in done.stdout
    assert chat4all().stdout == done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["serve", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['chat4all', *{arguments!r}]\n"
        "from chat4all_actors.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout
    assert set(HEAVY).isdisjoint(done.stderr.split())


@pytest.mark.parametrize("command", ["serve", "migrate", "user", "token", "demo", "doctor"])
def test_each_command_has_a_help(command: str) -> None:
    done = chat4all(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"chat4all {command}" in done.stdout


def test_no_command_imports_the_redis_client_before_it_knows_of_a_redis() -> None:
    commands = ["serve", "worker", "user", "token", "migrate", "shards", "chat", "doctor"]
    modules = ", ".join(f"chat4all_actors.cli.{name}" for name in commands)
    program = f"import sys, {modules}; print('redis' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "False\n"


def test_an_output_that_nobody_reads_is_no_error(database: tuple[str, str], names: Names) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "chat4all_actors", "token", *names(2), *database],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


# Logs


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_neither_tokens_nor_passwords_nor_messages_are_logged(
    start_server: StartServer, names: Names, log_format: str
) -> None:
    server = start_server("--log-level", "debug", "--log-format", log_format)
    ana, _ = names(2)
    good, bad = token(ana), "bad-token-" + new_id()
    marker, secret = f"marker-{new_id()}", f"in-the-url-{new_id()}"
    with RawSocket(server.port) as connection:
        connection.upgrade()
        connection.send_frame(Connect(token=good, device="d"))
        send = Send(rid=1, conv=new_id(), id=new_id(), body=TextBody(marker), meta={"m": marker})
        connection.send_frame(send)
        seen = [connection.receive_message()["t"] for _ in range(3)]
        assert seen == ["hello", "ready", "error"]
    with RawSocket(server.port) as connection:
        connection.upgrade()
        connection.send_frame(Connect(token=bad, device="d"))
        assert connection.receive_message()["t"] == "hello"
        assert connection.receive_close() == 3500
    for opening in (
        request(target=f"/ws?token={secret}"),
        request(target=f"/elsewhere?token={secret}"),
        request(f"Authorization: Bearer {secret}", Upgrade=None),
        f"{secret}\r\n\r\n".encode(),
    ):
        with RawSocket(server.port) as connection:
            connection.send(opening)
            connection.end()  # what goes on in HTTP would wait for more
            assert connection.response().status >= 400
    assert server.stop() == 0
    log = server.log.read_text()
    assert "SIGTERM" in log
    for hidden in (good, bad, marker, secret, JWT_KEY):
        assert hidden not in log
    if log_format == "json":
        assert {json.loads(line)["level"] for line in log.splitlines()} >= {"info"}
