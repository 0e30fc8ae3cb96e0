from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.channels.configuring import AccountError
from chat4all_actors.channels.variables import merged, tables_of


def tables(**variables: str) -> dict[str, dict[str, Any]]:
    """From variables named without what all begin with."""
    names = {f"CHAT4ALL_CHANNELS__{name}": text for name, text in variables.items()}
    return tables_of(names, "CHAT4ALL_")


def test_a_variable_names_the_account_and_the_setting() -> None:
    assert tables(TELEGRAM__TOKEN="1:a", TELEGRAM__MODE="polling", LOOPBACK__NAME="x") == {
        "telegram": {"token": "1:a", "mode": "polling"},
        "loopback": {"name": "x"},
    }


def test_a_further_account_s_name_is_in_small_letters() -> None:
    assert tables(TELEGRAM__SUPPORT__TOKEN="1:a") == {"telegram:support": {"token": "1:a"}}


def test_what_is_in_a_table_has_one_word_more() -> None:
    found = tables(
        TELEGRAM__HTTP__PROXY="http://proxy",
        TELEGRAM__SUPPORT__HTTP__READ_SECONDS="5",
        WHATSAPP__TEMPLATE__NAME="hello",
    )
    assert found == {
        "telegram": {"http": {"proxy": "http://proxy"}},
        "telegram:support": {"http": {"read_seconds": "5"}},
        "whatsapp": {"template": {"name": "hello"}},
    }


def test_lists_are_split_at_white_space() -> None:
    assert tables(WHATSAPP__INBOX=" ana  bob", WHATSAPP__IMAGE_TYPES="image/png") == {
        "whatsapp": {"inbox": ["ana", "bob"], "image_types": ["image/png"]}
    }


def test_empty_variables_and_those_of_others_say_nothing() -> None:
    assert (
        tables_of({"CHAT4ALL_CHANNELS__TELEGRAM__TOKEN": "", "TELEGRAM__MODE": "x"}, "CHAT4ALL_")
        == {}
    )


def test_a_setting_that_does_not_exist_is_for_the_reader_of_the_table() -> None:
    assert tables(TELEGRAM__TOKN="1:a") == {"telegram": {"tokn": "1:a"}}


@pytest.mark.parametrize(
    "name",
    [
        "TELEGRAM",
        "TELEGRAM__",
        "TELEGRAM__HTTP",
        "TELEGRAM__HTTP__",
        "TELEGRAM__SUPPORT__HTTP",
        "TELEGRAM__SUPPORT__TOKEN__A",
        "TELEGRAM__A__B__C__D",
    ],
)
def test_a_variable_that_names_no_setting_is_told_what_does(name: str) -> None:
    with pytest.raises(AccountError) as caught:
        tables(**{name: "s3cr3t"})
    assert str(caught.value) == (
        f"CHAT4ALL_CHANNELS__{name}: a setting of a channel is CHAT4ALL_CHANNELS__TELEGRAM__TOKEN,"
        " of a further account CHAT4ALL_CHANNELS__TELEGRAM__SUPPORT__TOKEN"
    )


@pytest.mark.parametrize(("name", "said"), [("SMS__TOKEN", "sms"), ("__TOKEN", "")])
def test_a_channel_that_does_not_exist_is_told_which_do(name: str, said: str) -> None:
    with pytest.raises(AccountError, match=f"there is no channel `{said}`; there are instagram,"):
        tables(**{name: "x"})


def test_an_account_s_name_has_to_be_one() -> None:
    with pytest.raises(AccountError, match="a further account is named telegram:NAME"):
        tables(TELEGRAM____TOKEN="x")


# One over the other

nested = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=8
)
trees = st.dictionaries(st.sampled_from("abc"), nested)


def paths(tree: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """Each value by the names that lead to it."""
    found: dict[tuple[str, ...], Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= {(name, *path): inner for path, inner in paths(value).items()}
        else:
            found[(name,)] = value
    return found


@given(trees, trees)
def test_of_two_trees_each_value_of_the_upper_one_holds_and_else_the_lower_one_s(
    below: dict[str, Any], above: dict[str, Any]
) -> None:
    result = paths(merged(below, above))
    assert paths(above).items() <= result.items()
    for path, value in result.items() - paths(above).items():
        assert paths(below)[path] == value
