"""Servers with files, on each kind of store, and what is really there of the files."""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chat4all_actors.accounts.sealing import Sealing
from tests.life.conftest import PASSWORD, Accounts
from tests.life.file_client import Uploader
from tests.life.processes import ServerProcess, serving
from tests.life.rest import Rest
from tests.support.server import JWT_KEY
from tests.support.stored_files import Stored, s3_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.s3_server import S3Server

MIB = 1024 * 1024
CHUNK = 5 * MIB
LARGEST = 24 * MIB
QUOTA = 40 * MIB


class FileServer:
    """A server, its store and its users."""

    def __init__(self, process: ServerProcess, stored: Stored, s3: S3Server | None) -> None:
        self.process = process
        self.port = process.port
        self.stored = stored
        self.s3 = s3
        self._accounts = Accounts(stored.dsn)

    @property
    def store(self) -> str:
        """Of which kind it is."""
        return "local" if self.s3 is None else "S3"

    @property
    def workers(self) -> list[int]:
        """The pids of those who serve."""
        said = self.process.log.read_text()
        return [int(pid) for pid in re.findall(r"worker \d+ \(pid (\d+)\) accepts work", said)]

    def users(self, count: int) -> list[Uploader]:
        """So many users whom no other test knows, logged in."""
        nobody = Rest(self.port)
        names = self._accounts.take(count)
        return [Uploader(nobody.log_in(name, PASSWORD), name) for name in names]

    @staticmethod
    def sign(said: bytes) -> bytes:
        """As the server signs the addresses of its own store."""
        return Sealing(JWT_KEY).mac("file addresses", said)

    @staticmethod
    def group(owner: Uploader, *members: Uploader) -> str:
        """A new group of them."""
        body = {"type": "group", "members": [member.name for member in members]}
        id_: str = owner.rest.post("/v1/conversations", body)["conversation_id"]
        return id_


@contextmanager
def file_server(
    data_dir: Path,
    dsn: str,
    s3: S3Server | None,
    *flags: str,
    settings: Mapping[str, str] | None = None,
) -> Iterator[FileServer]:
    """A server with small limits for files and no sweeper, over a database of its own."""
    bucket = f"bucket-{secrets.token_hex(8)}"  # what other tests have left is in another one
    if s3 is not None:
        s3.client().create_bucket(Bucket=bucket)
    environment = {
        "CHAT4ALL_FILE_CHUNK_SIZE": str(CHUNK),
        "CHAT4ALL_FILE_MAX_SIZE": str(LARGEST),
        "CHAT4ALL_FILE_QUOTA": str(QUOTA),
        "CHAT4ALL_RATE_FILES_PER_MINUTE": "0",
        "CHAT4ALL_FILE_SWEEP_INTERVAL": "86400",  # nothing happens by itself
        **s3_settings(s3, bucket),
        **(settings or {}),
    }
    with serving(data_dir, "--postgres", dsn, *flags, env=environment) as process:
        yield FileServer(process, Stored(dsn, data_dir, s3, bucket), s3)
