"""What the document of the whole API tells beside what each operation declares."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from chat4all_actors.edge.rest import openapi
from chat4all_actors.edge.rest.api import GROUPS
from chat4all_actors.edge.rest.examples import EXAMPLES

DOCUMENT = openapi.document(GROUPS, version="1")
OPERATIONS: dict[str, dict[str, Any]] = {
    described["operationId"]: described | {"path": path}
    for path, methods in DOCUMENT["paths"].items()
    for described in methods.values()
}


def links_of(operation: str, status: str) -> dict[str, Any]:
    links: dict[str, Any] = OPERATIONS[operation]["responses"][status].get("links", {})
    return links


@pytest.mark.parametrize("status", ["200", "201"])
def test_a_new_conversation_leads_to_everything_that_is_done_with_it(status: str) -> None:
    links = links_of("create_conversation", status)
    assert set(links) >= {
        *("read_conversation", "change_conversation", "read_history", "add_member"),
        "send_message",
    }
    assert links["read_history"]["parameters"] == {
        "path.conversation_id": "$response.body#/conversation_id"
    }
    assert links["send_message"]["requestBody"] == {
        "payload": {"type": "text", "text": "Hi Bob, how are you?"},
        "conversation_id": "$response.body#/conversation_id",
        **dict.fromkeys(
            ("recipient_id", "message_id", "from", "to", "channels", "reply_to", "metadata")
        ),
    }


def test_a_new_message_leads_to_everything_that_is_done_with_it() -> None:
    assert set(links_of("send_message", "202")) >= {
        *("read_message", "read_status", "edit_message", "delete_message", "mark_read"),
        "read_history",
    }


def test_a_new_member_is_named_by_what_was_asked() -> None:
    assert links_of("add_member", "201")["remove_member"]["parameters"] == {
        "path.conversation_id": "$response.body#/conversation_id",
        "path.username": "$request.body#/username",
    }


def test_every_link_gives_an_operation_all_that_its_path_needs() -> None:
    for operation, described in OPERATIONS.items():
        for status, response in described["responses"].items():
            for link in response.get("links", {}).values():
                target = OPERATIONS[link["operationId"]]
                given = {name.partition(".")[2] for name in link.get("parameters", {})}
                needed = {each["name"] for each in target["parameters"] if each["in"] == "path"}
                assert given == needed, (operation, status, link)


def test_what_holds_between_fields_is_in_the_schema_of_the_body() -> None:
    content = OPERATIONS["send_message"]["requestBody"]["content"]["application/json"]
    assert content["schema"]["$ref"] == "#/components/schemas/NewMessage"
    ways = [way["required"] for way in content["schema"]["oneOf"]]
    assert ways == [["conversation_id"], ["recipient_id"], ["to"]]


def test_no_pattern_is_in_another_dialect_than_the_document_s() -> None:
    def patterns(part: Any) -> list[str]:
        if isinstance(part, list):
            return [found for each in part for found in patterns(each)]
        if isinstance(part, dict):
            own = [part["pattern"]] if isinstance(part.get("pattern"), str) else []
            return own + [found for each in part.values() for found in patterns(each)]
        return []

    found = patterns(DOCUMENT)
    assert found
    assert not [pattern for pattern in found if r"\A" in pattern or r"\Z" in pattern]


def test_every_operation_may_refuse_a_head_that_is_too_large() -> None:
    for described in OPERATIONS.values():
        assert "431" in described["responses"]


def test_whatever_is_taken_or_answered_has_an_example_that_is_valid() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for group in GROUPS:
        for operation in group.operations:
            for model in (operation.body, *operation.answers.values()):
                if model not in (None, bytes):
                    assert model is not None
                    (example,) = schemas[model.__name__]["examples"]
                    assert msgspec.convert(example, model) == EXAMPLES[model]
