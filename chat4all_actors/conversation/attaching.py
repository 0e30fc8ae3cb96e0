"""Messages with a file on their way to the log: whose file it is, and what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from chat4all_protocol.codec import encode_body
from chat4all_storage.sharding import everywhere

from ..files.errors import FileRefused

if TYPE_CHECKING:
    from chat4all_protocol.frames import FileBody
    from chat4all_storage.ports.events import Append, StoredEvent
    from chat4all_storage.sharding.shards import Shards

    from ..files.service import FileService


async def attached(
    files: FileService, shards: Shards, append: Append, body: FileBody, *, field: str
) -> Append:
    """The same message or edit, whose body tells what its file is.

    A message that stands is not refused when it is sent again, whatever has become of its file
    since: it was acknowledged.

    Args:
        field: what to name in a refusal.

    Raises:
        FileRefused: the sender has no such file, or it is not ready.
        StorageError: nothing can be said for now.
    """
    try:
        whole = await files.attach(append.sender, body, append.conversation, append.id, field=field)
    except FileRefused:
        stored = await _standing(shards, append)
        if stored is None:
            raise
        return replace(append, body=stored.body)
    return replace(append, body=encode_body(whole))


async def _standing(shards: Shards, append: Append) -> StoredEvent | None:
    """The event, if it was stored before."""
    for found in await everywhere.find(shards, append.id, append.sender):
        if found.conversation == append.conversation and found.event.sender == append.sender:
            return found.event
    return None
