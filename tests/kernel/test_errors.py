from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chat4all_actors.kernel import ActorFailed, ActorStopped, KernelError, errors

if TYPE_CHECKING:
    from collections.abc import Iterator


def descendants(error: type[BaseException]) -> Iterator[type[BaseException]]:
    for child in error.__subclasses__():
        yield child
        yield from descendants(child)


def test_the_drawn_tree_names_every_error() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    assert drawn == {error.__name__ for error in descendants(KernelError)}


def test_a_crashed_actor_is_a_stopped_actor_to_whoever_does_not_care() -> None:
    assert issubclass(ActorFailed, ActorStopped)
