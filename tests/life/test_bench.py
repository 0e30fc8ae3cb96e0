"""Each scenario of the load harness against a real server: small, and everything must be whole."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import msgspec
import pytest

from chat4all_bench import cli
from chat4all_bench.result import Run
from tests.life.processes import chat4all

if TYPE_CHECKING:
    from pathlib import Path

    from tests.life.conftest import Names, StartServer
    from tests.life.processes import ServerProcess

pytestmark = pytest.mark.xdist_group("test_bench")

Capture = pytest.CaptureFixture[str]

SHORT = ["--seconds", "1", "--warm-up", "0", "--json"]


def measured(capsys: Capture, server: ServerProcess, *arguments: str) -> Run:
    """What a scenario finds of this server; it must be good."""
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    options = parser.parse_args([*arguments, "--url", server.url])
    code = cli.run(options)
    said = capsys.readouterr()
    assert code == 0, said
    return msgspec.json.decode(said.out, type=Run)


def value(run: Run, metric: str) -> float:
    (found,) = run.metrics[metric].values
    return found


def test_chat_tells_rate_latency_and_cost(capsys: Capture, server: ServerProcess) -> None:
    crowd = ["--pairs", "2", "--rooms", "1", "--room-size", "3", "--idle", "5"]
    run = measured(capsys, server, "chat", *crowd, "--rate", "40", *SHORT, "--threshold", "lost==0")
    assert run.integrity.sent == run.integrity.acknowledged == 40
    assert run.integrity.whole
    assert value(run, "rate") == pytest.approx(40, abs=5)
    assert value(run, "server_cpu_us") > 0
    assert run.histograms["ack"].count == 40
    assert {each.kind for each in run.processes} >= {"server"}
    assert [each.passed for each in run.thresholds] == [True]


def test_chat_in_a_closed_loop_repeats_with_fresh_conversations(
    capsys: Capture, server: ServerProcess
) -> None:
    crowd = ["--pairs", "2", "--window", "2"]
    run = measured(capsys, server, "chat", *crowd, "--repeat", "2", *SHORT)
    assert len(run.metrics["rate"].values) == 2
    assert run.integrity.sent == run.integrity.delivered > 8


def test_fanout_waits_for_the_last_member(capsys: Capture, server: ServerProcess) -> None:
    run = measured(capsys, server, "fanout", "--members", "3,8", "--rate", "10", *SHORT)
    assert run.integrity.delivered == 10 * 2 + 10 * 7
    assert run.histograms["all_of_8"].count == 10
    assert value(run, "all_p50_of_8") >= value(run, "delivery_p50_of_8")
    assert len(run.curves["fanout"].points) == 2


def test_connect_tells_memory_by_plateaus(capsys: Capture, server: ServerProcess) -> None:
    rooms = ["--rooms", "1", "--room-size", "3", "--room-rate", "5"]
    sessions = ["--sessions", "40", "--users", "2", "--plateaus", "2", "--hold", "1"]
    run = measured(capsys, server, "connect", *sessions, *rooms, *SHORT)
    assert value(run, "sessions") == 40
    assert run.histograms["connect"].count == 40
    assert [sessions for sessions, _ in run.curves["memory"].points] == [0, 20, 40]
    assert run.integrity.delivered == 2 * run.integrity.sent > 0


def test_churn_brings_everybody_back_with_what_they_missed(
    capsys: Capture, server: ServerProcess
) -> None:
    storm = ["--sessions", "12", "--room-size", "6", "--missed", "2", "--pairs", "2"]
    run = measured(capsys, server, "churn", *storm, "--rate", "20", *SHORT)
    assert value(run, "resumed") == 12
    assert run.histograms["resume"].count == 12
    assert run.integrity.whole


def test_slow_readers_have_everything_in_the_end(
    capsys: Capture, start_server: StartServer
) -> None:
    server = start_server(max_outbound=8192)
    # More than the 4 MiB that a kernel may hold for a reader.
    rooms = ["--rooms", "1", "--room-size", "3", "--stalled", "100", "--text-bytes", "9500"]
    run = measured(capsys, server, "slow", *rooms, "--rate", "600", *SHORT)
    assert run.integrity.whole
    assert run.integrity.delivered == run.integrity.sent * 2
    assert value(run, "gaps") > 0


def test_soak_tells_drifts_while_sessions_come_and_go(
    capsys: Capture, server: ServerProcess
) -> None:
    soak = ["--pairs", "3", "--rate", "30", "--every", "1", "--churn", "40"]
    run = measured(capsys, server, "soak", *soak, "--seconds", "4", "--warm-up", "0", "--json")
    assert value(run, "resumed") == 4 * 2
    assert len(run.series["soak"].rows) == 4
    assert {"memory_drift", "latency_drift"} <= set(run.metrics)


def test_capacity_finds_the_rate_at_which_a_limit_breaks(
    capsys: Capture, server: ServerProcess
) -> None:
    # A limit that breaks because of the rate itself, whatever the machine.
    search = ["--pairs", "4", "--start", "20", "--step", "2", "--step-seconds", "1"]
    limits = ["--limit", "rate<100", "--precision", "10", "--confirm-seconds", "1"]
    run = measured(capsys, server, "capacity", *search, *limits, *SHORT)
    assert 60 <= value(run, "capacity") <= 105
    assert len(run.curves["load"].points) >= 4


def test_a_search_in_which_nothing_holds_is_no_good_run(
    capsys: Capture, server: ServerProcess
) -> None:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    search = ["--pairs", "2", "--start", "20", "--step-seconds", "0.2", "--limit", "rate<1"]
    options = parser.parse_args(["capacity", *search, *SHORT, "--url", server.url])
    assert cli.run(options) == 1
    run = msgspec.json.decode(capsys.readouterr().out, type=Run)
    assert run.integrity.errors == {"no rate kept its limits": 1}


def test_users_may_be_brought_by_their_tokens(
    capsys: Capture, server: ServerProcess, names: Names, life_database: str, tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    file.write_text(chat4all("token", *names(4), "--postgres", life_database).stdout)
    crowd = ["--pairs", "2", "--rate", "20", "--tokens", str(file)]
    run = measured(capsys, server, "chat", *crowd, *SHORT)
    assert run.integrity.sent == 20


def test_a_hop_between_nodes_and_the_entries_of_a_message_are_told(capsys: Capture) -> None:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    nodes = ["--nodes", "2", "--pairs", "2", "--members", "6", "--rate", "20"]
    assert cli.run(parser.parse_args(["cluster", *nodes, *SHORT])) == 0
    run = msgspec.json.decode(capsys.readouterr().out, type=Run)
    assert run.integrity.whole
    assert run.integrity.delivered == 20 + 20 + 10 * 5
    assert value(run, "redis_cpu_us_two_nodes") >= 0
    assert "entries_per_message" in run.metrics


def test_files_come_back_as_they_were(capsys: Capture, server: ServerProcess) -> None:
    run = measured(capsys, server, "files", "--files", "2", "--size", "0.1", *SHORT)
    assert run.metrics["files"].values == [2]
    assert run.integrity.whole
    assert value(run, "upload_rate") > 0
    assert value(run, "server_cpu_us_up") >= 0


def test_chat_goes_on_beside_uploads(capsys: Capture, server: ServerProcess) -> None:
    size = ["--size", "0.01", "--at-once", "2"]
    chat = ["--beside-chat", "20", "--pairs", "1"]
    run = measured(capsys, server, "files", *size, *chat, *SHORT)
    assert run.integrity.whole
    assert value(run, "files") >= 2
    assert value(run, "p99_ratio") > 0


def test_people_on_another_messenger_have_everything_beside_one_that_hangs(
    capsys: Capture,
) -> None:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    few = ["--people", "2", "--backlog", "10", "--rate", "10", "--seconds", "1", "--json"]
    code = cli.run(parser.parse_args(["channels", *few, "--threshold", "rate_ratio>0"]))
    said = capsys.readouterr()
    assert code == 0, said
    run = msgspec.json.decode(said.out, type=Run)
    assert run.integrity.sent == run.integrity.delivered == 30
    assert run.integrity.whole
    assert value(run, "hanging_calls") > 0
    assert {name: histogram.count for name, histogram in run.histograms.items()} == dict.fromkeys(
        ("delay", "ack", "delay_beside", "ack_beside"), 10
    )
    assert value(run, "outbox_rate") > 0
    assert value(run, "server_cpu_us") > 0
