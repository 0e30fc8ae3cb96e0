from __future__ import annotations

import sysconfig

import pytest

from chat4all_bench.rest.breakdown import breakdown
from chat4all_bench.rest.sampled import Profile, layer_of

SITE = sysconfig.get_path("purelib")


@pytest.mark.parametrize(
    ("path", "layer"),
    [
        (f"{SITE}/h11/_connection.py", "hypercorn, h11"),
        ("/x/chat4all_actors/edge/http/http1.py", "hypercorn, h11"),
        ("/x/chat4all_actors/edge/http/front.py", "edge: rules, front, sockets"),
        ("/x/chat4all_actors/edge/rest/app.py", "operations: decoding, checks, encoding"),
        ("/x/chat4all_actors/edge/rest/caller.py", "authentication"),
        (f"{SITE}/jwt/api_jwt.py", "authentication"),
        (f"{SITE}/quart_trio/asgi.py", "quart, werkzeug"),
        ("/x/chat4all_actors/conversation/actor.py", "conversation"),
        ("/x/storage/chat4all_storage/log/shard_log.py", "commit: queue and bridge"),
        (f"{SITE}/trio/_core/_run.py", "trio"),
        (sysconfig.get_path("stdlib") + "/json/decoder.py", None),
    ],
)
def test_a_file_belongs_to_a_part_of_the_way(path: str, layer: str | None) -> None:
    assert layer_of(path) == layer


def test_seconds_of_a_run_are_told_for_one_message_and_in_percent() -> None:
    found = breakdown(Profile({"trio": 0.6}, {"run": 0.1}, other_threads=0.4), requests=1000)
    assert found.server_us == 1000.0
    assert found.parts_us == {"trio": 600.0, "database driver's thread": 400.0}
    assert found.shares == {"trio": 60.0, "database driver's thread": 40.0}
    assert found.functions == {"run": 10.0}


def test_a_run_without_messages_is_told_as_such() -> None:
    assert not breakdown(Profile({}, {}, 0.0), requests=0).passed
