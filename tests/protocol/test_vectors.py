"""The golden vectors against an independent MessagePack; the specification against the types."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest

from chat4all_protocol import codec, frames, scan
from chat4all_protocol.codec import CodecError, decode_client, decode_server, encode
from chat4all_protocol.codes import CloseCode, ErrorCode, may_reconnect
from chat4all_protocol.connection import MAX_BAD_FRAMES, ClientConnection, Refusal, ServerConnection
from chat4all_protocol.ids import UUID_PATTERN

PROTOCOL = Path(__file__).parents[2] / "protocol"
SPEC = (PROTOCOL / "SPEC.md").read_text(encoding="utf-8")

Vector = dict[str, Any]


def load(name: str) -> list[Vector]:
    vectors: list[Vector] = json.loads((PROTOCOL / "vectors" / name).read_text(encoding="ascii"))
    return vectors


def named(vectors: list[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])


def decode(vector: Vector, side: str) -> frames.AnyClientFrame | frames.AnyServerFrame:
    data = bytes.fromhex(vector["hex"])
    return decode_client(data) if side == "client" else decode_server(data)


BOTH = [(side, vector) for side in ("client", "server") for vector in load(f"{side}.json")]


# --- vectors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "vector"), BOTH, ids=[f"{s}: {v['name']}" for s, v in BOTH])
def test_the_bytes_mean_the_frame(side: str, vector: Vector) -> None:
    data = bytes.fromhex(vector["hex"])
    assert msgpack.unpackb(data, strict_map_key=True, raw=False) == vector["frame"]
    frame = decode(vector, side)
    assert msgspec.to_builtins(frame) == vector["frame"]
    assert encode(frame) == data


@pytest.mark.parametrize(("side", "vector"), BOTH, ids=[f"{s}: {v['name']}" for s, v in BOTH])
def test_the_bytes_of_an_independent_writer_mean_the_same(side: str, vector: Vector) -> None:
    again = {**vector, "hex": msgpack.packb(vector["frame"]).hex()}
    assert decode(again, side) == decode(vector, side)


@named(load("tolerated.json"))
def test_what_nobody_here_writes_is_read(vector: Vector) -> None:
    msgpack.unpackb(bytes.fromhex(vector["hex"]))
    assert msgspec.to_builtins(decode(vector, vector["from"])) == vector["frame"]


@named(load("refused.json"))
def test_what_breaks_a_rule_is_refused_with_its_code(vector: Vector) -> None:
    with pytest.raises(CodecError) as caught:
        decode_client(bytes.fromhex(vector["hex"]))
    error = caught.value
    assert (error.code, error.field, error.rid) == (vector["code"], vector["field"], vector["rid"])


@pytest.mark.parametrize("side", ["client", "server"])
def test_every_frame_and_every_field_has_a_vector(side: str) -> None:
    union = frames.AnyClientFrame if side == "client" else frames.AnyServerFrame
    seen: dict[type, set[str]] = {}
    for vector in load(f"{side}.json"):
        seen.setdefault(type(decode(vector, side)), set()).update(vector["frame"])
    for kind in get_args(union):
        assert {field.encode_name for field in msgspec.structs.fields(kind)} <= seen[kind]


def test_every_kind_of_event_and_every_body_has_a_vector() -> None:
    events = [vector["frame"] for vector in load("server.json") if vector["frame"]["t"] == "msg"]
    assert {event.get("kind", "message") for event in events} == set(get_args(frames.Kind))
    bodies = {event["body"]["type"] for event in events if event["body"]}
    assert bodies == {body.__struct_config__.tag for body in get_args(frames.Body)}


@pytest.mark.parametrize("name", ["client", "server", "tolerated", "refused"])
def test_vectors_have_distinct_names_and_bytes(name: str) -> None:
    vectors = load(f"{name}.json")
    assert len({vector["name"] for vector in vectors}) == len(vectors)
    assert len({vector["hex"] for vector in vectors}) == len(vectors)


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = str(PROTOCOL / "vectors" / "generate.py")
    return subprocess.run(
        [sys.executable, script, *arguments], capture_output=True, text=True, check=False
    )


def test_the_committed_vectors_are_those_that_the_script_writes() -> None:
    result = generate("--check")
    assert (result.returncode, result.stderr) == (0, "")


def test_the_script_refuses_other_arguments() -> None:
    assert generate("--chekc").returncode == 2


# --- specification: tables of fields --------------------------------------------------------------

PARTS: dict[str, type[msgspec.Struct]] = {
    "### Body `text`": frames.TextBody,
    "### Body `file`": frames.FileBody,
    "### Body `member`": frames.MemberBody,
    "### `limits` in `hello`": frames.Limits,
    "### `convs` in `ready`": frames.ConvState,
    "### `details` in `conv`": frames.Member,
}
CHAPTERS = {
    "client": ("## 5. Client frames", get_args(frames.AnyClientFrame)),
    "server": ("## 6. Server frames", get_args(frames.AnyServerFrame)),
}


def section(text: str, heading: str) -> str:
    """What stands between a heading and the next of the same level or above."""
    level = heading.split(" ")[0]
    found = re.search(
        rf"^{re.escape(heading)}$(.*?)(?=^#{{2,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found, f"SPEC.md has no heading {heading!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of all lines of tables, heads and rules left out."""
    table = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    cells = [[cell.strip() for cell in line.split("|")] for line in table]
    return [row for row in cells if row[0] != "field" and not set(row[0]) <= {"-"}]


