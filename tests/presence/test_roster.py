from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import msgspec

from chat4all_actors.presence import roster as module
from chat4all_actors.presence.carrier import RosterChanges, RosterSnapshot, RosterWanted, UserState
from chat4all_actors.presence.roster import Overtaken, Roster, Standing, Status

if TYPE_CHECKING:
    import pytest

NOWHERE = Standing(Status.OFFLINE, 0, invisible=False)


def arrive(
    roster: Roster,
    user: str = "ana",
    device: str = "phone",
    birth: int = 1,
    *,
    away: bool = False,
    invisible: bool = False,
    read_at: int | None = None,
) -> int:
    at = birth if read_at is None else read_at
    return roster.arrive(user, device, birth, away=away, invisible=invisible, read_at=at)


def tell(teller: Roster, *others: Roster) -> list[Overtaken]:
    states = teller.take_untold()
    return [one for other in others for one in other.apply(teller.node, states)]


def test_a_user_stands_as_the_most_present_of_the_devices() -> None:
    roster = Roster("n1")
    assert roster.standing("ana") == NOWHERE
    phone = arrive(roster, device="phone", away=True)
    assert roster.standing("ana") == Standing(Status.AWAY, 1, invisible=False)
    laptop = arrive(roster, device="laptop", birth=2)
    assert roster.standing("ana") == Standing(Status.ONLINE, 2, invisible=False)
    assert roster.set_away("ana", "laptop", laptop, True)
    assert not roster.set_away("ana", "laptop", laptop, True)
    assert roster.standing("ana").status is Status.AWAY
    roster.leave("ana", "laptop", laptop)
    roster.leave("ana", "phone", phone)
    assert roster.standing("ana") == NOWHERE
    assert not roster.is_here("ana")


def test_a_session_that_was_replaced_changes_nothing_any_more() -> None:
    roster = Roster("n1")
    first = arrive(roster, birth=5)
    second = arrive(roster, birth=5)  # stamped by the same reading of the clock
    assert second > first
    roster.leave("ana", "phone", first)
    assert not roster.set_away("ana", "phone", first, True)
    assert roster.standing("ana") == Standing(Status.ONLINE, 1, invisible=False)


def test_other_nodes_learn_where_a_user_is_and_that_it_left() -> None:
    one, two, three = Roster("n1"), Roster("n2"), Roster("n3")
    birth = arrive(one)
    arrive(two, "bob")
    tell(one, two, three)
    tell(two, one, three)
    assert three.nodes_of(["ana", "bob", "nobody"]) == {"n1", "n2"}
    assert three.nodes_of(["bob"]) == {"n2"}
    assert three.nodes_of(["nobody"]) == three.nodes_of([]) == frozenset()
    assert one.nodes_of(["ana", "bob"]) == {"n2"}  # the other nodes only
    assert three.standing("ana") == Standing(Status.ONLINE, 1, invisible=False)
    one.leave("ana", "phone", birth)
    tell(one, two, three)
    assert three.nodes_of(["ana", "bob"]) == {"n2"}
    assert three.standing("ana") == NOWHERE
    assert one.take_untold() == []


def test_the_generation_rises_when_a_user_appears_not_when_it_is_told_again() -> None:
    one, two = Roster("n1"), Roster("n2")
    birth = arrive(one)
    before = two.generation
    tell(one, two)
    after = two.generation
    assert after > before
    one.set_away("ana", "phone", birth, True)
    tell(one, two)
    assert two.generation == after
    assert two.standing("ana").status is Status.AWAY


def test_the_later_session_of_a_device_overtakes_the_earlier_wherever_it_is() -> None:
    one, two = Roster("n1"), Roster("n2")
    arrive(one, birth=10)
    tell(one, two)
    arrive(two, birth=20)
    assert tell(two, one) == [Overtaken("ana", "phone", 10)]
    assert not one.is_here("ana")
    assert tell(one, two) == []
    assert two.standing("ana").devices == one.standing("ana").devices == 1


