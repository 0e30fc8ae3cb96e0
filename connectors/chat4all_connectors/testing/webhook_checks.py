"""What holds for connectors that are called back: forged calls, and calls that make no sense."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from chat4all_connectors.base import WebhookCall
from chat4all_connectors.errors import WebhookRefused

from .incoming_checks import only
from .provider import offered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .provider import Subject

NO_JSON: Final = (b"", b"{", b"\xff\xfe", b"null", b"[]", b"7", b'"text"', b"{}", b"[" * 100_000)
HOSTILE: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    2**63,
    10**400,
    1.5e308,
    "",
    "\x00",
    "x" * 5000,
    [],
    {},
    [[{}]],
)
"""What each part of a call is replaced by."""


def altered(content: Any) -> Iterator[Any]:
    """Everything that differs from this in one part: replaced, or not there."""
    yield from HOSTILE
    if isinstance(content, dict):
        for key, part in content.items():
            rest = {other: content[other] for other in content if other != key}
            yield rest
            yield from ({**rest, key: other} for other in altered(part))
    elif isinstance(content, list):
        for index, part in enumerate(content):
            yield from ([*content[:index], other, *content[index + 1 :]] for other in altered(part))


class WebhookChecks:
    """Calls are the provider's, and nothing in one breaks the connector."""

    async def test_what_is_told_twice_has_the_same_keys(self, subject: Subject) -> None:
        await self._said(subject)
        [call] = await offered(subject.provider.calls())
        first, again = (subject.connector.handle_webhook(call) for _ in range(2))
        assert first == again
        assert first.events

    async def test_who_does_not_know_the_secret_is_refused(self, subject: Subject) -> None:
        await self._said(subject)
        [call] = await offered(subject.provider.calls())
        with pytest.raises(WebhookRefused) as caught:
            subject.connector.handle_webhook(subject.provider.forged(call))
        assert caught.value.status in range(400, 500)
        without = WebhookCall(call.method, {}, {}, call.body)
        with pytest.raises(WebhookRefused):
            subject.connector.handle_webhook(without)

    async def test_what_can_not_be_read_is_refused(self, subject: Subject) -> None:
        await self._said(subject)
        await offered(subject.provider.calls())
        for body in NO_JSON:
            with pytest.raises(WebhookRefused) as caught:
                subject.connector.handle_webhook(subject.provider.signed(body))
            assert caught.value.status in range(400, 500)

    async def test_nothing_in_a_call_breaks_it(self, subject: Subject) -> None:
        await self._said(subject)
        [call] = await offered(subject.provider.calls())
        for content in altered(msgspec.json.decode(call.body)):
            # The standard library writes numbers of any size.
            body = json.dumps(content).encode()
            try:
                answer = subject.connector.handle_webhook(subject.provider.signed(body))
            except WebhookRefused:
                continue
            only(object, answer.events)

    async def _said(self, subject: Subject) -> None:
        if subject.connector.polls:
            pytest.skip("it is not called back")
        await subject.provider.say("hello")
