from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from chat4all_actors.accounts.tokens import load_key
from chat4all_actors.cli import opening
from chat4all_actors.cli.main import UNREACHABLE, USAGE, CommandError
from chat4all_actors.cli.opening import (
    local_objects,
    open_storage,
    signing_key,
)
from chat4all_actors.config import Settings
from chat4all_storage.embedded.embedded import Addresses, EmbeddedError
from chat4all_storage.local.addresses import Download, Forbidden
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.ports.events import Rules
from chat4all_storage.ports.objects import Shown
from chat4all_storage.storage import memory_storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from chat4all_storage.embedded.embedded import EmbeddedServers
    from chat4all_storage.storage import Storage

REDIS = "redis://configured"


# The signing key


def test_the_configured_key_is_used_and_none_is_made(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / "data"), jwt_key="k" * 32)
    assert signing_key(settings) == "k" * 32
    assert not (tmp_path / "data").exists()


def test_without_one_the_data_directory_keeps_its_own(settings: Settings, tmp_path: Path) -> None:
    key = signing_key(settings)
    assert key == signing_key(settings) == load_key(tmp_path / "data")


def test_a_key_that_can_not_be_kept_is_told_with_what_mends_it(no_directory: Settings) -> None:
    with pytest.raises(CommandError, match="signing key") as caught:
        signing_key(no_directory)
    assert "CHAT4ALL_JWT_KEY" in caught.value.mend
    assert "--data-dir" in caught.value.mend


# Files


async def test_without_a_bucket_files_are_in_the_data_directory_which_is_not_made_yet(
    databases: Databases, tmp_path: Path
) -> None:
    settings = Settings(postgres=["a"], data_dir=str(tmp_path / "data"))
    async with open_storage(settings) as opened:
        assert opened.storage.objects.name == f"directory {tmp_path / 'data' / 'files'}"
    assert not (tmp_path / "data").exists()


async def test_addresses_of_files_are_good_on_every_node_with_the_same_key(
    settings: Settings, tmp_path: Path
) -> None:
    shown = Shown("name", "text/plain")
    one, same = local_objects(settings), local_objects(settings)
    other = local_objects(replace(settings, jwt_key="another key, of 32 bytes and more"))
    address = urlsplit((await one.address("key", shown, lifetime=60, base="http://x")).url)
    assert isinstance(same.addresses.judge(address.path, address.query), Download)
    with pytest.raises(Forbidden):
        other.addresses.judge(address.path, address.query)


# The databases


class Bridge:
    """Nothing is called over it but the closing of what was never opened."""

    async def call(self, fn: Any, *arguments: object, timeout: float) -> None:
        pass


class Databases:
    """Stands in for everything that would start or connect."""

    def __init__(self) -> None:
        self.opened: list[tuple[list[str], dict[str, Any]]] = []
        self.started: list[dict[str, Any]] = []
        self.running: Addresses | OSError | None = None
        self.fails: Exception | None = None
        self.open = 0

    @asynccontextmanager
    async def open_bridge(self) -> AsyncIterator[object]:
        yield Bridge()

    @asynccontextmanager
    async def open_postgres(
        self, bridge: object, dsns: Sequence[str], **options: Any
    ) -> AsyncIterator[Storage]:
        if isinstance(self.fails, Unavailable | Rejected):
            raise self.fails
        self.opened.append((list(dsns), options))
        self.open += 1
        try:
            yield memory_storage()
        finally:
            self.open -= 1

    @asynccontextmanager
    async def open_embedded(self, data_dir: Path, **options: Any) -> AsyncIterator[EmbeddedServers]:
        if isinstance(self.fails, EmbeddedError):
            raise self.fails
        self.started.append({"data_dir": str(data_dir), **options})
        self.open += 1
        try:
            postgres = "embedded" if options["postgres"] else ""
            redis = "unix://embedded" if options["redis"] else ""
            yield cast("EmbeddedServers", Addresses(postgres, redis, {}))
        finally:
            self.open -= 1

    def find_embedded(self, data_dir: Path) -> Addresses | None:
        if isinstance(self.running, OSError):
            raise self.running
        return self.running


@pytest.fixture
def databases(monkeypatch: pytest.MonkeyPatch) -> Databases:
    databases = Databases()
    for name in ("open_bridge", "open_postgres", "open_embedded", "find_embedded"):
        monkeypatch.setattr(opening, name, getattr(databases, name))
    return databases


