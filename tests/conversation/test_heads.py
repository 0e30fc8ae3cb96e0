from __future__ import annotations

from contextlib import ExitStack

import pytest

from chat4all_actors.conversation.heads import Heads


def test_a_read_finds_what_was_noted_since_it_began() -> None:
    heads = Heads()
    with heads.reading():
        heads.note("a", 5)
        assert heads.of("a") == 5
        assert heads.of("b") == 0


def test_the_highest_that_was_noted_counts() -> None:
    heads = Heads()
    with heads.reading():
        for seq in (3, 7, 5):
            heads.note("a", seq)
        assert heads.of("a") == 7


def test_a_conversation_without_events_has_come_nowhere() -> None:
    heads = Heads()
    with heads.reading():
        heads.note("a", 0)
        assert heads.of("a") == 0


def test_nothing_is_kept_while_there_is_no_read() -> None:
    heads = Heads()
    heads.note("a", 5)
    assert (heads.of("a"), len(heads)) == (0, 0)
    with heads.reading():
        heads.note("b", 5)
    assert (heads.of("b"), len(heads)) == (0, 0)


def test_nothing_is_kept_after_a_read_that_failed() -> None:
    heads = Heads()

    def read() -> None:
        with heads.reading():
            heads.note("a", 5)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        read()
    assert len(heads) == 0


def test_what_was_noted_stays_for_the_read_that_began_before_it() -> None:
    heads = Heads()
    with heads.reading():
        for seq in range(1, 10):
            with heads.reading():  # others begin and end meanwhile
                heads.note(f"other {seq}", seq)
        heads.note("a", 5)
        with heads.reading():
            heads.note("a", 2)
        assert heads.of("a") == 5
        assert [heads.of(f"other {seq}") for seq in range(1, 10)] == list(range(1, 10))
    assert len(heads) == 0


def test_what_is_kept_for_reads_is_counted() -> None:
    heads = Heads()
    with ExitStack() as before, heads.reading():
        before.enter_context(heads.reading())
        heads.note("a", 1)
        before.close()
        heads.note("b", 1)
        assert len(heads) == 2


def test_reads_that_always_overlap_do_not_make_it_keep_everything() -> None:
    heads = Heads()
    with ExitStack() as last:
        last.enter_context(heads.reading())
        for number in range(1000):
            following = ExitStack()
            following.enter_context(heads.reading())
            heads.note(f"conversation {number}", 1)
            last.close()
            assert heads.of(f"conversation {number}") == 1  # `following` may need it
            last.push(following)
        assert len(heads) <= 3
    assert len(heads) == 0
