from __future__ import annotations

import pytest

from chat4all_protocol import frames as f
from chat4all_protocol.codec import MAX_FRAME, encode
from chat4all_protocol.codes import CloseCode, ErrorCode
from chat4all_protocol.connection import (
    MAX_BAD_FRAMES,
    ClientConnection,
    ProtocolViolation,
    Refusal,
    ServerConnection,
    State,
)

CONV = "0b6f5a0e-6c1d-5b8a-9f43-2d1c7a9e4b10"
OTHER = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
ID = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
CONNECT = f.Connect(token="t", device="d")
SEND = f.Send(rid=4, conv=CONV, id=ID, body=f.TextBody(text="hi"))
HELLO = f.Hello(proto=1, node="n", now=0, heartbeat_ms=25_000, limits=f.Limits(65536, 10000, 64, 0))


def state(conv: str = CONV, *, head: int) -> f.ConvState:
    return f.ConvState(conv, "group", head=head, read=0, recv=0, unread=0)


def ready(*convs: f.ConvState, more: bool = False) -> f.Ready:
    return f.Ready(session="s", user="ana", now=0, convs=list(convs), more=more)


def msg(seq: int, conv: str = CONV) -> f.Msg:
    return f.Msg(conv=conv, seq=seq, id=ID, from_="bob", ts=0, body=f.TextBody(text="hi"))


def sent(seq: int, *, dup: bool = False, conv: str = CONV) -> f.Sent:
    return f.Sent(rid=1, conv=conv, id=ID, seq=seq, ts=0, dup=dup)


def gap(first: int, last: int) -> f.Gap:
    return f.Gap(conv=CONV, from_=first, to=last)


def conv(*, head: int, left: bool = False) -> f.Conv:
    return f.Conv(conv=CONV, type="group", members=[], head=head, left=left)


# --- the server's side ----------------------------------------------------------------------------


def live_server() -> ServerConnection:
    connection = ServerConnection()
    connection.receive(encode(CONNECT))
    connection.went_live()
    return connection


def refused(connection: ServerConnection, data: bytes) -> Refusal:
    answer = connection.receive(data)
    assert isinstance(answer, Refusal)
    return answer


def test_connect_opens_the_way_and_ready_makes_it_live() -> None:
    server = ServerConnection()
    states = [server.state]
    assert server.receive(encode(CONNECT)) == CONNECT
    states.append(server.state)
    server.went_live()
    states.append(server.state)
    assert states == [State.OPENED, State.CONNECTING, State.LIVE]
    assert server.receive(encode(SEND)) == SEND


def test_a_frame_before_connect_is_refused_with_its_rid_and_the_connection_stays() -> None:
    server = ServerConnection()
    answer = refused(server, encode(SEND))
    assert (answer.error.code, answer.error.rid, answer.close) == (
        ErrorCode.UNAUTHENTICATED,
        4,
        None,
    )
    assert answer.error.message == "send connect first"
    assert server.receive(encode(CONNECT)) == CONNECT


def test_a_frame_while_connect_is_answered_is_told_to_wait() -> None:
    server = ServerConnection()
    server.receive(encode(CONNECT))
    answer = refused(server, encode(SEND))
    assert (answer.error.code, answer.error.message) == (
        ErrorCode.UNAUTHENTICATED,
        "wait for ready",
    )


def test_a_frame_without_rid_is_refused_without_one() -> None:
    assert refused(ServerConnection(), encode(f.Read(conv=CONV, seq=1))).error.rid is None


def test_ping_is_answered_in_every_state() -> None:
    server = ServerConnection()
    assert server.receive(encode(f.Ping())) == f.Ping()
    server.receive(encode(CONNECT))
    assert server.receive(encode(f.Ping())) == f.Ping()
    server.went_live()
    assert server.receive(encode(f.Ping())) == f.Ping()


def test_a_second_connect_closes_whether_or_not_the_first_was_answered() -> None:
    connecting = ServerConnection()
    connecting.receive(encode(CONNECT))
    for server in (connecting, live_server()):
        answer = refused(server, encode(CONNECT))
        assert (answer.error.code, answer.close) == (ErrorCode.BAD_FRAME, CloseCode.BAD_FRAME)


def test_bad_frames_are_answered_and_the_third_closes() -> None:
    server = live_server()
    answers = [refused(server, b"\xc1") for _ in range(MAX_BAD_FRAMES)]
    assert [answer.error.code for answer in answers] == [ErrorCode.BAD_FRAME] * 3
    assert [answer.close for answer in answers] == [None, None, CloseCode.INVALID_DATA]


def test_good_frames_between_do_not_forgive_bad_ones() -> None:
    server = live_server()
    refused(server, b"\xc1")
    refused(server, b"\xc1")
    assert server.receive(encode(SEND)) == SEND
    assert refused(server, b"\xc1").close is CloseCode.INVALID_DATA


