from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.storage.moving.two_databases import Two

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.storage_servers import PostgresServer


@pytest.fixture
def two(postgres_server: PostgresServer) -> Iterator[Two]:
    with postgres_server.fresh_database() as one, postgres_server.fresh_database() as other:
        yield Two([one, other])
