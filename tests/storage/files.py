"""A catalogue of files in any state, with two handles on it and a way to let time pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.files import FileState, NewFile, Use, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_storage.ports.files import File, Files

STATES: tuple[FileState, ...] = get_args(FileState)
HASH, OTHER_HASH = b"h" * 32, b"o" * 32
LEASE = 60.0
DAY = 86_400.0
READY = Verdict("ready", mime="image/png", width=4, height=3, thumbnail="thumb")
UNSCANNED = Verdict("quarantined", "unscanned")
INFECTED = Verdict("rejected", "infected")


class FilePlace(NamedTuple):
    """A catalogue as two nodes have it."""

    files: Files
    other: Files
    later: Callable[[float], Awaitable[None]]
    """Make everything that was written so many seconds older."""


def new_file(owner: str = "ann", *, id: str | None = None, size: int = 100) -> NewFile:
    return NewFile(
        id=id or new_id(),
        owner=owner,
        name="holiday.png",
        size=size,
        mime="image/x-png",
        conversation=new_id(),
        key=f"key-{new_id()}",
        chunk_size=64,
    )


def a_use() -> Use:
    return Use(new_id(), new_id())


async def added(files: Files, file: NewFile | None = None, *, lifetime: float = DAY) -> File:
    return await files.add(file or new_file(), lifetime=lifetime, quota=0, max_uploads=0)


async def in_state(files: Files, state: FileState, *, owner: str = "ann") -> File:
    """A file that has come so far; `h` holds, or held, its check."""
    file = await added(files, new_file(owner))
    if state == "removing":
        await files.remove([file.id])
    elif state != "uploading":
        await files.begin_check(file.id, HASH, holder="h", lease=LEASE)
        verdicts = {"ready": READY, "quarantined": UNSCANNED, "rejected": INFECTED}
        if state in verdicts:
            assert await files.finish(file.id, verdicts[state], holder="h") is not None
    found = await stands(files, file.id)
    assert found.state == state
    return found


async def stands(files: Files, id_: str) -> File:
    found = await files.find(id_)
    assert found is not None
    return found


AGED_FILES = (
    """UPDATE files SET created_at = created_at - $1::interval,
           expires_at = expires_at - $1::interval, completed_at = completed_at - $1::interval,
           held_until = held_until - $1::interval, looked_at = looked_at - $1::interval,
           unused_since = unused_since - $1::interval""",
    "UPDATE file_uses SET noted_at = noted_at - $1::interval",
)
"""Statements that make what was written older by an interval."""
