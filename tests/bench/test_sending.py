from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from chat4all_bench.http import Answer
from chat4all_bench.rest.sending import carry_out, judged, message
from chat4all_bench.rest.stages import Stage
from chat4all_bench.rest.work import Done, Pair, Rate, Users, Window, Work

from .fake_server import answer, fake_server

if TYPE_CHECKING:
    from chat4all_bench.rest.work import Load

PAIR = Pair("conversation", "user_0_a", "user_0_b", "token", by_client=True)


def accepted(message_id: str, **other: object) -> bytes:
    said: dict[str, object] = {"message_id": message_id, "status": "accepted", "sequence_number": 4}
    return msgspec.json.encode(said | other)


def carried_out(load: Load, *, number: int = 0, processes: int = 1) -> tuple[Done, list[int]]:
    """What a process does of this load against a server that takes everything."""

    def respond(data: bytes) -> list[bytes]:
        sent = msgspec.json.decode(data[data.index(b"\r\n\r\n") + 4 :])
        return [answer(accepted(sent["message_id"]), 202)]

    async def run() -> tuple[Done, list[int]]:
        async with fake_server(respond) as (url, counts):
            start = time.monotonic()
            return await carry_out(Work(url, [PAIR], load, start, number, processes, 8)), counts

    return asyncio.run(run())


def test_a_message_is_the_one_of_the_specified_load_test() -> None:
    sent = message(PAIR, "an-id")
    assert list(sent) == [
        "message_id", "conversation_id", "from", "to", "channels", "payload", "metadata",
    ]  # fmt: skip
    assert (sent["from"], sent["to"], sent["channels"]) == ("user_0_a", ["user_0_b"], ["internal"])


@pytest.mark.parametrize("status", [200, 202])
def test_an_acceptance_is_good_and_tells_the_place(status: int) -> None:
    assert judged(Answer(status, accepted("an-id")), "an-id") == ("", 4)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (Answer(503, accepted("an-id")), "status 503"),
        (Answer(202, accepted("other")), "another message_id"),
        (Answer(202, accepted("an-id", status="queued")), "status is queued"),
        (Answer(202, b"{"), "an answer of another form"),
        (Answer(202, b"[]"), "an answer of another form"),
        (Answer(202, b"{}"), "an answer of another form"),
    ],
)
def test_an_answer_that_is_no_acceptance_is_a_fault(given: Answer, fault: str) -> None:
    assert judged(given, "an-id") == (fault, 0)


def test_an_open_loop_sends_each_message_that_is_due_whatever_the_answers() -> None:
    done, _ = carried_out(Rate(per_second=100, seconds=0.1))
    assert len(done.samples) == 10
    due = sorted(each.due for each in done.samples)
    assert [round(each - due[0], 3) for each in due] == [number / 100 for number in range(10)]
    assert not any(each.fault for each in done.samples)


def test_processes_share_the_messages_of_an_open_loop() -> None:
    halves = [
        carried_out(Rate(per_second=90, seconds=0.1), number=number, processes=2)[0]
        for number in range(2)
    ]
    assert [len(half.samples) for half in halves] == [5, 4]


def test_a_closed_loop_keeps_as_many_under_way_as_it_is_told() -> None:
    done, counts = carried_out(Window(messages=3, seconds=0.05))
    assert len(counts) == 3
    assert len(done.samples) == sum(counts) > 3


def test_each_virtual_user_writes_over_a_connection_of_its_own_and_goes_with_the_stages() -> None:
    stages = [Stage(0.001, 4), Stage(0.1, 4)]
    done, counts = carried_out(Users(stages, think=(0.0, 0.001)))
    assert len(counts) == done.connections == 4
    assert len(done.samples) > 4
