"""What the Bot API means by an error: its answers as the classes of `errors`.

It says what is wrong in a description in English, which is all there is to decide by for status
400; the texts are those of its own server (github tdlib/telegram-bot-api and td).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from chat4all_connectors.errors import (
    Misconfigured,
    Moved,
    Refused,
    SendError,
    Throttled,
    Transient,
    UnknownOutcome,
    Unreachable,
)

if TYPE_CHECKING:
    from chat4all_connectors.http import Answer

_DESCRIBED: Final = 200
"""Characters of a description that are told."""
_MAY_HAVE_PASSED_IT_ON: Final = frozenset({500, 502, 504})
"""What a gateway answers when it got no answer."""

_NOT_THERE: Final = (
    "chat not found",
    "user not found",
    "peer_id_invalid",
    "group chat was deactivated",
    "chat_write_forbidden",
    "chat_restricted",
    "user_is_blocked",
    "have no rights to send a message",
    "not enough rights to send text messages",
    "need administrator rights in the channel chat",
)
"""In descriptions of a chat that takes nothing from the bot."""
_LATER: Final = ("temporarily unavailable",)
_DONE_ALREADY: Final = (
    "message is not modified",
    "message_not_modified",
    "message to delete not found",
)
"""In descriptions of a call whose outcome is there already."""
_NO_TEXT: Final = ("there is no text in the message to edit",)
_NO_PHOTO: Final = (
    "photo_invalid_dimensions",
    "photo_save_file_invalid",
    "image_process_failed",
)
"""In descriptions of a picture that is not taken as a photo, but is as a file."""


class Parameters(Struct, frozen=True):
    """What an error says beside its description."""

    retry_after: float | None = None
    migrate_to_chat_id: int | None = None


class Envelope(Struct, frozen=True):
    """Every answer of the Bot API."""

    ok: bool
    result: msgspec.Raw = msgspec.Raw(b"null")
    error_code: int | None = None
    description: str = ""
    parameters: Parameters = Parameters()


class BotApiRefused(Refused):
    """The Bot API answered with a 400 that is about this message."""

    @property
    def done_already(self) -> bool:
        """Whether what was asked for is so already."""
        return _says(self.message, _DONE_ALREADY)

    @property
    def has_no_text(self) -> bool:
        """Whether the message to edit is a file: its caption is to be edited."""
        return _says(self.message, _NO_TEXT)

    @property
    def no_photo(self) -> bool:
        """Whether a picture may be sent as a file."""
        return _says(self.message, _NO_PHOTO)


def error_of(answer: Answer, *, chat: str | None, sends: bool) -> SendError:
    """What an answer means that is no result.

    Args:
        chat: The chat that the call was about.
        sends: Whether people may have seen what the call did.
    """
    try:
        envelope = msgspec.json.decode(answer.body, type=Envelope)
    except (msgspec.DecodeError, RecursionError):
        return _of_something_else(answer, sends=sends)
    status = envelope.error_code or answer.status
    said = envelope.description[:_DESCRIBED] or f"status {status}"
    code = str(status)
    moved = envelope.parameters.migrate_to_chat_id
    if moved is not None:
        return Moved(said, chat=str(moved), code=code)
    if status in (420, 429):
        return Throttled(
            said,
            # The API does not say of what there was too much: mostly it is of one chat.
            scope="account" if chat is None else "chat",
            retry_after=envelope.parameters.retry_after or _seconds(answer),
            code=code,
        )
    if status >= 500:
        return Transient(said, code=code)
    if status in (401, 404, 421):
        return Misconfigured(said, code=code)
    if status == 403 or _says(said, _NOT_THERE):
        return Unreachable(said, code=code)
    if status == 409:
        # Another one polls, which may be an earlier self that has not been heard of to end.
        if "terminated by other getUpdates" in said or "terminated by setWebhook" in said:
            return Transient(said, code=code)
        return Misconfigured(said, code=code)
    if _says(said, _LATER):
        return Transient(said, code=code)
    return BotApiRefused(said, code=code)


def _of_something_else(answer: Answer, *, sends: bool) -> SendError:
    """Of a proxy, or whatever stands at the address: not the Bot API's words."""
    status = answer.status
    said, code = f"an answer that is not the Bot API's, status {status}", str(status)
    if status == 429:
        return Throttled(said, retry_after=_seconds(answer), code=code)
    if status == 413:
        return Refused(said, code=code)
    if 300 <= status < 400 or status in (401, 403, 404, 407):
        return Misconfigured(said, code=code)
    if sends and (answer.good or status in _MAY_HAVE_PASSED_IT_ON):
        return UnknownOutcome(said, code=code)
    return Transient(said, code=code)


def _says(description: str, texts: tuple[str, ...]) -> bool:
    lower = description.lower()
    return any(text in lower for text in texts)


def _seconds(answer: Answer) -> float | None:
    given = answer.headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdecimal() else None
