"""Who is to have what through which account."""

from __future__ import annotations

from msgspec.structs import replace

from chat4all_actors.channels.recipients import deliveries, wants_links
from chat4all_storage.ports.contacts import Contact, Link
from chat4all_storage.ports.outbox import Leaving

ACCOUNTS = frozenset({"telegram", "whatsapp"})
ANA, BEA = "telegram:1", "whatsapp:+55"
CONTACTS = {
    ANA: Contact(address=ANA, account="telegram", chat="1"),
    BEA: Contact(address=BEA, account="whatsapp", chat="bea"),
}
BOB_ON_TELEGRAM = Link("bob", "telegram", "telegram:7", "7", 1)
SAID = Leaving(1, "conv", 4, "alice", "message", None, None, ["alice", "bob", ANA, BEA])


def routed(leaving: Leaving, *links: Link) -> list[tuple[str, str, str]]:
    found = deliveries(leaving, ACCOUNTS, CONTACTS, links)
    return [(each.account, each.chat, each.address) for each in found]


def test_external_members_get_what_is_said_without_choice_of_channels() -> None:
    assert routed(SAID) == [("telegram", "1", ANA), ("whatsapp", "bea", BEA)]


def test_the_sender_does_not_get_its_own() -> None:
    assert routed(replace(SAID, sender=ANA)) == [("whatsapp", "bea", BEA)]


def test_internal_only_leaves_to_nobody() -> None:
    assert routed(replace(SAID, channels=("internal",))) == []


def test_named_channels_get_it_alone() -> None:
    assert routed(replace(SAID, channels=("internal", "whatsapp"))) == [("whatsapp", "bea", BEA)]


def test_users_get_it_where_they_are_linked_if_a_channel_is_named() -> None:
    named = replace(SAID, channels=("telegram",))
    assert routed(named, BOB_ON_TELEGRAM) == [("telegram", "7", "bob"), ("telegram", "1", ANA)]
    assert wants_links(named, ACCOUNTS)


def test_all_is_every_channel_and_every_link() -> None:
    everywhere = replace(SAID, channels=("all",))
    assert routed(everywhere, BOB_ON_TELEGRAM) == [
        ("telegram", "7", "bob"),
        ("telegram", "1", ANA),
        ("whatsapp", "bea", BEA),
    ]
    assert wants_links(everywhere, ACCOUNTS)


def test_links_count_only_where_a_channel_is_named() -> None:
    assert not wants_links(SAID, ACCOUNTS)
    assert ("telegram", "7", "bob") not in routed(SAID, BOB_ON_TELEGRAM)


def test_a_chat_gets_it_once_whoever_is_in_it() -> None:
    twice = replace(BOB_ON_TELEGRAM, chat="1")
    named = replace(SAID, channels=("telegram",))
    assert routed(named, twice) == [("telegram", "1", "bob")]


def test_nothing_goes_through_an_account_that_is_not_set_up_or_to_an_unknown_contact() -> None:
    found = deliveries(SAID, frozenset({"whatsapp"}), CONTACTS, ())
    assert [each.account for each in found] == ["whatsapp"]
    assert deliveries(SAID, ACCOUNTS, {}, ()) == []


def test_a_delivery_names_the_event() -> None:
    edit = replace(SAID, kind="edit", target=3)
    first, _ = deliveries(edit, ACCOUNTS, CONTACTS, ())
    assert (first.conversation, first.seq, first.kind, first.target) == ("conv", 4, "edit", 3)