def test_an_earlier_session_that_comes_late_is_told_that_it_is_over() -> None:
    one, two = Roster("n1"), Roster("n2")
    arrive(two, birth=20)
    tell(two, one)
    arrive(one, birth=10)  # its connect took long
    assert tell(one, two) == []
    assert tell(two, one) == [Overtaken("ana", "phone", 10)]


def test_sessions_of_one_birth_are_settled_alike_on_both_sides() -> None:
    one, two = Roster("n1"), Roster("n2")
    arrive(one, birth=10)
    arrive(two, birth=10)
    first, second = one.take_untold(), two.take_untold()
    assert two.apply("n1", first) == []
    assert one.apply("n2", second) == [Overtaken("ana", "phone", 10)]


def test_the_setting_that_was_read_last_holds_on_all_nodes() -> None:
    one, two = Roster("n1"), Roster("n2")
    arrive(one, device="phone", birth=10)
    arrive(two, device="laptop", birth=11)
    tell(one, two)
    tell(two, one)
    one.set_invisible("ana", True, 20)
    tell(one, two)
    assert one.standing("ana").invisible
    assert two.standing("ana").invisible
    tell(two, one)
    two.set_invisible("ana", False, 15)  # read before
    assert two.standing("ana").invisible
    two.set_invisible("ana", False, 30)
    tell(two, one)
    tell(one, two)
    assert not one.standing("ana").invisible
    assert not two.standing("ana").invisible


def test_who_tells_an_older_setting_is_told_the_newer() -> None:
    one, two = Roster("n1"), Roster("n2")
    arrive(one, device="phone", birth=20, invisible=True)
    tell(one, two)
    arrive(two, device="laptop", birth=21, read_at=10)  # read before, arrived after
    tell(two, one)
    tell(one, two)
    assert two.standing("ana").invisible
    tell(two, one)
    assert not one.has_untold
    one.leave("ana", "phone", 20)
    tell(one, two)
    assert two.standing("ana").invisible


def test_a_setting_outlives_the_session_that_made_it() -> None:
    one, two = Roster("n1"), Roster("n2")
    phone = arrive(one, device="phone", birth=10)
    arrive(two, device="laptop", birth=11)
    one.set_invisible("ana", True, 20)
    one.leave("ana", "phone", phone)
    tell(one, two)
    assert two.standing("ana") == Standing(Status.ONLINE, 1, invisible=True)


def test_a_snapshot_replaces_what_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    one, two = Roster("n1"), Roster("n2")
    births = {name: arrive(one, name) for name in "abcde"}
    tell(one, two)
    assert two.nodes_of("abcde")  # two of them: the rest is still to be told
    for name in "ab":
        one.leave(name, "phone", births[name])
    one.take_untold()  # and lost
    parts = list(one.snapshot())
    assert [(part.first, part.last) for part in parts] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    told = [two.apply_snapshot("n1", part) for part in parts]
    assert [one.whole for one in told] == [False, False, True]
    assert [one.gone for one in told] == [{}, {}, {}]  # those who left are in a state
    assert [name for name in "abcde" if two.nodes_of(name)] == ["c", "d", "e"]
    while one.take_untold():
        pass
    one.leave("c", "phone", births["c"])
    one.take_untold()
    (part,) = one.snapshot()
    assert two.apply_snapshot("n1", part) == ([], {"c": False}, True)
    assert [name for name in "abcde" if two.nodes_of(name)] == ["d", "e"]


def test_a_snapshot_with_a_loss_removes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    one, two = Roster("n1"), Roster("n2")
    for name in "abcd":
        arrive(one, name)
    parts = list(one.snapshot())
    for part in parts:
        two.apply_snapshot("n1", part)
    two.apply_snapshot("n1", RosterSnapshot([], first=True, last=False))
    two.missed("n1")
    assert not two.apply_snapshot("n1", parts[-1]).whole
    assert [name for name in "abcd" if two.nodes_of(name)] == ["a", "b", "c", "d"]


