"""What is sent through a channel: already fit for it, in one call of the provider's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from .capabilities import MediaKind


class Upload(Protocol):
    """The bytes of a file that is sent; they can be read more than once.

    What reading them raises comes out of the call that sends: it is to be a `SendError` too, as
    nothing was sent then.
    """

    name: str
    """What people see."""
    mime: str
    size: int
    """Bytes."""

    def open(self) -> AbstractAsyncContextManager[AsyncGenerator[bytes, None]]:
        """Its bytes from the beginning, in pieces: never the whole file at once."""
        ...


class Message(Struct, frozen=True, kw_only=True):
    """A text to one chat."""

    chat: str
    """The provider's id of the chat: of one person, or of a group."""
    text: str
    """Within `Capabilities.text`."""
    reply_to: str | None = None
    """The provider's id of the message that it quotes, in the same chat."""
    reference: str = ""
    """Handed to the provider where it hands it back, so that an unknown outcome is settled."""


class FileMessage(Struct, frozen=True, kw_only=True):
    """A file to one chat."""

    chat: str
    file: Upload
    kind: MediaKind
    """By `Capabilities.media_for`."""
    caption: str = ""
    """Within `Capabilities.caption`; empty where that is None."""
    url: str | None = None
    """Where the provider can fetch it for a while, if the channel is one of `media_by_url`."""
    reply_to: str | None = None
    reference: str = ""


class TemplateMessage(Struct, frozen=True, kw_only=True):
    """A text that the provider has approved, with its gaps filled."""

    chat: str
    name: str
    language: str
    parameters: tuple[str, ...] = ()
    """Of the body, in their order."""
    reference: str = ""


class Accepted(Struct, frozen=True):
    """What the provider has taken."""

    message: str
    """Its id there: unique together with the channel and the chat."""
    chat: str | None = None
    """The chat's id as the provider tells it, if it is another one than was said."""
