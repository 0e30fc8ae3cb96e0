from __future__ import annotations

from chat4all_actors.session.held import Held
from chat4all_protocol.frames import Gap

from .fakes import frames


def gap(data: bytes) -> tuple[str, int, int]:
    (found,) = frames([data])
    assert isinstance(found, Gap)
    return found.conv, found.from_, found.to


def test_what_is_held_comes_in_order_and_nothing_is_held_after_its_release() -> None:
    held = Held(["a", "b"], max_bytes=10)
    assert held.take("a", 1, 1, b"123")
    assert held.take("b", 1, 1, b"x")
    assert held.take("a", 2, 2, b"45")
    assert "a" in held
    assert held.release("a") == b"12345"
    assert "a" not in held
    assert not held.take("a", 3, 3, b"6")
    assert held.release("a") == b""
    assert held.release("b") == b"x"


def test_of_other_conversations_nothing_is_held() -> None:
    held = Held(["a"], max_bytes=10)
    assert "b" not in held
    assert not held.take("b", 1, 1, b"1")


def test_beyond_the_bound_there_is_a_gap_behind_what_fits() -> None:
    held = Held(["a"], max_bytes=10)
    assert held.take("a", 1, 2, b"12345678")
    assert held.take("a", 3, 4, b"12345678")
    assert held.take("a", 5, 6, b"1")  # it would fit, and still comes behind the hole
    data = held.release("a")
    assert data.startswith(b"12345678")
    assert gap(data[8:]) == ("a", 3, 6)


def test_all_conversations_share_the_bound() -> None:
    held = Held(["a", "b"], max_bytes=10)
    assert held.take("a", 1, 1, b"1" * 10)
    assert held.take("b", 7, 7, b"1")
    assert held.release("a") == b"1" * 10
    assert gap(held.release("b")) == ("b", 7, 7)


def test_what_was_left_is_dropped() -> None:
    held = Held(["a"], max_bytes=10)
    held.take("a", 1, 1, b"1")
    held.drop("a")
    held.drop("b")
    assert not held.take("a", 2, 2, b"2")
    assert held.release("a") == b""