def test_an_empty_node_has_a_snapshot_too() -> None:
    one, two = Roster("n1"), Roster("n2")
    arrive(one)
    tell(one, two)
    reborn = Roster("n1")
    (part,) = reborn.snapshot()
    assert two.apply_snapshot("n1", part) == ([], {"ana": False}, True)


def test_a_node_that_left_takes_its_users_along_and_its_bit_is_used_again() -> None:
    one, two, three = Roster("n1"), Roster("n2"), Roster("n3")
    arrive(one, "ana")
    arrive(one, "bob")
    arrive(two, "bob")
    tell(one, three)
    tell(two, three)
    assert three.nodes_of(["ana", "bob"]) == {"n1", "n2"}
    before = three.generation
    assert sorted(three.drop("n1")) == ["ana", "bob"]
    assert three.drop("n1") == {}
    assert three.generation > before
    assert three.nodes_of(["ana", "bob"]) == {"n2"}
    four = Roster("n4")
    arrive(four, "ana")
    tell(four, three)
    assert three.nodes_of(["ana"]) == {"n4"}
    assert three.nodes_of(["ana", "bob"]) == {"n2", "n4"}
    assert three.nodes == {"n2", "n4"}


def test_the_users_of_a_lost_node_keep_their_standing_until_they_are_seen_or_buried() -> None:
    one, two, three = Roster("n1"), Roster("n2"), Roster("n3")
    for name in ("ana", "bob", "carla"):
        arrive(one, name)
    arrive(three, "carla", "laptop")
    tell(one, three)
    three.lose("n1")
    three.lose("n1")
    assert three.nodes_of(["ana", "bob"]) == frozenset()
    assert three.standing("ana") == Standing(Status.ONLINE, 1, invisible=False)
    assert three.standing("carla").devices == 1  # who is here needs no ghost
    birth = arrive(two, "ana")
    tell(two, three)
    two.leave("ana", "phone", birth)
    tell(two, three)
    assert three.standing("ana") == NOWHERE
    assert three.bury("n1") == {"bob": False}
    assert three.standing("bob") == NOWHERE


def test_a_lost_node_that_comes_back_is_as_its_snapshot_says() -> None:
    one, two = Roster("n1"), Roster("n2")
    birth = arrive(one, "ana")
    arrive(one, "bob")
    tell(one, two)
    two.lose("n1")
    one.leave("ana", "phone", birth)
    one.take_untold()
    (part,) = one.snapshot()
    assert sorted(two.apply_snapshot("n1", part).gone) == ["ana", "bob"]
    assert two.standing("ana") == NOWHERE
    assert two.nodes_of(["ana", "bob"]) == {"n1"}


def test_what_is_told_passes_the_wire() -> None:
    one = Roster("n1")
    arrive(one, birth=2**62, invisible=True)
    told = RosterChanges(one.take_untold())
    (part,) = one.snapshot()
    wire = msgspec.msgpack.Decoder(RosterChanges | RosterSnapshot | RosterWanted)
    for item in (told, part, RosterWanted()):
        assert wire.decode(msgspec.msgpack.encode(item)) == item
    assert len(msgspec.msgpack.encode(told)) < 60


def test_a_user_of_another_node_costs_little() -> None:
    users = 20_000
    states = [UserState(f"user-{n}", {f"device-{n}": n}, active=True) for n in range(users)]
    data = msgspec.msgpack.encode(states)
    del states
    roster = Roster("n1")
    gc.collect()
    tracemalloc.start()
    roster.apply("n2", msgspec.msgpack.decode(data, type=list[UserState]))
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held / users < 250


def test_it_tells_how_many_it_knows() -> None:
    one, two = Roster("n1"), Roster("n2")
    arrive(one)
    arrive(two, "bob")
    tell(two, one)
    assert one.statistics() == module.RosterStatistics(here=1, elsewhere=1, nodes=1, untold=1)