DOCUMENTED = [
    *((kind.__name__, heading, kind) for heading, kind in PARTS.items()),
    *(
        (kind.__name__, (chapter, f"### `{kind.__struct_config__.tag}`"), kind)
        for chapter, kinds in CHAPTERS.values()
        for kind in kinds
    ),
]


@pytest.mark.parametrize(
    ("name", "where", "kind"), DOCUMENTED, ids=[name for name, *_ in DOCUMENTED]
)
def test_the_table_of_a_type_has_its_fields_in_order_and_says_which_must_be_there(
    name: str, where: str | tuple[str, str], kind: type[msgspec.Struct]
) -> None:
    text = (
        section(SPEC, where)
        if isinstance(where, str)
        else section(section(SPEC, where[0]), where[1])
    )
    table = text.split("```")[0]
    documented = [(row[0].strip("`"), row[2]) for row in rows(table)]
    expected = []
    for field in msgspec.structs.fields(kind):
        if field.required:
            presence = "required"
        elif field.default is None:
            presence = "optional"
        else:
            default = str(field.default)
            shown = f"`{default}`" if isinstance(field.default, str) else default.lower()
            presence = f"optional, {shown}"
        expected.append((field.encode_name, presence))
    assert documented == expected


@pytest.mark.parametrize("side", ["client", "server"])
def test_each_frame_has_a_valid_example_and_nothing_else_is_documented(side: str) -> None:
    chapter, kinds = CHAPTERS[side]
    text = section(SPEC, chapter)
    examples = [
        json.loads(found) for found in re.findall(r"^```json\n(.*)\n```$", text, re.MULTILINE)
    ]
    tags = [kind.__struct_config__.tag for kind in kinds]
    assert [example["t"] for example in examples] == tags
    assert re.findall(r"^### `(\w+)`$", text, re.MULTILINE) == tags
    for example in examples:
        frame = decode({"hex": msgpack.packb(example).hex()}, side)
        assert msgspec.to_builtins(frame) == example


# --- specification: codes, kinds and limits -------------------------------------------------------


def test_every_error_code_is_explained() -> None:
    table = rows(section(SPEC, "## 7. Error codes"))
    assert [row[0].strip("`") for row in table if row[0] != "code"] == list(ErrorCode)


def test_every_close_code_is_explained_with_the_duty_of_the_client() -> None:
    table = [row for row in rows(section(SPEC, "## 8. Close codes")) if row[0] != "code"]
    assert [int(row[0]) for row in table] == [int(code) for code in CloseCode]
    for code, _, duty in table:
        assert re.findall(r"\w+", duty)[0] == ("reconnect" if may_reconnect(int(code)) else "stop")


def test_every_kind_of_event_is_explained() -> None:
    table = section(section(SPEC, "## 6. Server frames"), "### `msg`").split("```")[-1]
    kinds = [row[0].strip("`") for row in rows(table) if row[0] != "kind"]
    assert kinds == list(get_args(frames.Kind))


def test_the_limits_are_those_of_the_code() -> None:
    table = {row[0]: row[1] for row in rows(section(SPEC, "## 2. Encoding"))}
    expected = {
        "bytes of a client's frame": codec.MAX_FRAME,
        "bytes of a server's frame": codec.MAX_SERVER_FRAME,
        "levels of arrays and maps": scan.MAX_DEPTH,
        "levels in a server's frame": codec.MAX_SERVER_DEPTH,
        "items in a client's frame": scan.MAX_ITEMS,
        "items in a server's frame": codec.MAX_SERVER_ITEMS,
    }
    for rule, limit in expected.items():
        (value,) = (value for name, value in table.items() if name.startswith(rule))
        assert value.startswith(f"{limit:,}"), rule
    assert MAX_BAD_FRAMES == 3
    assert table["bad frames in one connection"] == "the third closes"
    assert UUID_PATTERN.removeprefix(r"\A").removesuffix(r"\Z") in SPEC
    assert frames.SUBPROTOCOL in section(SPEC, "## 1. Transport")


def test_the_example_session_is_legal_byte_for_byte() -> None:
    lines = re.findall(
        r"^([CS]) (\{.*\})\n  ([0-9a-f]+)$", section(SPEC, "## 11. Example"), re.MULTILINE
    )
    assert len(lines) == 12
    client, server = ClientConnection(), ServerConnection()
    for sender, shown, written in lines:
        data = bytes.fromhex(written)
        assert msgpack.unpackb(data) == json.loads(shown)
        if sender == "C":
            frame = server.receive(data)
            assert not isinstance(frame, Refusal)
            if isinstance(frame, frames.Connect):
                client.connecting(frame)
        else:
            answer = client.receive(data)
            assert answer is not None
            assert encode(answer) == data
            if isinstance(answer, frames.Ready):
                server.went_live()
