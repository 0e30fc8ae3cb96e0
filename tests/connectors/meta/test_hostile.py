"""Webhook calls that are signed and yet of any form: read, or refused, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat4all_connectors.base import Connector, WebhookCall
from chat4all_connectors.errors import WebhookRefused
from chat4all_connectors.incoming import Event
from chat4all_connectors.instagram import Instagram, InstagramSettings
from chat4all_connectors.messenger import Messenger, MessengerSettings
from chat4all_connectors.meta import messaging
from chat4all_connectors.meta.signature import HEADER, sign
from chat4all_connectors.whatsapp import WhatsApp, WhatsAppSettings, wire
from tests.connectors.meta.playing import BASICS

WHATSAPP = WhatsApp(WhatsAppSettings(**BASICS, phone_number_id="1"))
MESSENGER = Messenger(MessengerSettings(**BASICS, page_id="1"))
INSTAGRAM = Instagram(InstagramSettings(**BASICS, account_id="1"))

SLOW = [HealthCheck.too_slow]
TYPES = [type_ for module in (wire, messaging) for type_ in vars(module).values()]
WORDS = sorted(
    {
        field.encode_name
        for type_ in TYPES
        if isinstance(type_, type) and issubclass(type_, msgspec.Struct)
        for field in msgspec.structs.fields(type_)
    }
)
"""All names that mean anything to us."""
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1", "text", "image", "reaction", "edit", "revoke", "system", "react"])
)
KEYS = st.sampled_from(WORDS) | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=8,
)
ITEMS = st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=8)


def take(connector: Connector, content: Any) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    call = WebhookCall("POST", {}, {HEADER: sign(BASICS["app_secret"], body)}, body)
    events: list[Event] = []
    status = 200
    try:
        events += connector.handle_webhook(call).events
    except WebhookRefused as refused:
        status = refused.status
    assert status == 200 or status in range(400, 500)
    # They can be kept.
    assert msgspec.json.decode(msgspec.json.encode(events), type=list[Event]) == events


@settings(max_examples=30, deadline=None, suppress_health_check=SLOW)
@given(message=ITEMS, status=ITEMS, person=VALUES)
def test_any_message_on_whatsapp(message: Any, status: Any, person: Any) -> None:
    base = {"id": "wamid.1", "timestamp": "1", "from": "5511999", "type": "text"}
    value = {
        "metadata": {"phone_number_id": "1"},
        "messages": [message, {**base, **message}],
        "statuses": [status, {**base, "status": "sent", **status}],
    }
    for whole in (value, {**value, "contacts": [person]}):
        changes = [{"field": "messages", "value": whole}]
        take(
            WHATSAPP,
            {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]},
        )


@pytest.mark.parametrize(("connector", "object_"), [(MESSENGER, "page"), (INSTAGRAM, "instagram")])
@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(update=ITEMS, message=ITEMS)
def test_any_update_of_the_others(
    connector: Connector, object_: str, update: Any, message: Any
) -> None:
    base = {"sender": {"id": "7"}, "recipient": {"id": "1"}, "timestamp": 1}
    items = [update, {**base, **update}, {**base, "message": {"mid": "m", **message}}]
    take(connector, {"object": object_, "entry": [{"id": "1", "messaging": items}]})


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(body=st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body(body: bytes) -> None:
    for connector in (WHATSAPP, MESSENGER, INSTAGRAM):
        take(connector, body)


SURROGATE = rb'{"id":"w","timestamp":"1","from":"5511999","type":"text","text":{"body":"\ud800"}}'


@pytest.mark.parametrize(
    "message",
    [SURROGATE, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000],
    ids=range(3),
)
def test_a_message_that_no_json_of_metas_would_have(message: bytes) -> None:
    value = b'{"metadata":{"phone_number_id":"1"},"messages":[' + message + b"]}"
    changes = b'[{"field":"messages","value":' + value + b"}]"
    body = b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":' + changes + b"}]}"
    take(WHATSAPP, body)
