"""A conversation whose mailbox is as a test wants it."""

from __future__ import annotations

import trio

from chat4all_actors.kernel import ActorStopped, MailboxFull


class BusyConversation:
    """Has no room until it is roomy; `stopped` takes nothing at all."""

    def __init__(self, *, stopped: bool = False) -> None:
        self.stopped = stopped
        self.roomy = trio.Event()
        self.told: list[object] = []

    def tell_nowait(self, message: object) -> None:
        if self.stopped:
            raise ActorStopped("the conversation")
        raise MailboxFull("the conversation")

    async def tell(self, message: object) -> None:
        await self.roomy.wait()
        if self.stopped:
            raise ActorStopped("the conversation")
        self.told.append(message)
