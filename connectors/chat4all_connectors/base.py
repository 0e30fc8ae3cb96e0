"""What a connector is: the one contract between the server and a channel.

A connector translates and speaks HTTP, nothing else: it has no queue, does not wait for a rate,
repeats nothing and keeps nothing that must survive it. The server does all of that, by what the
connector declares (`capabilities`) and by the classes of `errors`. Every call may be cancelled;
one that sends may have happened then.

    connect → send, handle webhooks or poll, download … → disconnect
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from .errors import NotSupported, WebhookRefused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from .capabilities import Capabilities
    from .incoming import Contact, Event, Media
    from .outgoing import Accepted, FileMessage, Message, TemplateMessage


class Identity(Struct, frozen=True):
    """Who the account is there."""

    id: str
    name: str


class WebhookCall(Struct, frozen=True):
    """A call of the provider's to our callback address."""

    method: Literal["GET", "POST"]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes
    """As it came: signatures are over these bytes."""


class WebhookAnswer(Struct, frozen=True):
    """What to answer once the events are stored."""

    events: Sequence[Event] = ()
    """In the order in which they happened, as far as the provider tells."""
    status: int = 200
    body: bytes = b""
    media_type: str = "text/plain"


class Polled(Struct, frozen=True):
    """What a poll has brought."""

    events: Sequence[Event]
    cursor: str
    """For the next poll: it tells the provider that these are stored."""


HealthState: TypeAlias = Literal["connected", "degraded", "token_expiring", "dead"]


class Health(Struct, frozen=True):
    """How an account does, as far as the provider tells."""

    state: HealthState
    detail: str = ""
    """For operators: no token in it."""


class Connector(ABC):
    """One account on one channel. What sends raises only `errors.SendError`."""

    channel: str
    """The channel's name: `telegram`."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What it can carry; always the same."""

    # --- its life

    @abstractmethod
    async def connect(self) -> Identity:
        """Find out whether the account can be used, and have the provider call us, if it must.

        Safe to repeat.
        """

    @abstractmethod
    async def disconnect(self) -> None:
        """Let go of everything; nothing is called after it."""

    @abstractmethod
    async def health(self) -> Health:
        """Ask the provider how the account does."""

    # --- what is sent

    @abstractmethod
    async def send_message(self, message: Message) -> Accepted:
        """Send a text."""

    @abstractmethod
    async def send_file(self, message: FileMessage) -> Accepted:
        """Send a file, reading it piece by piece."""

    async def send_template(self, message: TemplateMessage) -> Accepted:
        """Send an approved template."""
        raise NotSupported(f"{self.channel} has no templates")

    async def edit(self, chat: str, message: str, text: str) -> None:
        """Replace the text of what was sent as `message`; that it stands so already is no error."""
        raise NotSupported(f"{self.channel} can't edit")

    async def delete(self, chat: str, message: str) -> None:
        """Take back what was sent as `message`; that it is gone already is no error."""
        raise NotSupported(f"{self.channel} can't delete")

    async def react(self, chat: str, message: str, emoji: str | None) -> None:
        """Show a reaction to a message, or with None take it back."""
        raise NotSupported(f"{self.channel} has no reactions")

    async def typing(self, chat: str, message: str | None) -> None:
        """Show that somebody types; `message` is the last one that came from the chat."""
        raise NotSupported(f"{self.channel} does not show typing")

    async def mark_read(self, chat: str, message: str) -> None:
        """Show that a message that came was read, and those before it."""
        raise NotSupported(f"{self.channel} does not show what was read")

    # --- what comes in

    def handle_webhook(self, call: WebhookCall) -> WebhookAnswer:
        """Verify a call of the provider's and read it; waits for nothing.

        Raises:
            WebhookRefused: it is not the provider's, or can't be read.
        """
        raise WebhookRefused(404, f"{self.channel} is not called back")

    @property
    def polls(self) -> bool:
        """Whether `poll` brings what comes in, in place of webhooks."""
        return False

    async def poll(self, cursor: str | None) -> Polled:
        """Wait for what comes in, for a while; `cursor` is that of the last poll, if it is known.

        Only the events of earlier cursors are forgotten by the provider.
        """
        raise NotSupported(f"{self.channel} can't be polled")

    def download(self, media: Media) -> AbstractAsyncContextManager[AsyncGenerator[bytes, None]]:
        """The bytes of a file that came in, in pieces.

        Raises:
            SendError: it can't be had: `Refused` when never, `Transient` when later.
        """
        raise NotSupported(f"{self.channel} has no files")

    async def profile(self, contact: str) -> Contact | None:
        """What the provider tells of a person; None: nothing."""
        return None
