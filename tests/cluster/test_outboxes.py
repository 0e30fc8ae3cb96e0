"""What waits for other nodes: in order, within bounds, and with a hole where something is not."""

from __future__ import annotations

import pytest

from chat4all_actors.cluster import outboxes as module
from chat4all_actors.cluster.items import Stands, decode_entry, encode_item
from chat4all_actors.cluster.outboxes import Outboxes


def item(seq: int) -> bytes:
    return encode_item(Stands("c", seq, []))


def entries(outboxes: Outboxes) -> list[tuple[str, int, list[int]]]:
    """What is taken: for whom, with which number, and the items."""
    found = []
    for node, data in outboxes.take_entries():
        entry = decode_entry(data)
        assert entry.sender == "me"
        seqs = [each.seq for each in entry.items if isinstance(each, Stands)]
        found.append((node, entry.number, seqs))
    return found


@pytest.fixture
def outboxes() -> Outboxes:
    return Outboxes("me")


def test_what_waits_for_a_node_is_one_entry_in_order(outboxes: Outboxes) -> None:
    for node, seq in (("one", 1), ("two", 2), ("one", 3)):
        outboxes.put(node, item(seq))
    assert entries(outboxes) == [("one", 1, [1, 3]), ("two", 1, [2])]
    assert entries(outboxes) == []
    outboxes.put("one", item(4))
    assert entries(outboxes) == [("one", 2, [4])]
    assert (outboxes.sent_items, outboxes.dropped_items) == (4, 0)


def test_a_large_batch_is_several_entries(
    outboxes: Outboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ENTRY", 2 * len(item(1)))
    for seq in range(1, 6):
        outboxes.put("one", item(seq))
    assert entries(outboxes) == [("one", 1, [1, 2]), ("one", 2, [3, 4]), ("one", 3, [5])]


def test_beyond_the_bound_items_are_dropped_and_leave_a_hole(
    outboxes: Outboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_OUTBOX", 2 * len(item(1)))
    for seq in (1, 2, 3):
        outboxes.put("one", item(seq))
    outboxes.put("two", item(3))
    assert outboxes.dropped_items == 1
    # The number shows that one is missing, though it came after what is in this entry.
    assert entries(outboxes) == [("one", 2, [1, 2]), ("two", 1, [3])]


def test_whom_nothing_is_told_sees_a_hole(outboxes: Outboxes) -> None:
    outboxes.miss("one")
    outboxes.put("one", item(1))
    assert entries(outboxes) == [("one", 2, [1])]
    assert outboxes.dropped_items == 1


def test_what_is_dropped_leaves_a_hole_to_that_node_alone(outboxes: Outboxes) -> None:
    for node in ("one", "two"):
        outboxes.put(node, item(1))
    outboxes.drop("one")
    outboxes.drop("one")  # nothing waits any more
    outboxes.drop("nobody")
    outboxes.put("one", item(2))
    assert entries(outboxes) == [("one", 2, [2]), ("two", 1, [1])]
    assert outboxes.dropped_items == 1


def test_when_all_is_dropped_everybody_sees_a_hole(outboxes: Outboxes) -> None:
    outboxes.put("one", item(1))
    outboxes.put("two", item(1))
    entries(outboxes)
    outboxes.put("one", item(2))
    outboxes.drop_all()
    for node in ("one", "two"):
        outboxes.put(node, item(3))
    assert entries(outboxes) == [("one", 3, [3]), ("two", 3, [3])]
    assert outboxes.dropped_items == 1


def test_a_node_that_was_gone_and_returns_sees_a_hole(outboxes: Outboxes) -> None:
    for seq in (1, 2):
        outboxes.put("one", item(seq))
        entries(outboxes)
    outboxes.close("one")
    outboxes.close("nobody")
    for node in ("one", "two"):
        outboxes.put(node, item(3))
    assert entries(outboxes) == [("one", 4, [3]), ("two", 4, [3])]
