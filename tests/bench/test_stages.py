from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_bench.rest.stages import FULL, SHORT, Stage, length, parse, users_at

stage_lists = st.lists(
    st.builds(Stage, st.integers(1, 300).map(float), st.integers(0, 1000)), min_size=1, max_size=6
)


def test_stages_are_read_as_durations_and_users() -> None:
    assert parse("500ms:3, 30s:100,1.5m:200,1h:0") == [
        Stage(0.5, 3),
        Stage(30.0, 100),
        Stage(90.0, 200),
        Stage(3600.0, 0),
    ]


@pytest.mark.parametrize("text", ["", "30:100", "30s", "30s:100,", "-1s:5", "30s:1.5"])
def test_what_is_no_stage_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no stage such as 30s:100"):
        parse(text)


def test_stages_without_users_are_refused() -> None:
    with pytest.raises(ValueError, match="no stage has any users"):
        parse("10s:0")


def test_the_short_run_has_the_users_of_the_full_one_in_a_twentieth_of_the_time() -> None:
    full, short = parse(FULL), parse(SHORT)
    assert [stage.users for stage in short] == [stage.users for stage in full]
    assert [stage.seconds * 20 for stage in short] == [stage.seconds for stage in full]


def test_users_come_and_go_evenly_within_a_stage() -> None:
    stages = parse("10s:100,10s:100,10s:0")
    assert [users_at(stages, at) for at in (0, 5, 10, 15, 20, 25, 29.9)] == [
        0, 50, 100, 100, 100, 50, 1,
    ]  # fmt: skip


@given(stage_lists, st.floats(0, 1))
def test_there_are_never_more_users_than_a_stage_has_and_none_afterwards(
    stages: list[Stage], part: float
) -> None:
    most = max(stage.users for stage in stages)
    assert 0 <= users_at(stages, part * length(stages)) <= most
    assert users_at(stages, length(stages)) == 0
