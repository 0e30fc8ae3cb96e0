"""WhatsApp's webhooks, as events: messages, statuses, and news of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from ..incoming import Receipt
from ..meta.envelope import Unreadable, notice, read, unreadable
from ..meta.faults import rule_for
from ..meta.fields import millis
from . import messages, wire
from .addresses import ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..incoming import Event, ReceiptStatus
    from ..meta.envelope import Change, Entry
    from ..meta.faults import Rules

OBJECT: Final = "whatsapp_business_account"
_STATUSES: Final[dict[str, ReceiptStatus]] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}
"""A voice message that was played was read; other words say nothing of how far it came."""
_BAD_NEWS: Final = frozenset({"REJECTED", "PAUSED", "DISABLED", "FLAGGED"})


class Reader:
    """Reads the updates of one number."""

    def __init__(self, phone_number_id: str, rules: Rules) -> None:
        self._phone_number_id = phone_number_id
        self._rules = rules

    def events(self, entry: Entry, now: int) -> Iterator[Event]:
        """What an entry means, in its order.

        Args:
            entry: From a call that is genuine.
            now: In milliseconds since the epoch.
        """
        for change in entry.changes:
            try:
                if change.field == "messages":
                    yield from self._value(change, now)
                else:
                    yield from self._news(change, now)
            except Unreadable as error:
                yield from unreadable(change.value, now, error)

    def _value(self, change: Change, now: int) -> Iterator[Event]:
        value = read(change.value, wire.Value)
        if value.metadata.phone_number_id != self._phone_number_id:
            return  # An app is told of all its numbers: this one is another account's.
        for raw in value.messages:
            try:
                message = read(raw, wire.Message)
                # All of it first: nothing is told twice, once as unreadable.
                yield from list(messages.events(message, value.contacts))
            except Unreadable as error:
                yield from unreadable(raw, now, error)
        for raw in value.statuses:
            try:
                yield from self._status(read(raw, wire.Status))
            except Unreadable as error:
                yield from unreadable(raw, now, error)
        for fault in value.errors:
            why = rule_for(fault, self._rules).why
            text = f"WhatsApp tells of an error: {why} (code {fault.label})"
            yield notice(change.value, now, "error", text)

    def _status(self, status: wire.Status) -> Iterator[Event]:
        known = _STATUSES.get(status.status)
        if known is None:
            return
        key = f"status:{status.id}:{status.status}"
        if status.recipient_participant_id is not None:
            key += f":{status.recipient_participant_id}"
        fault = status.errors[0] if status.errors else None
        rule = None if fault is None else rule_for(fault, self._rules)
        addresses = ids(status.recipient_id, status.recipient_user_id)
        failed = known == "failed"
        yield Receipt(
            key=key,
            chat=addresses[0] if addresses else None,
            status=known,
            at=millis(status.timestamp),
            message=status.id,
            reference=status.biz_opaque_callback_data or None,
            reason=f"{rule.why} (code {fault.label})" if failed and rule and fault else None,
            failure=rule.failure if failed and rule else None,
        )

    def _news(self, change: Change, now: int) -> Iterator[Event]:
        """What operators should know; other changes are of no account of ours, or asked for."""
        match change.field:
            case "message_template_status_update":
                template = read(change.value, wire.TemplateStatus)
                name = f"{template.message_template_name} ({template.message_template_language})"
                text = f"the template {name} is now {template.event}"
                yield notice(change.value, now, _severity(template.event), text)
            case "phone_number_quality_update":
                quality = read(change.value, wire.Quality)
                limit = f", limit {quality.current_limit}" if quality.current_limit else ""
                text = f"the number's quality: {quality.event}{limit}"
                yield notice(change.value, now, _severity(quality.event), text)
            case "account_update":
                update = read(change.value, wire.AccountUpdate)
                text = f"the WhatsApp account: {update.event or 'it was changed'}"
                yield notice(change.value, now, "warning", text)
            case _:
                return


def _severity(event: str) -> Literal["info", "warning"]:
    return "warning" if event.upper() in _BAD_NEWS else "info"
