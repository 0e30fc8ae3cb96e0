"""Who may have a file: its owner, and whoever may now read a message that carries it.

The uses of a file are noted before their messages (`Files.use`), and tell only where to look. What
counts is what stands on the shards at this moment: so leaving a conversation, or the end of the
message, ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chat4all_protocol.codec import decode_body
from chat4all_protocol.frames import FileBody

if TYPE_CHECKING:
    from chat4all_storage.ports.files import File, Files, Use
    from chat4all_storage.sharding.shards import Shards

AT_ONCE: Final = 500
"""Uses that are looked up together."""


class Access:
    """Looks up what stands."""

    def __init__(self, files: Files, shards: Shards) -> None:
        self._files = files
        self._shards = shards

    async def may_have(self, file: File, user: str) -> bool:
        """Whether this user may have the file.

        Raises:
            StorageError: it can't be found out for now.
        """
        return file.owner == user or await self.carried(file.id, user)

    async def carried(self, id_: str, reader: str | None) -> bool:
        """Whether a message carries the file, of those that `reader` may read, if one is given.

        Raises:
            StorageError: it can't be found out for now.
        """
        after: Use | None = None
        while uses := await self._files.uses(id_, after, AT_ONCE):
            if await self._standing(id_, uses, reader):
                return True
            after = uses[-1]
        return False

    async def standing(self, id_: str) -> tuple[bool, list[Use]]:
        """Whether any message carries the file, and the uses of which none does.

        Raises:
            StorageError: it can't be found out for now.
        """
        after: Use | None = None
        used, over = False, []
        while uses := await self._files.uses(id_, after, AT_ONCE):
            standing = await self._standing(id_, uses, None)
            used = used or bool(standing)
            over += [use for use in uses if use not in standing]
            after = uses[-1]
        return used, over

    async def _standing(self, id_: str, uses: list[Use], reader: str | None) -> set[Use]:
        """Those of the uses whose message carries the file."""
        found = await self._shards.carrying([(use.conversation, use.event) for use in uses], reader)
        return {
            use
            for use in uses
            for body in found.get((use.conversation, use.event), ())
            if _carries(body, id_)
        }


def _carries(body: bytes, id_: str) -> bool:
    said = decode_body(body)
    return isinstance(said, FileBody) and said.file_id == id_
