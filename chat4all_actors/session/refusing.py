"""What a client is told when what it asked for can't be done: decided here for all that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_storage.ports.errors import InDoubt, StorageError

from ..conversation.outside import Refusal
from ..files.errors import FileRefused
from ..wire import refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .session import Session


async def telling(session: Session, rid: int, asked: Awaitable[None]) -> None:
    """Wait for what the request `rid` asks for; tell its client what it fails with."""
    try:
        await asked
    except (FileRefused, Refusal) as error:
        session.send(refusal(error.code, error.message, rid, field=error.field))
    except InDoubt:
        session.close_internal()  # an error would say that nothing was done
    except StorageError:
        session.send(unavailable(rid))
