from __future__ import annotations

import itertools
import ssl
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.life.processes import ServerProcess, chat4all, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.life.file_servers import FileServer
    from tests.support.s3_server import S3Server
    from tests.support.storage_servers import PostgresServer

BATCH = 100
PASSWORD = "a password"


class Accounts:
    """Registered names in one database, each given out once."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._numbers = itertools.count(1)
        self._free: list[str] = []

    def take(self, count: int) -> list[str]:
        while len(self._free) < count:
            names = [f"person{next(self._numbers)}" for _ in range(BATCH)]
            done = chat4all("user", "add", *names, "--password", PASSWORD, "--postgres", self._dsn)
            assert done.returncode == 0, done.stderr
            self._free += names
        taken, self._free = self._free[:count], self._free[count:]
        return taken


@dataclass(frozen=True)
class Certificate:
    """A certificate for `localhost` that signs itself, and its key."""

    cert: Path
    key: Path

    @property
    def flags(self) -> list[str]:
        """For `serve`."""
        return ["--tls-cert", str(self.cert), "--tls-key", str(self.key)]


class Names(Protocol):
    def __call__(self, count: int) -> list[str]:
        """So many registered users that no other test knows."""
        ...


class StartServer(Protocol):
    def __call__(self, *arguments: str, **settings: object) -> ServerProcess:
        """A server of the test's own, over the common database; lists are settings of many."""
        ...


@pytest.fixture(scope="session")
def life_database(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.fresh_database() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def accounts(life_database: str) -> Accounts:
    return Accounts(life_database)


@pytest.fixture
def names(accounts: Accounts) -> Names:
    return accounts.take


@pytest.fixture(scope="session")
def server(life_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server that most tests share: its settings are the defaults, its rates unlimited."""
    with serving(tmp_path_factory.mktemp("server"), "--postgres", life_database) as process:
        yield process


@pytest.fixture
def start_server(life_database: str, tmp_path: Path) -> Iterator[StartServer]:
    with ExitStack() as stack:
        numbers = itertools.count(1)

        def start(*arguments: str, **settings: object) -> ServerProcess:
            env = {f"CHAT4ALL_{name.upper()}": str(value) for name, value in settings.items()}
            data_dir = tmp_path / f"server{next(numbers)}"
            return stack.enter_context(
                serving(data_dir, "--postgres", life_database, *arguments, env=env)
            )

        yield start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    directory = tmp_path_factory.mktemp("tls")
    made = Certificate(directory / "cert.pem", directory / "key.pem")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(made.key), "-out", str(made.cert)]
    command = ["openssl", "req", "-x509", *curve, *subject, "-days", "2", *files]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture
def tls(certificate: Certificate) -> ssl.SSLContext:
    """A client that trusts the certificate."""
    return ssl.create_default_context(cafile=certificate.cert)


@pytest.fixture(scope="session")
def local_files(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FileServer]:
    """A server of two workers whose files are in a directory."""
    from tests.life.file_servers import file_server  # which makes accounts by what is above

    with (
        postgres_server.fresh_database() as dsn,
        file_server(tmp_path_factory.mktemp("files"), dsn, None, "--workers", "2") as server,
    ):
        yield server


@pytest.fixture(scope="session")
def s3_files(
    running_s3: S3Server,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[FileServer]:
    """A server of two workers whose files are in a bucket."""
    from tests.life.file_servers import file_server

    with (
        postgres_server.fresh_database() as dsn,
        file_server(tmp_path_factory.mktemp("files"), dsn, running_s3, "--workers", "2") as server,
    ):
        yield server


@pytest.fixture(params=["local", "s3"])
def files(request: pytest.FixtureRequest) -> FileServer:
    """A server with files, on each kind of store; both stay, in whatever order tests come."""
    server: FileServer = request.getfixturevalue(f"{request.param}_files")
    return server


@pytest.fixture
def unchanged(files: FileServer) -> Iterator[Callable[[], None]]:
    """Call it when everything is prepared: what is there then is there at the end."""
    before: list[tuple[Any, ...]] = []

    def begin() -> None:
        before.append(files.stored.everything())

    yield begin
    assert before == [files.stored.everything()]
