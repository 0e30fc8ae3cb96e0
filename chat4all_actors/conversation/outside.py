"""People on channels as members of conversations: what conversations ask of whoever knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from chat4all_protocol.codes import ErrorCode


class Refusal(Exception):
    """A request can't be granted: the code to answer, why, and the field at fault.

    `retry_after` is in seconds, where the same request may be granted later.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        field: str | None = None,
        *,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.retry_after = retry_after


class Outside(Protocol):
    """Knows people on channels."""

    @property
    def accounts(self) -> Collection[str]:
        """The names of the accounts that messages may be sent through."""
        ...

    async def canonical(self, addresses: Sequence[str], field: str) -> dict[str, str]:
        """Each address as people wrote it, and the one name that its member has.

        Somebody new is noted, where the channel lets us write first.

        Raises:
            Refusal: one is no address, its channel is not set up, or nobody can be reached there;
                `field` is the one at fault.
            StorageError: it can't be found out now.
        """
        ...