async def test_configured_databases_are_opened_and_nothing_is_started(
    databases: Databases,
) -> None:
    settings = Settings(postgres=["a", "b"], migrate=False, max_members=50)
    async with open_storage(settings) as opened:
        assert (opened.embedded, opened.redis) == (None, None)
        assert databases.open == 1
    assert databases.opened == [
        (["a", "b"], {"apply_migrations": False, "rules": Rules(member_limit=50)})
    ]
    assert (databases.started, databases.open) == ([], 0)


@pytest.mark.parametrize("throwaway", [True, False])
async def test_without_any_an_embedded_one_is_started_in_the_data_directory(
    databases: Databases, settings: Settings, throwaway: bool
) -> None:
    databases.running = Addresses("of a server", "", {})
    async with open_storage(settings, throwaway=throwaway) as opened:
        assert opened.embedded is not None
        assert opened.redis == "unix://embedded"
    assert databases.started == [
        {
            "data_dir": settings.data_dir,
            "postgres": True,
            "redis": True,
            "throwaway": throwaway,
        }
    ]
    assert [dsns for dsns, _ in databases.opened] == [["embedded"]]
    assert databases.open == 0


@pytest.mark.parametrize(
    ("postgres", "redis", "workers", "started", "used"),
    [
        ([], None, 1, {"postgres": True, "redis": True}, "unix://embedded"),
        ([], REDIS, 1, {"postgres": True, "redis": False}, REDIS),
        (["a"], None, 1, None, None),
        (["a"], None, 2, {"postgres": False, "redis": True}, "unix://embedded"),
        (["a"], REDIS, 2, None, REDIS),
    ],
)
async def test_redis_is_embedded_where_a_node_needs_one_that_is_not_configured(
    databases: Databases,
    settings: Settings,
    postgres: list[str],
    redis: str | None,
    workers: int,
    started: dict[str, bool] | None,
    used: str | None,
) -> None:
    settings = replace(settings, postgres=postgres, redis=redis, workers=workers)
    async with open_storage(settings) as opened:
        assert opened.redis == used
    assert [each | (started or {}) for each in databases.started] == databases.started
    assert len(databases.started) == (started is not None)
    assert [dsns for dsns, _ in databases.opened] == [postgres or ["embedded"]]


async def test_beside_a_server_its_embedded_ones_are_used(
    databases: Databases, settings: Settings
) -> None:
    databases.running = Addresses("of a server", "unix://of a server", {})
    async with open_storage(settings, beside_server=True) as opened:
        assert (opened.embedded, opened.redis) == (None, "unix://of a server")
    assert [dsns for dsns, _ in databases.opened] == [["of a server"]]
    assert databases.started == []


@pytest.mark.parametrize("running", [None, Addresses("", "redis", {})])
async def test_beside_no_server_it_is_started(
    databases: Databases, settings: Settings, running: Addresses | None
) -> None:
    databases.running = running
    async with open_storage(settings, beside_server=True) as opened:
        assert [each["redis"] for each in databases.started] == [False]
        assert opened.redis is None


@pytest.mark.parametrize(
    ("error", "said", "mend", "code"),
    [
        (Unavailable("refused"), "PostgreSQL can't be reached: refused", "--postgres", UNREACHABLE),
        (Rejected("newer"), "the database does not fit: newer", "", USAGE),
        (EmbeddedError("in use", "by pid 5", "stop it"), "in use", "", UNREACHABLE),
    ],
)
async def test_what_can_not_be_opened_is_told(
    databases: Databases, settings: Settings, error: Exception, said: str, mend: str, code: int
) -> None:
    databases.fails = error
    with pytest.raises(CommandError, match=said) as caught:
        async with open_storage(settings):
            raise AssertionError("not reached")
    assert mend in caught.value.mend
    assert caught.value.code == code
    assert databases.open == 0


async def test_a_directory_of_somebody_else_is_told(
    databases: Databases, settings: Settings
) -> None:
    databases.running = PermissionError(13, "Permission denied")
    with pytest.raises(CommandError, match="Permission denied") as caught:
        async with open_storage(settings, beside_server=True):
            raise AssertionError("not reached")
    assert settings.data_dir in caught.value.message


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 40])
def test_a_file_that_holds_no_key_is_named(settings: Settings, content: bytes) -> None:
    signing_key(settings)
    path = os.path.join(settings.data_dir, "jwt.key")
    with open(path, "wb") as file:
        file.write(content)
    with pytest.raises(CommandError, match=r"jwt\.key holds no key") as caught:
        signing_key(settings)
    assert caught.value.code == USAGE
