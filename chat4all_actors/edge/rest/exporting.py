"""A user's copy of its account: a ZIP that is made while it is sent, in constant memory."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, Final

import msgspec

from chat4all_storage.sharding import everywhere

from . import views
from .models import moment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.ports.audit import AuditEntry
    from chat4all_storage.ports.files import File
    from chat4all_storage.ports.queries import Listed
    from chat4all_storage.storage import Storage

AT_ONCE: Final = 200
"""Events, or files, that are read together."""


class _Sink(io.RawIOBase):
    """Takes what the archive writes until it is sent; it has no way back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """What was written since."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


async def archive(storage: Storage, user_id: str, username: str) -> AsyncIterator[bytes]:
    """The archive, piece by piece.

    Raises:
        StorageError: a store failed; what was sent is no whole archive.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as made:
        accounts = storage.accounts
        made.writestr("profile.json", _pretty(await accounts.profiles.profile(user_id)))
        made.writestr("devices.json", _pretty(await _devices(storage, user_id)))
        made.writestr("channels.json", _pretty(await _links(storage, username)))
        audit = await accounts.audit.entries(f"user:{user_id}", limit=1000)
        made.writestr("activity.json", _pretty([_entry(each) for each in audit]))
        with made.open("files.jsonl", "w") as entry:
            async for lines in _files(storage, username):
                entry.write(lines)
                yield sink.take()
        conversations = await everywhere.conversations_of(storage.shards, username)
        listed = [views.listed(each) for each in conversations]
        made.writestr("conversations.json", _pretty(listed))
        yield sink.take()
        for conversation in conversations:
            name = f"conversations/{conversation.conversation}.jsonl"
            with made.open(name, "w") as entry:
                async for lines in _messages(storage, conversation):
                    entry.write(lines)
                    yield sink.take()
            yield sink.take()
    yield sink.take()


async def _files(storage: Storage, username: str) -> AsyncIterator[bytes]:
    """What is known of the user's files, a JSON object a line."""
    after: str | None = None
    while files := await storage.files.of(username, after, AT_ONCE):
        yield b"".join(msgspec.json.encode(_file(file)) + b"\n" for file in files)
        after = files[-1].id


async def _messages(storage: Storage, mine: Listed) -> AsyncIterator[bytes]:
    """What was said, a JSON object a line."""
    stored = await storage.shards.conversation(mine.conversation)
    after = 0
    while stored is not None:
        events = await everywhere.export(storage.shards, mine, after, AT_ONCE)
        if not events:
            return
        after = events[-1].seq
        shown = await views.messages(storage.shards, events, stored)
        yield b"".join(msgspec.json.encode(message) + b"\n" for message in shown)


async def _devices(storage: Storage, user_id: str) -> list[dict[str, Any]]:
    return [
        {
            "session_id": login.id,
            "device": login.device,
            "address": login.address,
            "user_agent": login.user_agent,
            "created_at": moment(login.created_at),
            "last_used_at": moment(login.last_used_at),
        }
        for login in await storage.accounts.logins.of(user_id)
    ]


async def _links(storage: Storage, username: str) -> list[dict[str, Any]]:
    return [
        {
            "channel": link.channel,
            "address": link.address,
            "verified_at": None if link.verified_at is None else moment(link.verified_at),
        }
        for link in await storage.channels.contacts.links_of(username)
    ]


def _file(file: File) -> dict[str, Any]:
    return {
        "file_id": file.id,
        "filename": file.name,
        "size": file.size,
        "mime_type": file.mime,
        "status": file.state,
        "conversation_id": file.conversation,
        "checksum": None if file.sha256 is None else f"sha256:{file.sha256.hex()}",
        "width": file.width,
        "height": file.height,
        "created_at": moment(file.created_at),
        "completed_at": None if file.completed_at is None else moment(file.completed_at),
    }


def _entry(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": moment(entry.at),
        "act": entry.act,
        "address": entry.address,
        "details": entry.details,
    }


def _pretty(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)