def test_unknown_frames_and_invalid_fields_never_close() -> None:
    server = live_server()
    for _ in range(10):
        unknown = refused(server, encode({"t": "nope", "rid": 7}))
        assert (unknown.error.code, unknown.error.rid, unknown.close) == (
            ErrorCode.UNKNOWN_FRAME,
            7,
            None,
        )
        invalid = refused(server, encode({"t": "info", "rid": 8}))
        assert (invalid.error.code, invalid.error.rid, invalid.error.field, invalid.close) == (
            ErrorCode.INVALID_PAYLOAD,
            8,
            "conv",
            None,
        )


def test_no_refusal_of_a_frame_calls_itself_temporary() -> None:
    server = ServerConnection()
    for data in (b"\xc1", encode({"t": "nope"}), encode({"t": "info"}), encode(SEND)):
        assert not refused(server, data).error.temporary


def test_the_greatest_size_of_a_frame_is_64_kib_unless_chosen() -> None:
    assert refused(live_server(), bytes(MAX_FRAME + 1)).error.code is ErrorCode.BAD_FRAME
    data = encode(CONNECT)
    assert isinstance(ServerConnection(max_frame=len(data) - 1).receive(data), Refusal)
    assert ServerConnection(max_frame=len(data)).receive(data) == CONNECT


# --- the client's side ----------------------------------------------------------------------------


def live_client(
    *convs: f.ConvState, cursors: dict[str, int] | None = None, more: bool = False
) -> ClientConnection:
    client = ClientConnection()
    client.receive(encode(HELLO))
    client.connecting(f.Connect(token="t", device="d", cursors=cursors))
    client.receive(encode(ready(*convs, more=more)))
    return client


def receive(client: ClientConnection, *events: f.AnyServerFrame) -> None:
    for event in events:
        assert client.receive(encode(event)) == event


def violation(client: ClientConnection, frame: f.AnyServerFrame | bytes) -> str:
    data = frame if isinstance(frame, bytes) else encode(frame)
    with pytest.raises(ProtocolViolation) as caught:
        client.receive(data)
    return str(caught.value)


def test_hello_comes_first_and_once() -> None:
    assert violation(ClientConnection(), f.Pong(now=0)) == "hello comes first"
    client = ClientConnection()
    receive(client, HELLO)
    assert client.hello == HELLO
    assert violation(client, HELLO) == "hello comes once"


def test_connect_follows_hello_once() -> None:
    client = ClientConnection()
    with pytest.raises(ProtocolViolation, match="connect follows hello, once"):
        client.connecting(CONNECT)
    receive(client, HELLO)
    client.connecting(CONNECT)
    with pytest.raises(ProtocolViolation, match="connect follows hello, once"):
        client.connecting(CONNECT)


def test_ready_answers_connect_once() -> None:
    client = ClientConnection()
    receive(client, HELLO)
    assert violation(client, ready()) == "ready answers connect, once"
    client.connecting(CONNECT)
    receive(client, ready())
    assert client.state is State.LIVE
    assert client.ready == ready()
    assert violation(client, ready()) == "ready answers connect, once"


def test_errors_pongs_and_a_drain_may_come_before_ready() -> None:
    client = ClientConnection()
    receive(
        client,
        HELLO,
        f.Pong(now=0),
        f.Error(code="UNAUTHENTICATED", message="no", temporary=False),
        f.Reconnect(after_ms=0),
    )


@pytest.mark.parametrize("event", [msg(1), sent(1), sent(1, dup=True), gap(1, 2)])
def test_no_event_comes_before_ready(event: f.AnyServerFrame) -> None:
    client = ClientConnection()
    receive(client, HELLO)
    client.connecting(CONNECT)
    assert violation(client, event) == "events come after ready"


def test_a_conversation_starts_at_its_head() -> None:
    client = live_client(state(head=5))
    assert client.positions == {CONV: 5}
    receive(client, msg(6), msg(7))
    assert client.positions == {CONV: 7}


def test_a_conversation_resumes_at_its_cursor() -> None:
    client = live_client(state(head=5), cursors={CONV: 3})
    receive(client, msg(4), msg(5), msg(6))
    assert client.positions == {CONV: 6}


def test_a_cursor_counts_for_a_conversation_that_ready_does_not_list() -> None:
    client = live_client(cursors={CONV: 3}, more=True)
    assert "seq 5 after 3" in violation(client, msg(5))


def test_a_cursor_beyond_the_head_counts_as_the_head() -> None:
    client = live_client(state(head=5), cursors={CONV: 9})
    receive(client, msg(6))


@pytest.mark.parametrize("seq", [4, 5, 7, 100])
def test_an_event_out_of_turn_is_refused(seq: int) -> None:
    for event in (msg(seq), sent(seq), gap(seq, 200)):
        assert f"seq {seq} after 5 without a gap" in violation(live_client(state(head=5)), event)


def test_a_gap_announces_a_hole() -> None:
    client = live_client(state(head=5))
    receive(client, gap(6, 9), msg(10))
    assert client.positions == {CONV: 10}


