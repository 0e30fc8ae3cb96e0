"""All transfers of a node: how many at once, web pages, faults of the disk, the log, the end."""

from __future__ import annotations

import errno
import logging
import os
import random
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.config import Settings
from chat4all_actors.edge.http.transfers import transfers_of
from chat4all_storage.memory.objects import MemoryObjects
from tests.edge.apps import request
from tests.edge.http.transfer_house import PART, head, transfer_house

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


BODY = random.Random(6).randbytes(PART)


async def test_only_so_many_are_served_at_once_and_others_wait_unread(tmp_path: Path) -> None:
    async with transfer_house(tmp_path, max_file_transfers=1) as house:
        assert house.here.transfers is not None
        first = await house.client(head(await house.target(1)))
        await wait_all_tasks_blocked()
        second = await house.client(head(await house.target(2), "Expect: 100-continue"))
        await wait_all_tasks_blocked()
        assert house.here.transfers.under_way == 1
        with trio.move_on_after(0):
            await second.stream.receive_some(1)
            raise AssertionError("it was asked to send its body")
        await first.send(BODY)
        assert (await first.reply("PUT")).status == 200
        await second.send(BODY)
        assert (await second.reply("PUT")).status == 200
        assert await house.parts() == [1, 2]


async def test_who_waits_for_too_long_is_told_when_to_come_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.05  # the disk takes a moment of real time
    async with transfer_house(
        tmp_path, max_file_transfers=1, body_timeout=50, body_grace=100
    ) as house:
        await house.client(head(await house.target(1)))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        reply = await (await house.client(head(await house.target(2)))).reply("PUT")
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
        assert trio.current_time() - began == pytest.approx(50, abs=1)


async def test_a_refusal_waits_for_nobody(tmp_path: Path) -> None:
    async with transfer_house(tmp_path, max_file_transfers=1) as house:
        await house.client(head(await house.target(1)))
        await wait_all_tasks_blocked()
        reply = await (await house.client(head("/files/key/1?x=1"))).reply("PUT")
        assert reply.status == 403


# --- other web pages

ORIGIN = "https://app.example"


async def test_a_listed_page_may_put_and_fetch(tmp_path: Path) -> None:
    async with transfer_house(tmp_path, allowed_origins=[ORIGIN]) as house:
        target = await house.target()
        asking = await house.client(
            request(
                target,
                f"Origin: {ORIGIN}",
                "Access-Control-Request-Method: PUT",
                method="OPTIONS",
            )
            + head(target, f"Origin: {ORIGIN}")
            + BODY
        )
        preflight = await asking.reply("OPTIONS")
        assert preflight.status == 204
        assert "PUT" in preflight.headers["access-control-allow-methods"]
        reply = await asking.reply("PUT")
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, ORIGIN)
        await house.joined()
        await asking.send(request(await house.download(), f"Origin: {ORIGIN}", "Range: bytes=0-1"))
        fetched = await asking.reply()
        assert (fetched.status, fetched.headers["access-control-allow-origin"]) == (206, ORIGIN)
        assert "content-range" in fetched.headers["access-control-expose-headers"]


async def test_a_foreign_page_puts_nothing(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        asking = await house.client(head(await house.target(), "Origin: https://evil.example"))
        reply = await asking.reply("PUT")
        assert (reply.status, reply.error["code"]) == (403, "FORBIDDEN")


# --- the disk


@pytest.mark.parametrize("function", ["pwrite", "fdatasync"])
async def test_a_full_disk_is_told_and_can_be_tried_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    function: str,
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    async with transfer_house(tmp_path) as house:
        target = await house.target()
        before = len(os.listdir("/proc/self/fd"))
        with monkeypatch.context() as patch:
            patch.setattr(os, function, full)
            asking = await house.client(head(target) + BODY)
            reply = await asking.reply("PUT")
            assert (reply.status, reply.error["code"]) == (503, "UNAVAILABLE")
            assert reply.headers["retry-after"] == "5"
            await asking.stream.aclose()
            await house.here.edge.wait_empty()
        assert len(os.listdir("/proc/self/fd")) <= before
        assert await house.parts() == []
        asking = await house.client(head(target) + BODY)
        assert (await asking.reply("PUT")).status == 200
    assert "the disk for files is full" in caplog.text


async def test_a_fault_of_ours_is_answered_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def judge(first: bytes, mime: str) -> str:
        raise RuntimeError("on purpose")

    async with transfer_house(tmp_path, judge_head=judge) as house:
        reply = await (await house.client(head(await house.target()) + BODY)).reply("PUT")
        assert (reply.status, reply.error["code"]) == (500, "INTERNAL")
    assert "on purpose" in caplog.text


# --- the log


async def test_the_log_tells_no_address_and_no_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with transfer_house(tmp_path) as house:
        asking = await house.client(head(await house.target()) + BODY)
        reply = await asking.reply("PUT")
        await house.joined()
        await asking.send(request(await house.download()))
        await asking.reply()
        refused = await (await house.client(request("/files/key?signature=x"))).reply()
    lines = [each.getMessage() for each in caplog.records if each.name == "chat4all.access"]
    # A client has its answer before there is a line of it.
    assert sorted(line.split(" bytes")[0] for line in lines) == [
        f"GET /files/{{key}} 200 {PART}",
        f"GET /files/{{key}} 403 {refused.headers['content-length']}",
        "PUT /files/{key}/{part} 200 0",
    ]
    assert "signature" not in caplog.text
    assert "report" not in caplog.text
    assert reply.headers["x-trace-id"]


async def test_the_trace_of_the_caller_goes_on(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
        asking = await house.client(request("/files/key", f"Traceparent: {trace}"))
        reply = await asking.reply()
        assert reply.headers["x-trace-id"] == "ab" * 16
        assert reply.error["code"] == "FORBIDDEN"


# --- the node's end


async def test_a_node_that_stops_finishes_what_is_under_way(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        asking = await house.client(head(await house.target()) + BODY[:1000])
        await wait_all_tasks_blocked()
        house.here.edge.stop_accepting()
        await wait_all_tasks_blocked()
        await asking.send(BODY[1000:])
        reply = await asking.reply("PUT")
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await asking.closed()
        await house.here.edge.wait_empty()
        assert await house.parts() == [1]


async def test_a_connection_is_waited_for_anew_after_a_transfer(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.05  # the disk takes a moment of real time
    async with transfer_house(tmp_path, keep_alive_timeout=20, body_grace=100) as house:
        asking = await house.client(head(await house.target()))
        await trio.sleep(50)
        await asking.send(BODY)
        await asking.reply("PUT")
        began = trio.current_time()
        assert await asking.closed()
        assert trio.current_time() - began == pytest.approx(20, abs=1)


def test_only_a_store_that_we_serve_is_served() -> None:
    assert transfers_of(MemoryObjects(), Settings()) is None
