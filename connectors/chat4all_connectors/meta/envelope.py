"""Webhook calls of Meta's: whether they are genuine, and the updates in them one by one.

A call may have up to 1000 updates of which each stands for itself. One that can't be read is told
to operators in its place: to refuse the call would have Meta repeat it for days and then drop all.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct

from ..base import WebhookAnswer
from ..errors import WebhookRefused
from ..incoming import AccountNotice
from .signature import HEADER, is_signed, is_token

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..base import WebhookCall
    from ..incoming import Event
    from .settings import GraphSettings

T = TypeVar("T")
_FINGERPRINT: Final = 32
"""Hexadecimal digits: enough that no two updates share one by chance."""
_EXPLANATION: Final = 200
"""Characters of what is told about an update that can't be read."""


class Change(Struct, frozen=True):
    """That something was changed: an update of WhatsApp's."""

    field: str
    value: Raw


class Entry(Struct, frozen=True):
    """What happened at one account."""

    id: str
    changes: list[Change] = []
    messaging: list[Raw] = []
    """Updates of Messenger's and Instagram's."""
    standby: list[Raw] = []
    """The same while another app has the conversation."""


class _Envelope(Struct, frozen=True):
    object: str
    entry: list[Entry]


_envelope = msgspec.json.Decoder(_Envelope)


def confirm(call: WebhookCall, verify_token: str) -> WebhookAnswer:
    """Answer the GET by which Meta finds out whether the address is ours.

    Raises:
        WebhookRefused: it does not know the verify token, or asks for something else.
    """
    challenge = call.query.get("hub.challenge")
    if call.query.get("hub.mode") != "subscribe" or challenge is None:
        raise WebhookRefused(400, "no question whether the address is ours")
    if not is_token(verify_token, call.query.get("hub.verify_token")):
        raise WebhookRefused(403, "the verify token is another one")
    return WebhookAnswer(body=challenge.encode("utf-8", "replace"))


def entries(call: WebhookCall, object_: str, settings: GraphSettings) -> Sequence[Entry]:
    """The entries of a POST that Meta signed.

    Raises:
        WebhookRefused: it is not signed, not readable, too large, or about something other than
            `object_`.
    """
    if len(call.body) > settings.webhook_max_bytes:
        raise WebhookRefused(413, "larger than any call of Meta's")
    if not is_signed(settings.app_secret, call.body, call.headers.get(HEADER)):
        raise WebhookRefused(401, "not signed with the app secret")
    try:
        envelope = _envelope.decode(call.body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise WebhookRefused(400, "no webhook call of Meta's") from error
    if envelope.object != object_:
        raise WebhookRefused(400, f"not about a {object_}")
    updates = sum(
        len(entry.changes) + len(entry.messaging) + len(entry.standby) for entry in envelope.entry
    )
    if updates > settings.webhook_max_updates:
        raise WebhookRefused(413, "more updates than any call of Meta's has")
    return envelope.entry


class Unreadable(Exception):
    """An update is not of the form that it should have; its text has nothing people wrote."""


def read(raw: Raw, type_: type[T], *, strict: bool = True) -> T:
    """An update's value.

    Args:
        raw: As it came.
        type_: What it should be.
        strict: Whether a number that is written as a string is an error.

    Raises:
        Unreadable: it is something else.
    """
    try:
        return msgspec.json.decode(raw, type=type_, strict=strict)
    except (msgspec.MsgspecError, RecursionError) as error:
        # Says where and of what type, in no case what: unions are not decoded by tags here.
        raise Unreadable(str(error)[:_EXPLANATION]) from error


def fingerprint(raw: Raw) -> str:
    """The same whenever Meta repeats an update."""
    return hashlib.sha256(raw).hexdigest()[:_FINGERPRINT]


Severity: TypeAlias = Literal["info", "warning", "error"]


def notice(raw: Raw, now: int, severity: Severity, text: str) -> AccountNotice:
    """Something for operators, about an update that came at `now`."""
    return AccountNotice(key=f"notice:{fingerprint(raw)}", at=now, severity=severity, text=text)


def unreadable(raw: Raw, now: int, error: Unreadable) -> Iterator[Event]:
    """What is told in place of an update that can't be read."""
    yield notice(raw, now, "warning", f"an update of Meta's can't be read, and is lost: {error}")
