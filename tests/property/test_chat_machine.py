"""Whatever clients, operators and databases do, the guarantees hold.

Hypothesis writes programs for `simulation`: sends, retries, connections that come, go, or take
no bytes, crashes of a conversation or the node, commits whose answers are lost. With two nodes
devices also move from one to the other, and the bus between them loses what it carries.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from .cluster_programs import BROKEN_ON_TWO, NODES, cluster_programs
from .mutants import CLUSTER_MUTANTS, MUTANTS
from .programs import ONCE_BROKEN, made_of, programs
from .simulation import play

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from hypothesis.strategies import SearchStrategy

    from .sim_world import Step

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # to shrink a program takes minutes
    suppress_health_check=SLOW_IS_FINE,
)
@given(programs)
def test_every_guarantee_holds_whatever_happens(program: list[Step]) -> None:
    assert play(program) == []


@pytest.mark.parametrize("program", ONCE_BROKEN.values(), ids=ONCE_BROKEN.keys())
def test_what_once_went_wrong_goes_right(program: list[Step]) -> None:
    assert play(program) == []


@settings(
    max_examples=120,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=SLOW_IS_FINE,
)
@given(cluster_programs)
def test_every_guarantee_holds_on_two_nodes(program: list[Step]) -> None:
    assert play(program, NODES) == []


@pytest.mark.parametrize("program", BROKEN_ON_TWO.values(), ids=BROKEN_ON_TWO.keys())
def test_what_once_went_wrong_on_two_nodes_goes_right(program: list[Step]) -> None:
    assert play(program, NODES) == []


ALL_MUTANTS = [(*each, 1) for each in MUTANTS] + [(*each, NODES) for each in CLUSTER_MUTANTS]


@pytest.mark.parametrize(
    ("mutant", "scene", "nodes"), ALL_MUTANTS, ids=[mutant.__name__ for mutant, *_ in ALL_MUTANTS]
)
def test_a_server_that_breaks_a_guarantee_is_found(
    mutant: Callable[[], AbstractContextManager[object]],
    scene: SearchStrategy[list[Step]],
    nodes: int,
) -> None:
    def is_found(program: list[Step]) -> bool:
        with mutant():
            return bool(play(program, nodes))

    find(
        made_of(scene),
        is_found,
        settings=settings(
            max_examples=1000,
            database=None,
            phases=[Phase.generate],
            deadline=None,
            suppress_health_check=SLOW_IS_FINE,
        ),
        random=Random(1),
    )
