"""Files that people on a channel send: taken over as files of ours, or told of in words.

Whatever a provider says of a file may be missing or wrong; what its bytes are is found by
`files/intake.py`. A file that can't be had is a visible note, never silence.
"""

from __future__ import annotations

import logging
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final

from chat4all_connectors.errors import (
    Misconfigured,
    SendError,
    Throttled,
    Transient,
    UnknownOutcome,
)
from chat4all_protocol.frames import FileBody
from chat4all_storage.ports.errors import Unavailable

from ..files.errors import FileRefused, NotTaken
from ..files.intake import Incoming
from ..files.names import clean_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable

    from chat4all_connectors import incoming
    from chat4all_connectors.base import Connector
    from chat4all_connectors.capabilities import MediaKind

    from ..config import Settings
    from ..files.service import FileService

logger = logging.getLogger(__name__)

_KINDS: Final[dict[MediaKind, str]] = {
    "image": "a picture",
    "video": "a video",
    "audio": "a recording",
    "document": "a file",
}
_LOST: Final = "which could not be fetched"
_REASONS: Final = {
    "empty": "which is empty",
    "too_large": "which is too large to come here",
    "quota": "for which there is no room left here",
    "type": "of a type that is not taken here",
    "infected": "which the scanner refuses",
    "unscanned": "which could not be scanned",
    "too_large_to_scan": "which is too large to be scanned",
}
_PASSING: Final = (Transient, Throttled, Misconfigured, UnknownOutcome)
"""What another try may get over, if only after somebody has mended the account."""


class Media:
    """The files of one account."""

    def __init__(
        self, connector: Connector, files: Callable[[], FileService], settings: Settings
    ) -> None:
        """`files` are those of the node, which may be others after a fault."""
        self._connector = connector
        self._files = files
        self._most = min(settings.channel_media_max_size, settings.file_max_size)

    async def fetch(
        self, id_: str, said: incoming.Received, owner: str, conversation: str
    ) -> FileBody | str:
        """The body that a message with this file has, or a note in place of the file.

        Its caption is the text of `said`, which a note leaves out. It is noted that the message is
        going to carry the file. Safe to repeat, for another conversation too: what was taken over
        is not fetched again.

        Args:
            id_: the message's, which its file has, too: the same at each try.
            said: what came in, with a file.
            owner: whose file it is going to be: the sender's, as a member here.

        Raises:
            SendError: the provider does not give it for now.
            StorageError: a store can't be used for now.
        """
        media = said.media
        assert media is not None  # who calls has looked
        if media.size is not None and media.size > self._most:
            return _note(media, _REASONS["too_large"])
        new = Incoming(
            id=id_,
            owner=owner,
            name=media.name,
            mime=media.mime,
            conversation=conversation,
            max_size=self._most,
        )
        files = self._files()
        try:
            file = await files.take_in(new, lambda: self._opened(media))
        except NotTaken as error:
            logger.info("a file of %s is not taken: %s", self._connector.channel, error.reason)
            return _note(media, _REASONS.get(error.reason, _LOST))
        except SendError as error:
            if isinstance(error, _PASSING):
                raise
            logger.info("a file of %s can't be had: %s", self._connector.channel, error)
            return self.lost(media)
        try:
            body = FileBody(file.id, said.text or None)
            return await files.attach(file.owner, body, conversation, id_, field="media")
        except FileRefused as error:  # it was let go just now: the next try begins anew
            raise Unavailable(f"a file that came in is not there: {error.message}") from error

    @asynccontextmanager
    async def _opened(self, media: incoming.Media) -> AsyncIterator[AsyncIterable[bytes]]:
        async with self._connector.download(media) as download, aclosing(download) as pieces:
            yield pieces

    @staticmethod
    def lost(media: incoming.Media) -> str:
        """The note in place of a file that is given up."""
        return _note(media, _LOST)


def _note(media: incoming.Media, why: str) -> str:
    """`a picture, beach.jpg (12.3 MB), which is too large to come here`."""
    what = _KINDS[media.kind]
    if media.name is not None:
        what = f"{what}, {clean_name(media.name)}"
    if media.size:
        what = f"{what} ({_size(media.size)})"
    return f"{what}, {why}"


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
