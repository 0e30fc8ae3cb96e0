"""What the application waits for: a message on its way, an answer to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_protocol.frames import Conv, Ok, Page, Sent

from .errors import ClientClosed, ClientError
from .outbox import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import Posted


class Outgoing:
    """A message on its way; made by `Client.send_nowait`."""

    def __init__(
        self,
        frame: Posted,
        withdraw: Callable[[Entry], bool],
        settled: Callable[[], None],
    ) -> None:
        """For the client."""
        self.conversation = frame.conv
        """The conversation's id."""
        self.id = frame.id
        """The message's id, with which it is stored once."""
        self.entry = Entry(frame, self._done)
        """For the client."""
        self.outcome: Sent | ClientError | None = None
        """`Sent` once it is stored, an error once it is given up, None until then."""
        self._withdraw = withdraw
        self._release = settled
        self._settled = trio.Event()

    async def wait(self) -> Sent:
        """Wait until it is stored. Cancelling the wait changes nothing.

        Raises:
            SendRefused: the server refused it for good.
            ConnectionRefusedByServer, ClientClosed: the client ended before the answer.
        """
        await self._settled.wait()
        if isinstance(self.outcome, Sent):
            return self.outcome
        assert self.outcome is not None
        raise self.outcome

    def withdraw(self) -> bool:
        """Take it back if it was never put on the wire; False if it was, and is sent on."""
        if self.outcome is not None or not self._withdraw(self.entry):
            return False
        self._done(ClientClosed("the message was withdrawn"))
        return True

    def _done(self, outcome: Sent | ClientError) -> None:
        self.outcome = outcome
        self._release()
        self._settled.set()


class Answer:
    """The answer to a request."""

    def __init__(self) -> None:
        self._outcome: Page | Conv | Ok | ClientError | None = None
        self._settled = trio.Event()

    def settle(self, outcome: Page | Conv | Ok | ClientError) -> None:
        """It came, or it never will."""
        self._outcome = outcome
        self._settled.set()

    async def wait(self) -> Page | Conv | Ok:
        """Wait for it.

        Raises:
            ClientError: it never will come.
        """
        await self._settled.wait()
        if isinstance(self._outcome, ClientError):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome
