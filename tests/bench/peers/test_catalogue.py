from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from chat4all_bench.peers.catalogue import COMMITTED, NOTHING, OURS, PEERS, SCENARIOS, Peer
from chat4all_bench.peers.installing import SERVERS

every_peer = pytest.mark.parametrize("peer", PEERS.values(), ids=lambda peer: peer.name)


@every_peer
def test_each_dialect_is_there_for_each_scenario(peer: Peer) -> None:
    for scenario in peer.scenarios:
        module, _, name = peer.dialect(scenario).partition(":")
        dialect = getattr(importlib.import_module(module), name)()
        assert dialect.acknowledges
        assert dialect.path.startswith("/")


@every_peer
def test_each_program_is_there(peer: Peer) -> None:
    assert all((SERVERS / each).exists() for each in peer.program[:1])


def test_only_who_commits_first_is_said_to_keep_messages_and_nobody_keeps_an_echo() -> None:
    keeps = {name for name, peer in PEERS.items() if peer.kept("chat") == COMMITTED}
    assert keeps == {OURS, "ejabberd"}
    assert {peer.kept("echo") for peer in PEERS.values()} == {NOTHING}


def test_who_has_no_echo_takes_no_part_in_it() -> None:
    assert "echo" not in PEERS["ejabberd"].scenarios
    assert PEERS["ws"].scenarios == SCENARIOS


def test_help_does_not_load_what_only_a_run_needs() -> None:
    code = (
        "import sys, chat4all_bench.peers.command; "
        "print([m for m in ('asyncpg', 'trio', 'websockets') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
