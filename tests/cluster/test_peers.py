"""Who of the other nodes lives, judged by their beats and our clock alone."""

from __future__ import annotations

from chat4all_actors.cluster.peers import FORGOTTEN_AFTER, LOST_AFTER, Changes, Peers

NOTHING = Changes([], [], [])


def test_a_node_joins_when_its_beat_is_seen_and_once() -> None:
    peers = Peers("me")
    assert peers.observe({"me": b"1", "you": b"1"}, 0).joined == ["you"]
    assert peers.living == ("you",)
    assert peers.observe({"me": b"2", "you": b"2"}, 1) == NOTHING


def test_a_node_whose_beat_stands_still_is_lost_and_joins_again_when_it_beats() -> None:
    peers = Peers("me")
    peers.observe({"you": b"1"}, 0)
    assert peers.observe({"you": b"1"}, LOST_AFTER) == NOTHING
    assert peers.observe({"you": b"1"}, LOST_AFTER + 1).lost == ["you"]
    assert list(peers.living) == []
    assert peers.observe({"you": b"1"}, LOST_AFTER + 2) == NOTHING
    assert peers.observe({"you": b"2"}, LOST_AFTER + 3).joined == ["you"]
    assert peers.living == ("you",)


def test_a_node_that_is_not_listed_any_more_is_lost_in_its_time() -> None:
    peers = Peers("me")
    peers.observe({"you": b"1"}, 0)
    assert peers.observe({}, LOST_AFTER) == NOTHING
    assert peers.observe({}, LOST_AFTER + 1).lost == ["you"]
    assert peers.observe({"you": b"1"}, LOST_AFTER + 2).joined == ["you"]


def test_what_a_node_that_was_lost_for_long_has_left_is_to_be_removed() -> None:
    peers = Peers("me")
    peers.observe({"you": b"7"}, 0)
    peers.observe({"you": b"7"}, LOST_AFTER + 1)
    assert peers.observe({"you": b"7"}, FORGOTTEN_AFTER) == NOTHING
    assert peers.observe({"you": b"7"}, FORGOTTEN_AFTER + 1).forgotten == [("you", b"7")]


def test_nobody_is_lost_for_what_could_not_be_seen() -> None:
    peers = Peers("me")
    peers.observe({"you": b"1"}, 0)
    peers.excuse(100)
    assert peers.observe({"you": b"1"}, 100) == NOTHING
    assert peers.observe({"you": b"1"}, 100 + LOST_AFTER + 1).lost == ["you"]


def test_what_a_lost_node_has_left_waits_no_longer_because_beats_could_not_be_seen() -> None:
    peers = Peers("me")
    peers.observe({"you": b"1"}, 0)
    peers.observe({"you": b"1"}, LOST_AFTER + 1)
    peers.excuse(FORGOTTEN_AFTER)
    assert peers.observe({"you": b"1"}, FORGOTTEN_AFTER + 1).forgotten == [("you", b"1")]


def test_nothing_is_known_any_more_of_a_lost_node_that_is_not_listed() -> None:
    peers = Peers("me")
    peers.heard("you", 7, 0)
    assert peers.observe({}, LOST_AFTER + 1).lost == ["you"]
    assert peers.heard("you", 8, LOST_AFTER + 2) == (True, True)


def test_an_entry_introduces_its_sender_and_shows_what_was_missed() -> None:
    peers = Peers("me")
    assert peers.heard("you", 1, 0) == (True, False)
    assert peers.living == ("you",)
    assert peers.heard("you", 2, 0) == (False, False)
    assert peers.heard("you", 4, 0) == (False, True)
    assert peers.heard("you", 2, 0) == (False, False)  # read again
    assert peers.heard("you", 5, 0) == (False, False)


def test_of_a_node_whose_first_entry_did_not_come_something_was_missed() -> None:
    assert Peers("me").heard("you", 3, 0) == (True, True)


def test_a_lost_node_that_tells_something_has_joined_again() -> None:
    peers = Peers("me")
    peers.observe({"you": b"1"}, 0)
    peers.observe({"you": b"1"}, LOST_AFTER + 1)
    assert peers.heard("you", 1, LOST_AFTER + 2) == (True, False)
    assert peers.observe({"you": b"1"}, LOST_AFTER + 3) == NOTHING


def test_a_node_that_leaves_is_told_nothing_more() -> None:
    peers = Peers("me")
    peers.observe({"you": b"1"}, 0)
    assert peers.left("you")
    assert peers.living == ()
    assert not peers.left("you")
    assert not peers.left("nobody")
    assert peers.observe({"you": b"1"}, 1) == NOTHING
    assert peers.observe({}, 2) == NOTHING


def test_a_beat_from_just_before_a_node_left_does_not_bring_it_back() -> None:
    peers = Peers("me")
    peers.observe({"you": b"1"}, 0)
    peers.left("you")
    assert peers.observe({"you": b"2"}, 1) == NOTHING
    assert peers.living == ()


def test_what_a_node_could_not_take_away_when_it_left_is_to_be_removed() -> None:
    peers = Peers("me")
    peers.observe({"you": b"1"}, 0)
    peers.left("you")
    peers.observe({"you": b"2"}, 1)
    assert peers.observe({"you": b"2"}, FORGOTTEN_AFTER + 2).forgotten == [("you", b"2")]


def test_a_node_that_left_and_tells_something_is_a_node_like_any_other() -> None:
    peers = Peers("me")
    peers.heard("you", 1, 0)
    peers.left("you")
    assert peers.heard("you", 2, 1) == (True, False)
    assert peers.living == ("you",)
    peers.observe({"you": b"1"}, 2)
    assert peers.observe({"you": b"1"}, 2 + LOST_AFTER + 1).lost == ["you"]
    assert peers.observe({"you": b"2"}, 2 + LOST_AFTER + 2).joined == ["you"]


def test_the_living_are_listed_in_the_order_of_acquaintance_and_without_oneself() -> None:
    peers = Peers("me")
    peers.heard("b", 1, 0)
    assert peers.observe({"me": b"1", "b": b"1", "a": b"1"}, 0).joined == ["a"]
    assert peers.living == ("b", "a")
