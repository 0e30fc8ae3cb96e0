"""`chat4all files`: files by their state, and what an operator decides on them."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import trio

from chat4all_protocol.ids import UUID_PATTERN
from chat4all_storage.ports.errors import StorageError

from .chat_text import safe_line, size_of
from .flags import settings_of
from .main import FINDING, OK, USAGE, CommandError
from .opening import open_storage

if TYPE_CHECKING:
    import argparse

    from chat4all_storage.ports.files import File, Files

PAGE: Final = 100
"""Files that are read at once."""


def run(options: argparse.Namespace) -> int:
    """List, release or remove."""
    return trio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    for id_ in getattr(options, "files", ()):
        if not re.fullmatch(UUID_PATTERN, id_):
            raise CommandError(f"{id_!r} is no id of a file", code=USAGE)
    async with open_storage(settings_of(options), beside_server=True) as opened:
        files = opened.storage.files
        try:
            if options.action == "list":
                await _list(files, options)
                return OK
            return await _decide(files, options)
        except StorageError as error:
            raise CommandError(f"the directory could not do it: {error}") from error


async def _list(files: Files, options: argparse.Namespace) -> None:
    after: str | None = None
    while True:
        if options.owner is None:
            found = await files.quarantined(after, PAGE)
        else:
            found = await files.of(options.owner, after, PAGE)
        for file in found:
            _print(file, as_json=options.json)
        if len(found) < PAGE:
            return
        after = found[-1].id


async def _decide(files: Files, options: argparse.Namespace) -> int:
    """Release or remove each; 1 if there was one to which it could not be done."""
    code = OK
    for id_ in options.files:
        before = await files.find(id_)
        if options.action == "release":
            done = await files.release(id_)
        else:
            done = before if await files.remove([id_]) else None
        if done is None:
            state = "unknown" if before is None else before.state
            print(f"file {id_} is {state}: nothing was done", file=sys.stderr)
            code = FINDING
        else:
            _print(done, as_json=options.json)
    return code


def _print(file: File, *, as_json: bool) -> None:
    created = datetime.fromtimestamp(file.created_at / 1000, UTC).isoformat(timespec="seconds")
    if as_json:
        told = {
            "file_id": file.id,
            "uploaded_by": file.owner,
            "filename": file.name,
            "size": file.size,
            "mime_type": file.mime,
            "status": file.state,
            "reason": file.reason,
            "created_at": created,
        }
        print(json.dumps(told))
    else:
        state = file.state if file.reason is None else f"{file.state} ({file.reason})"
        shown = f"{size_of(file.size):>9}  {file.mime}  {safe_line(file.name)}"
        print(f"{file.id}  {state}  {safe_line(file.owner)}  {created}  {shown}")
