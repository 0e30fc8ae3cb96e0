from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_actors.presence import whereabouts as module
from chat4all_actors.presence.whereabouts import Whereabouts

if TYPE_CHECKING:
    import pytest


def nobody(user: str) -> bool:
    return False


def test_a_user_is_on_every_node_that_has_a_record() -> None:
    where = Whereabouts()
    where.put("n1", "ana", 5)
    where.put("n2", "ana", 6)
    where.put("n2", "ana", 7)
    where.put("n2", "bob", 8)
    where.put("n3", "bob", 0)
    assert where.nodes_of(["ana"]) == {"n1", "n2"}
    assert where.nodes_of(["bob", "nobody"]) == {"n2"}
    assert sorted(where.records("ana")) == [5, 7]
    assert len(where) == 2
    where.put("n1", "ana", 0)
    assert where.nodes_of(["ana", "bob"]) == {"n2"}
    where.put("n2", "ana", 0)
    assert where.nodes_of(["ana"]) == frozenset()
    assert list(where.records("ana")) == []


def test_combinations_of_many_nodes_are_right_and_few_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MAX_COMBINATIONS", 8)
    where = Whereabouts()
    nodes = [f"n{number}" for number in range(40)]
    for number, node in enumerate(nodes):
        for user in range(number + 1):
            where.put(node, f"user-{user}", 1)
    for user in range(40):
        assert where.nodes_of([f"user-{user}"]) == set(nodes[user:])
    for user in range(0, 39, 2):
        assert where.nodes_of([f"user-{user}", "user-39"]) == set(nodes[user:])
    assert len(where._names) <= 8
    assert len(where._shared) <= 8


def test_a_bit_is_free_again_when_its_node_is_gone() -> None:
    where = Whereabouts()
    for round_ in range(100):
        for name in ("a", "b"):
            where.put(f"{name}{round_}", "ana", 1)
        assert where.nodes_of(["ana"]) == {f"a{round_}", f"b{round_}"}
        assert where.drop(f"a{round_}") == {"ana": 1}
        assert where.nodes_of(["ana"]) == {f"b{round_}"}
        where.lose(f"b{round_}", is_here=nobody)
        assert where.nodes_of(["ana"]) == frozenset()
        assert list(where.records("ana")) == [1]
        assert where.bury(f"b{round_}") == {"ana": 1}
    where.put("c", "ana", 1)
    assert max(where._bits.values()) == 1


def test_who_is_anywhere_else_leaves_no_ghost() -> None:
    where = Whereabouts()
    for user in ("ana", "bob", "carla", "dora"):
        where.put("n1", user, 1)
    where.put("n2", "bob", 2)
    where.lose("n1", is_here=lambda user: user == "ana")
    assert [list(where.records(user)) for user in ("ana", "bob", "carla")] == [[], [2], [1]]
    where.lay("carla")
    assert where.bury("n1") == {"dora": 1}


def test_a_snapshot_proves_who_is_gone_unless_some_of_it_was_missed() -> None:
    where = Whereabouts()
    for user in ("ana", "bob"):
        where.put("n1", user, 1)
    assert where.begin("n1") == {}
    where.put("n1", "ana", 1)
    where.missed("n1")
    assert where.end("n1") is None
    assert where.begin("n1") == {}
    where.put("n1", "ana", 1)
    assert where.end("n1") == {"bob": 1}
    assert where.end("n1") is None
    where.missed("n2")
    assert where.nodes == {"n1"}
