from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from chat4all_protocol.ids import USERNAME_PATTERN, UUID_PATTERN
from chat4all_protocol.validation import MAX_SAID, Fault, explain


def fault(type_: Any, value: Any, **options: Any) -> Fault:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, type_)
    return explain(str(caught.value), "value", **options)


class Leaf(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(pattern=USERNAME_PATTERN)]


class Root(msgspec.Struct):
    leaf: Leaf
    count: int = 0


def test_a_field_at_fault_is_named_by_its_path() -> None:
    assert fault(Root, {"leaf": {"name": 1}}) == Fault(
        "leaf.name", "leaf.name: Expected `str`, got `int`"
    )


def test_a_missing_field_is_named_wherever_it_is_missing() -> None:
    assert fault(Root, {}) == Fault("leaf", "leaf is required")
    assert fault(Root, {"leaf": {}}) == Fault("leaf.name", "leaf.name is required")


def test_a_value_that_is_wrong_as_a_whole_is_called_what_the_caller_calls_it() -> None:
    assert fault(Root, 1) == Fault(None, "value: Expected `object`, got `int`")


def test_a_known_format_is_told_in_words() -> None:
    said = "leaf.name: Expected a user name of 1 to 64 letters, digits, '.', '_' or '-'"
    assert fault(Root, {"leaf": {"name": "…"}}) == Fault("leaf.name", said)


def test_the_words_may_be_the_callers() -> None:
    said = fault(Root, {"leaf": {"name": "…"}}, formats={USERNAME_PATTERN: "a nickname"})
    assert said.message == "leaf.name: Expected a nickname"


def test_a_pattern_without_a_name_forbids_nul_characters() -> None:
    text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*\Z")]
    expected = "value: Expected text without NUL characters"
    assert fault(text, "a\x00b") == Fault(None, expected)
    assert fault(text, "a\x00b", formats={UUID_PATTERN: "a UUID"}).message == expected


def test_a_sentence_that_quotes_a_long_value_is_cut() -> None:
    assert explain("x" * 1000, "value") == Fault(None, "value: " + "x" * MAX_SAID)