def test_a_gap_does_not_end_before_it_begins() -> None:
    assert violation(live_client(state(head=5)), gap(6, 5)) == "gap ends before it begins"


def test_sent_takes_the_place_of_the_own_message() -> None:
    client = live_client(state(head=5))
    receive(client, sent(6), msg(7), sent(8))
    assert "seq 8 after 8" in violation(client, msg(8))


def test_a_retry_of_what_passed_is_answered_outside_the_order() -> None:
    client = live_client(state(head=5))
    receive(client, msg(6), sent(2, dup=True), sent(6, dup=True), msg(7))


def test_a_retry_of_what_did_not_pass_yet_takes_its_place() -> None:
    client = live_client(state(head=5))
    receive(client, sent(6, dup=True), msg(7))
    assert "seq 9 after 7" in violation(client, sent(9, dup=True))


def test_a_retry_in_a_conversation_that_is_not_listed_tells_nothing_of_its_position() -> None:
    client = live_client(more=True)
    receive(client, sent(2, dup=True), msg(50), msg(51))


def test_an_own_event_may_overtake_the_first_ones_of_a_conversation_that_is_not_listed() -> None:
    client = live_client(more=True)
    receive(client, sent(9), conv(head=7), msg(8))
    assert "seq 10 after 8" in violation(client, msg(10))


def test_an_own_event_tells_the_position_of_a_conversation_that_is_not_listed() -> None:
    client = live_client(more=True)
    receive(client, sent(9))
    assert client.positions == {CONV: 9}
    assert "seq 11 after 9" in violation(client, msg(11))


def test_a_conversation_that_is_not_listed_starts_with_its_first_event() -> None:
    client = live_client(more=True)
    receive(client, msg(50), msg(51))
    assert "seq 53 after 51" in violation(client, msg(53))


def test_conversations_do_not_disturb_each_other() -> None:
    client = live_client(state(head=5), state(OTHER, head=0))
    receive(client, msg(6), msg(1, OTHER), msg(7), msg(2, OTHER))
    assert client.positions == {CONV: 7, OTHER: 2}


def test_a_new_conversation_starts_with_its_first_event() -> None:
    client = live_client()
    receive(client, conv(head=0))
    assert client.positions == {CONV: 0}
    receive(client, msg(1))
    assert "seq 3 after 1" in violation(client, msg(3))


def test_an_announced_head_may_count_an_event_that_is_still_on_its_way() -> None:
    client = live_client(more=True)
    receive(client, conv(head=9), msg(9), msg(10))
    assert "seq 10 after 10" in violation(client, msg(10))


def test_nothing_is_skipped_between_an_announced_head_and_the_first_event() -> None:
    client = live_client(more=True)
    receive(client, conv(head=9))
    assert "seq 11 after 9" in violation(client, msg(11))


def test_a_changed_conversation_does_not_move_the_position() -> None:
    client = live_client(state(head=5))
    receive(client, conv(head=8), msg(6), conv(head=8))
    assert client.positions == {CONV: 6}
    assert "seq 8 after 6" in violation(client, msg(8))


def test_a_conversation_that_was_left_begins_anew_when_the_user_is_added_again() -> None:
    client = live_client(state(head=5))
    receive(client, msg(6), conv(head=7, left=True))
    assert client.positions == {}
    receive(client, conv(head=20), msg(21))
    assert client.positions == {CONV: 21}


def test_leaving_forgets_an_announced_head_too() -> None:
    client = live_client(more=True)
    receive(client, conv(head=9), conv(head=9, left=True), conv(head=20), msg(20), msg(21))


def test_an_event_after_leaving_starts_anew() -> None:
    client = live_client(more=True)
    receive(client, conv(head=9), conv(head=9, left=True), msg(20))
    assert "seq 22 after 20" in violation(client, msg(22))


def test_a_frame_of_a_newer_server_is_ignored() -> None:
    client = live_client(state(head=5))
    assert client.receive(encode({"t": "poll", "conv": CONV, "seq": 9})) is None
    receive(client, msg(6))


def test_a_newer_server_says_hello_first_too() -> None:
    assert violation(ClientConnection(), encode({"t": "poll"})) == "hello comes first"


@pytest.mark.parametrize("data", [b"", b"\xc1", encode({"t": "msg"}), encode({"t": "ok"})])
def test_a_frame_that_is_not_valid_is_a_violation(data: bytes) -> None:
    assert violation(live_client(), data).startswith("invalid frame: ")


def test_all_other_frames_pass() -> None:
    receive(
        live_client(state(head=5)),
        f.Page(rid=1, conv=CONV, items=[msg(1), msg(2)], more=True),
        f.Receipt(conv=CONV, user="bob", recv=5, read=5),
        f.Composing(conv=CONV, user="bob", kind="text", ttl=6000),
        f.Presence(user="bob", status="away"),
        f.Ok(rid=1),
        f.Pong(now=0),
        f.Error(code="NOT_FOUND", message="no", temporary=False, rid=1),
        f.Reconnect(after_ms=0),
        msg(6),
    )
