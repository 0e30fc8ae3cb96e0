from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest

from chat4all_storage.bridge import Bridge, open_bridge
from tests.support.s3_server import S3Server, run_s3
from tests.support.storage_servers import PostgresServer, run_postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: three to two processors, as tests also wait for servers."""
    return len(os.sched_getaffinity(0)) * 3 // 2


def pytest_configure(config: pytest.Config) -> None:
    """Let the processes that tests start find our modules compiled, whatever the environment says.

    There are hundreds of them: each would compile all it imports, 2 s of processor time.
    """
    if os.environ.get("PYTHONDONTWRITEBYTECODE") and not hasattr(config, "workerinput"):
        directory = tempfile.mkdtemp(prefix="chat4all-bytecode-")
        environment = pytest.MonkeyPatch()
        environment.delenv("PYTHONDONTWRITEBYTECODE")
        environment.setenv("PYTHONPYCACHEPREFIX", directory)
        config.add_cleanup(environment.undo)
        config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests that leave it as it is."""
    with run_postgres() as server:
        yield server


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """The DSN of a migrated database for one test."""
    with postgres_server.fresh_database() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def running_s3() -> Iterator[S3Server]:
    """One S3 server for all tests that leave it running; it starts in seconds."""
    with run_s3() as server:
        yield server


@pytest.fixture
def s3_server(running_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """An S3 server with a bucket, and the credentials for it in the environment."""
    for name, text in running_s3.environment.items():
        monkeypatch.setenv(name, text)
    return running_s3


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    async with open_bridge() as bridge:
        yield bridge
