from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_client import RequestRefused, TransferFailed
from tests.client.file_server import FileServer, files_of

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(range(256)) * 18
"""What `plan` holds."""


async def test_no_more_parts_are_on_their_way_at_once_than_allowed(plan: Path) -> None:
    async with FileServer(chunk=100).running() as server, files_of(server) as files:
        await files.upload(plan, parts_at_once=3)
    assert server.most_under_way <= 3


@pytest.mark.parametrize(
    "faults",
    [
        {"put": ["cut", "cut"]},
        {"put": [503, 500, 429]},
        {"put": ["cut answer", 408]},
        {"initiate": ["cut", 503], "complete": [503, "cut"], "status": [502]},
    ],
)
async def test_what_does_not_come_through_is_sent_again(
    plan: Path, faults: dict[str, list[int | str]]
) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.faults = faults  # type: ignore[assignment]
        file = await files.upload(plan)
        assert server.uploads[file.id].data == DATA


async def test_addresses_that_expired_are_renewed_by_one_answer(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:

        def expire(kind: str) -> None:
            if server.requests["put"] == 2 and kind == "put":
                server.generation = 2

        server.before = expire
        file = await files.upload(plan, parts_at_once=4)
        assert server.uploads[file.id].data == DATA
        assert server.requests["status"] == 1


async def test_after_two_failures_it_is_asked_how_a_part_stands(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.faults["put"] = ["cut", "cut"]

        def store(kind: str) -> None:
            if kind == "status":
                server.uploads["f1"].parts[1] = DATA[:1000]

        server.before = store
        await files.upload(plan, parts_at_once=1)
        assert (server.requests["status"], server.requests["put"]) == (1, 6)


async def test_a_store_that_refuses_fresh_addresses_as_well_is_told_of(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.faults["put"] = [403] * 50
        with pytest.raises(TransferFailed, match="and fresh ones too"):
            await files.upload(plan)


async def test_a_part_that_is_refused_for_good_ends_the_upload(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.faults["put"] = [415]
        with pytest.raises(RequestRefused) as refused:
            await files.upload(plan, parts_at_once=1)
    assert (refused.value.code, server.requests["put"]) == ("E415", 1)


async def test_no_part_address_is_shown_the_token(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        await files.download((await files.upload(plan)).id, plan.with_name("copy"))
    assert server.tokens_at_store == []


async def test_progress_ends_at_the_whole_and_never_passes_it(plan: Path) -> None:
    told: list[tuple[int, int]] = []
    async with FileServer().running() as server, files_of(server) as files:
        server.faults["put"] = ["cut", 503]
        await files.upload(plan, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(DATA), len(DATA))
    assert all(0 <= done <= total == len(DATA) for done, total in told)
