from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from chat4all_connectors.incoming import AccountNotice, Event, Receipt, ReceiptStatus, Received
from chat4all_connectors.meta.envelope import Change, Entry
from chat4all_connectors.whatsapp import WhatsAppSettings
from chat4all_connectors.whatsapp.faults import rules
from chat4all_connectors.whatsapp.incoming import Reader

RULES = rules(
    WhatsAppSettings(access_token="t", app_secret="s", verify_token="v", phone_number_id="106")
)
READER = Reader("106", RULES)


def changed(value: Any, field: str = "messages") -> list[Event]:
    change = Change(field, Raw(json.dumps(value).encode()))
    return list(READER.events(Entry("waba", changes=[change]), 1))


def value(number: str = "106", **what: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": "1555", "phone_number_id": number}
    return {"messaging_product": "whatsapp", "metadata": metadata, **what}


def text(id_: str, body: object = "hi") -> dict[str, Any]:
    return {
        "id": id_,
        "from": "5511999",
        "timestamp": "1749416383",
        "type": "text",
        "text": {"body": body},
    }


def receipt(status: str, **more: Any) -> Receipt:
    item = {"id": "wamid.1", "status": status, "timestamp": "1749416383", **more}
    [event] = changed(value(statuses=[item]))
    assert isinstance(event, Receipt)
    return event


@pytest.mark.parametrize(
    ("status", "expected"),
    [("sent", "sent"), ("delivered", "delivered"), ("read", "read"), ("played", "read")],
)
def test_a_status_says_how_far_a_message_has_come(status: str, expected: ReceiptStatus) -> None:
    event = receipt(
        status,
        recipient_id="5511999",
        biz_opaque_callback_data="ref",
        errors=[{"code": 131026}] if status == "read" else [],
    )
    assert event == Receipt(
        key=f"status:wamid.1:{status}",
        chat="+5511999",
        status=expected,
        at=1_749_416_383_000,
        message="wamid.1",
        reference="ref",
    )


def test_a_status_may_have_a_user_id_alone_or_nothing() -> None:
    assert receipt("read", recipient_user_id="BR.1").chat == "BR.1"
    assert receipt("read").chat is None


def test_in_a_group_each_person_has_a_status() -> None:
    group = {"recipient_id": "Y2FwaV9n", "recipient_type": "group"}
    first = receipt("read", **group, recipient_participant_id="5511999")
    second = receipt("read", **group, recipient_participant_id="5511888")
    assert first.chat == "Y2FwaV9n"
    assert first.key != second.key


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (131026, "unreachable"),
        (131047, "window_closed"),
        (131049, "throttled"),
        (131053, "refused"),
    ],
)
def test_what_failed_has_its_class_and_no_text_of_metas(code: int, failure: str) -> None:
    error = {"code": code, "title": "5511999", "error_data": {"details": "5511999"}}
    event = receipt("failed", errors=[error])
    assert (event.status, event.failure) == ("failed", failure)
    assert event.reason is not None
    assert str(code) in event.reason
    assert "5511999" not in event.reason


def test_what_failed_without_a_reason_has_none() -> None:
    event = receipt("failed")
    assert (event.status, event.failure, event.reason) == ("failed", None, None)


def test_other_statuses_say_nothing() -> None:
    item = {"id": "wamid.1", "status": "warning", "timestamp": "1"}
    assert changed(value(statuses=[item])) == []


def test_what_is_about_another_number_is_left_out() -> None:
    assert changed(value("107", messages=[text("wamid.1")])) == []


def test_one_that_can_not_be_read_leaves_the_others_as_they_are() -> None:
    events = changed(value(messages=[text("wamid.1"), text("wamid.2", 7), text("wamid.3")]))
    assert [type(event) for event in events] == [Received, AccountNotice, Received]
    statuses = [{"id": 1}, {"id": "wamid.1", "status": "read", "timestamp": "1"}]
    assert [type(event) for event in changed(value(statuses=statuses))] == [AccountNotice, Receipt]
    assert [type(event) for event in changed({"metadata": 7})] == [AccountNotice]


def test_an_error_is_told_to_operators() -> None:
    [event] = changed(value(errors=[{"code": 130429, "title": "t"}]))
    assert isinstance(event, AccountNotice)
    assert (event.severity, event.at) == ("error", 1)
    assert event.text.startswith("WhatsApp tells of an error: ")
    assert event.text.endswith(" (code 130429)")


@pytest.mark.parametrize(
    ("field", "news", "severity", "text"),
    [
        (
            "message_template_status_update",
            {
                "event": "PAUSED",
                "message_template_name": "hello",
                "message_template_language": "pt_BR",
            },
            "warning",
            "the template hello (pt_BR) is now PAUSED",
        ),
        (
            "message_template_status_update",
            {"event": "APPROVED", "message_template_name": "hello"},
            "info",
            "the template hello () is now APPROVED",
        ),
        (
            "phone_number_quality_update",
            {"event": "FLAGGED", "current_limit": "TIER_1K"},
            "warning",
            "the number's quality: FLAGGED, limit TIER_1K",
        ),
        (
            "account_update",
            {"event": "DISABLED_UPDATE"},
            "warning",
            "the WhatsApp account: DISABLED_UPDATE",
        ),
        ("account_update", {}, "warning", "the WhatsApp account: it was changed"),
        (
            "phone_number_quality_update",
            {"event": "UNFLAGGED"},
            "info",
            "the number's quality: UNFLAGGED",
        ),
    ],
)
def test_news_of_the_account_are_told(
    field: str, news: dict[str, Any], severity: str, text: str
) -> None:
    [event] = changed(news, field)
    assert isinstance(event, AccountNotice)
    assert (event.severity, event.at) == (severity, 1)
    assert event.text == text


def test_changes_that_mean_nothing_to_us_are_left_out() -> None:
    assert changed({"message_echoes": []}, "smb_message_echoes") == []
    assert [type(event) for event in changed([], "account_update")] == [AccountNotice]
