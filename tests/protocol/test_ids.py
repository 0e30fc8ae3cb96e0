from __future__ import annotations

import re
import uuid

import pytest

from chat4all_protocol.ids import (
    CHANNEL_PATTERN,
    DEVICE_PATTERN,
    USERNAME_PATTERN,
    UUID_PATTERN,
    new_id,
    private_conversation_id,
)


def test_a_new_id_is_a_canonical_uuid_and_never_the_same() -> None:
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    for made in ids:
        assert re.search(UUID_PATTERN, made)
        assert str(uuid.UUID(made)) == made


def test_the_private_conversation_of_a_pair_is_one_for_either_order() -> None:
    assert private_conversation_id("ana", "bob") == private_conversation_id("bob", "ana")
    assert re.search(UUID_PATTERN, private_conversation_id("ana", "bob"))


def test_the_private_conversation_id_never_changes_between_versions() -> None:
    # Stored conversations are found again by this id.
    assert private_conversation_id("ana", "bob") == "2056678e-c054-5c97-87a4-f5ae7b42b099"


@pytest.mark.parametrize("other", [("ana", "bo"), ("anab", "ob"), ("ana", "ana"), ("Ana", "bob")])
def test_other_pairs_have_other_private_conversations(other: tuple[str, str]) -> None:
    assert private_conversation_id(*other) != private_conversation_id("ana", "bob")


@pytest.mark.parametrize("name", ["a", "Z9", "a.b", "a-", "a_", "0", "a" * 64, "a..b"])
def test_a_user_name_is_admitted(name: str) -> None:
    assert re.search(USERNAME_PATTERN, name)


@pytest.mark.parametrize(
    "name", ["", ".a", "_a", "-a", "a.", "a b", "a:b", "ä", "a\n", "\na", "a" * 65, "a\0", "a/b"]
)
def test_a_user_name_is_refused(name: str) -> None:
    assert not re.search(USERNAME_PATTERN, name)


@pytest.mark.parametrize("device", ["!", "~", "a" * 128, "iPhone/17;x"])
def test_a_device_is_admitted(device: str) -> None:
    assert re.search(DEVICE_PATTERN, device)


@pytest.mark.parametrize("device", ["", " ", "a b", "a\n", "ä", "\x7f", "a" * 129])
def test_a_device_is_refused(device: str) -> None:
    assert not re.search(DEVICE_PATTERN, device)


@pytest.mark.parametrize("channel", ["internal", "all", "telegram:support", "a" * 32, "x:A.b-c_9"])
def test_a_channel_is_admitted(channel: str) -> None:
    assert re.search(CHANNEL_PATTERN, channel)


@pytest.mark.parametrize(
    "channel", ["", "Telegram", "a" * 33, "telegram:", ":a", "telegram:a b", "t:" + "a" * 65, "a\n"]
)
def test_a_channel_is_refused(channel: str) -> None:
    assert not re.search(CHANNEL_PATTERN, channel)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7D444840-9DC0-41D1-B245-5FFDCE74FAD2",
        "7d4448409dc041d1b2455ffdce74fad2",
        "{7d444840-9dc0-41d1-b245-5ffdce74fad2}",
        "7d444840-9dc0-41d1-b245-5ffdce74fad2\n",
        "7d444840-9dc0-41d1-b245-5ffdce74fad",
    ],
)
def test_only_the_canonical_form_of_a_uuid_is_admitted(text: str) -> None:
    assert not re.search(UUID_PATTERN, text)
