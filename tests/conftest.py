from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_storage.bridge import Bridge, open_bridge
from tests.support.storage_servers import PostgresServer, run_postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


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


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    async with open_bridge() as bridge:
        yield bridge
