"""Where a server of this machine listens: a file in its data directory, while it runs."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from .main import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..config import Settings

SERVER_FILE: Final = "server.json"


@contextmanager
def announced(settings: Settings, url: str) -> Iterator[None]:
    """Let commands on this machine find the server at `url` by its data directory.

    Raises:
        CommandError: the data directory can't be written.
    """
    data_dir = Path(settings.data_dir)
    file = data_dir / SERVER_FILE
    draft = data_dir / f".{SERVER_FILE}.{os.getpid()}"
    content = msgspec.json.encode({"url": url, "pid": os.getpid()})
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(file)
    except OSError as error:
        raise CommandError(f"{data_dir} can't be written: {error.strerror}") from error
    try:
        yield
    finally:
        if file.exists() and file.read_bytes() == content:  # not another server's by now
            file.unlink()


def server_url(data_dir: str) -> str | None:
    """Where the server that uses this data directory said it listens."""
    try:
        announced_ = msgspec.json.decode((Path(data_dir) / SERVER_FILE).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    url = announced_.get("url") if isinstance(announced_, dict) else None
    return url if isinstance(url, str) else None
