"""What a connector's author writes for the kit: somebody who plays the provider and its people.

One subclass for each channel, over a fake of the provider's API. Each test has a fresh one: one
person, who may be written to, and has got nothing yet.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias, TypeVar

import pytest
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from chat4all_connectors.base import Connector, WebhookCall
    from chat4all_connectors.capabilities import MediaKind
    from chat4all_connectors.outgoing import TemplateMessage

Fault: TypeAlias = Literal["throttled", "broken", "lost", "unreachable", "revoked"]
"""What becomes of the next call that sends, before it is acted on: too many calls, an error of the
provider's, or its token is not taken any more (which lasts); `unreachable`: the connection is
closed unread. `lost`: it is acted on, and the connection closed without an answer."""


T = TypeVar("T")


class NotOffered(Exception):
    """The channel has no such thing, or this fake can't play it: the check is skipped."""


async def offered(doing: Awaitable[T]) -> T:
    """What the provider does; the check is skipped if it does not."""
    try:
        return await doing
    except NotOffered:
        pytest.skip("the provider does not offer it")


class Seen(Struct, frozen=True, kw_only=True):
    """A message of ours as the person has it now."""

    message: str
    text: str = ""
    """Or what goes with the file."""
    kind: MediaKind | None = None
    name: str | None = None
    file: bytes | None = None
    reply_to: str | None = None
    reaction: str | None = None
    """Of ours, on it."""


class Provider(ABC):
    """Plays the provider and one person there."""

    chat: str
    """The chat with this person, as `Message.chat` takes it."""
    nowhere: str = "999999999"
    """A chat that there is not, if the provider tells so at once."""
    secrets: Sequence[str] = ()
    """What no error may tell: tokens, and addresses with one."""
    template: TemplateMessage | None = None
    """One that is approved, to `chat`; `template_text` is what the person sees of it."""
    template_text: str = ""

    # --- what our side does there

    @abstractmethod
    async def seen(self) -> list[Seen]:
        """What the person has from us, in the order in which it came; not what was deleted."""

    @abstractmethod
    async def fail(self, fault: Fault) -> None:
        """Have the next call that sends meet this."""

    async def reaction_on(self, message: str) -> str | None:
        """Our reaction on a message of the person's."""
        self._not_offered()

    async def publish(self, file: bytes, *, mime: str) -> str:
        """Lay a file where the provider can fetch it, for channels of `media_by_url`."""
        self._not_offered()

    # --- what the person does; each gives the provider's id of the message

    @abstractmethod
    async def say(self, text: str, *, reply_to: str | None = None) -> str:
        """Write to us."""

    async def send(self, file: bytes, *, mime: str, name: str, caption: str = "") -> str:
        """Send us a file."""
        self._not_offered()

    async def edit(self, message: str, text: str) -> None:
        """Replace the text of an own message."""
        self._not_offered()

    async def delete(self, message: str) -> None:
        """Take an own message back."""
        self._not_offered()

    async def react(self, message: str, emoji: str | None) -> None:
        """React to a message, or take the reaction back."""
        self._not_offered()

    async def read(self) -> None:
        """Read everything."""
        self._not_offered()

    async def block(self) -> None:
        """Take nothing from us any more."""
        self._not_offered()

    # --- how it is told to us, unless the connector polls

    async def calls(self) -> list[WebhookCall]:
        """Those to our callback address since the last time, when all are made."""
        self._not_offered()

    def signed(self, body: bytes) -> WebhookCall:
        """A call with this body as the provider would make it."""
        self._not_offered()

    def forged(self, call: WebhookCall) -> WebhookCall:
        """This call as somebody would make it who does not know our secret."""
        self._not_offered()

    def _not_offered(self) -> NoReturn:
        raise NotOffered


class Subject(Struct, frozen=True):
    """What is checked: a connector that has connected, and its provider."""

    connector: Connector
    provider: Provider
