from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chat4all_connectors.meta.parts import part, whole

IDS = st.text("abcXYZ0189_-=.:", min_size=1)


@settings(max_examples=50, deadline=None)
@given(id_=IDS, number=st.integers(0, 40))
def test_a_part_leads_to_the_whole(id_: str, number: int) -> None:
    assert whole(part(id_, number)) == id_


@settings(max_examples=50, deadline=None)
@given(id_=IDS)
def test_the_first_part_has_the_id_and_the_others_have_their_own(id_: str) -> None:
    assert part(id_, 0) == id_
    assert len({part(id_, number) for number in range(10)}) == 10
