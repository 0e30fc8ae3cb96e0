"""Questions that come while others are being answered are asked in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_storage.ports.errors import StorageError, Unavailable
from chat4all_storage.together import Together

if TYPE_CHECKING:
    from collections.abc import Callable


class Oracle:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.gate = trio.Event()
        self.error: Exception | None = None

    async def __call__(self, questions: list[int]) -> list[str]:
        self.asked.append(list(questions))
        gate = self.gate
        await gate.wait()
        if self.error is not None:
            raise self.error
        return [str(question) for question in questions]


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


@pytest.fixture
def answers() -> dict[int, str | StorageError]:
    return {}


@pytest.fixture
def asker(
    oracle: Oracle, nursery: trio.Nursery, answers: dict[int, str | StorageError]
) -> Callable[[int], trio.CancelScope]:
    together = Together(oracle, most=3, at_once=1)

    def ask(question: int) -> trio.CancelScope:
        scope = trio.CancelScope()

        async def wait() -> None:
            with scope:
                try:
                    answers[question] = await together.ask(question)
                except StorageError as error:
                    answers[question] = error

        nursery.start_soon(wait)
        return scope

    return ask


async def ask_each(asker: Callable[[int], trio.CancelScope], *questions: int) -> None:
    for question in questions:
        asker(question)
        await wait_all_tasks_blocked()


async def test_a_single_question_is_asked_at_once(
    oracle: Oracle, asker: Callable[[int], trio.CancelScope], answers: dict[int, str]
) -> None:
    await ask_each(asker, 1)
    assert oracle.asked == [[1]]
    oracle.gate.set()
    await wait_all_tasks_blocked()
    assert answers == {1: "1"}


async def test_questions_that_come_meanwhile_are_asked_together_and_each_gets_its_answer(
    oracle: Oracle, asker: Callable[[int], trio.CancelScope], answers: dict[int, str]
) -> None:
    await ask_each(asker, 1, 2, 3, 4)
    oracle.gate.set()
    await wait_all_tasks_blocked()
    assert oracle.asked == [[1], [2, 3, 4]]
    assert answers == {n: str(n) for n in range(1, 5)}


async def test_a_batch_has_a_greatest_size(
    oracle: Oracle, asker: Callable[[int], trio.CancelScope], answers: dict[int, str]
) -> None:
    await ask_each(asker, *range(8))
    oracle.gate.set()
    await wait_all_tasks_blocked()
    assert oracle.asked == [[0], [1, 2, 3], [4, 5, 6], [7]]
    assert len(answers) == 8


async def test_an_answer_is_never_older_than_its_question(
    oracle: Oracle, asker: Callable[[int], trio.CancelScope]
) -> None:
    await ask_each(asker, 1)
    assert oracle.asked == [[1]]
    await ask_each(asker, 2)  # what is under way may have been answered already
    oracle.gate.set()
    await wait_all_tasks_blocked()
    assert oracle.asked == [[1], [2]]


async def test_a_failure_is_told_to_everybody_who_asked_and_to_nobody_later(
    oracle: Oracle,
    asker: Callable[[int], trio.CancelScope],
    answers: dict[int, str | StorageError],
) -> None:
    await ask_each(asker, 1, 2, 3)
    oracle.error = Unavailable("away")
    oracle.gate.set()
    await wait_all_tasks_blocked()
    assert {n: type(answer) for n, answer in answers.items()} == dict.fromkeys(
        (1, 2, 3), Unavailable
    )
    assert answers[2] is not answers[3]
    oracle.error = None
    await ask_each(asker, 4)
    assert answers[4] == "4"


async def test_when_the_first_of_a_batch_is_cancelled_the_others_ask_anew(
    oracle: Oracle, asker: Callable[[int], trio.CancelScope], answers: dict[int, str]
) -> None:
    await ask_each(asker, 1)
    second = asker(2)
    await wait_all_tasks_blocked()
    await ask_each(asker, 3, 4)
    second.cancel()
    await wait_all_tasks_blocked()
    oracle.gate.set()
    await wait_all_tasks_blocked()
    assert [sorted(batch) for batch in oracle.asked] == [[1], [3, 4]]
    assert answers == {1: "1", 3: "3", 4: "4"}


async def test_when_the_one_who_is_asking_is_cancelled_the_others_ask_anew(
    oracle: Oracle, asker: Callable[[int], trio.CancelScope], answers: dict[int, str]
) -> None:
    await ask_each(asker, 0)
    first = asker(1)
    await wait_all_tasks_blocked()
    await ask_each(asker, 2)
    before, oracle.gate = oracle.gate, trio.Event()
    before.set()
    await wait_all_tasks_blocked()
    assert oracle.asked == [[0], [1, 2]]
    first.cancel()
    oracle.gate.set()
    await wait_all_tasks_blocked()
    assert oracle.asked == [[0], [1, 2], [2]]
    assert answers == {0: "0", 2: "2"}
