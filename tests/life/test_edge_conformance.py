"""RFC 6455 on the wire of the real server, seen by a socket that shares none of its code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.actors.rfc6455_cases import (
    BINARY,
    BINARY_A,
    CASES,
    CLOSE,
    END_A,
    PONG,
    START_A,
    A,
    Case,
    close_payload,
    frame,
)
from tests.life.raw_sockets import RawSocket, close_code, request

if TYPE_CHECKING:
    from tests.life.processes import ServerProcess

BYTEWISE = 4096
"""Streams of more bytes are sent in pieces of an odd size instead, to be quick."""


def answer_to(message: bytes) -> object:
    """What the server answers: `at` of a ping comes back, an empty message is no frame."""
    return msgspec.msgpack.decode(message)["at"] if message else "BAD_FRAME"


def outcome(
    connection: RawSocket,
) -> tuple[list[object], list[bytes], int | None]:
    """What the server made of a stream, up to its own end: answers, pongs, and its close."""
    answers: list[object] = []
    pongs: list[bytes] = []
    while (received := connection.receive()) is not None:
        opcode, payload = received
        if opcode == CLOSE:
            assert connection.receive() is None, "nothing follows a close"
            return answers, pongs, close_code(payload)
        if opcode == PONG:
            pongs.append(payload)
        else:
            assert opcode == BINARY
            fields = msgspec.msgpack.decode(payload)
            answers.append(fields["at"] if fields["t"] == "pong" else fields["code"])
    return answers, pongs, None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_has_its_outcome_on_the_wire_at_once_and_byte_by_byte(
    server: ServerProcess, case: Case
) -> None:
    expected = ([answer_to(message) for message in case.messages], list(case.pongs), case.close)
    for pieces in (len(case.data) or 1, 1 if len(case.data) <= BYTEWISE else 1021):
        with RawSocket(server.port) as connection:
            connection.upgrade()
            assert connection.receive_message()["t"] == "hello"
            connection.send(case.data, pieces=pieces)
            # After the end of our stream the server answers what it has got, and ends its own.
            connection.end()
            assert outcome(connection) == expected


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.name in ("close with 1000", "unmasked message", "text message",
                                             "one byte over the limit")],
    ids=lambda case: case.name,
)  # fmt: skip
def test_after_a_close_the_server_ends_the_stream_without_being_asked(
    server: ServerProcess, case: Case
) -> None:
    with RawSocket(server.port) as connection:
        connection.upgrade()
        assert connection.receive_message()["t"] == "hello"
        connection.send(case.data)
        assert outcome(connection) == ([], [], case.close)


@pytest.mark.parametrize("pieces", [None, 1, 7])
def test_frames_right_behind_the_handshake_are_served(
    server: ServerProcess, pieces: int | None
) -> None:
    with RawSocket(server.port) as connection:
        connection.upgrade(request() + BINARY_A + START_A + END_A, pieces=pieces)
        assert connection.receive_message()["t"] == "hello"
        assert [connection.receive_message()["at"] for _ in range(2)] == [1, 1]


def test_a_fragment_behind_the_handshake_is_continued_by_what_comes_later(
    server: ServerProcess,
) -> None:
    with RawSocket(server.port) as connection:
        connection.upgrade(request() + START_A[:7])
        assert connection.receive_message()["t"] == "hello"
        connection.send(START_A[7:] + END_A)
        assert connection.receive_message()["at"] == 1


def test_a_violation_right_behind_the_handshake_is_answered_after_hello(
    server: ServerProcess,
) -> None:
    with RawSocket(server.port) as connection:
        connection.upgrade(request() + frame(BINARY, A, mask=None))
        assert connection.receive_message()["t"] == "hello"
        assert outcome(connection) == ([], [], 1002)


def test_a_connection_that_breaks_within_a_frame_leaves_the_others_alone(
    server: ServerProcess,
) -> None:
    with RawSocket(server.port) as witness:
        witness.upgrade()
        assert witness.receive_message()["t"] == "hello"
        for cut in range(1, len(BINARY_A)):
            with RawSocket(server.port) as connection:
                connection.upgrade(request() + BINARY_A[:cut])
        witness.send(BINARY_A + frame(CLOSE, close_payload(1000)))
        assert outcome(witness) == ([1], [], 1000)
