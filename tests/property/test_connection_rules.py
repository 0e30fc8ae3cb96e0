"""The rules of a connection against frames in any order and transcripts of any kind."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from chat4all_protocol import frames as f
from chat4all_protocol.codec import decode_client, encode
from chat4all_protocol.codes import CloseCode, ErrorCode
from chat4all_protocol.connection import (
    MAX_BAD_FRAMES,
    ClientConnection,
    ProtocolViolation,
    Refusal,
    ServerConnection,
)

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

# The same examples in each run, and no limit of time to any of them.
many = settings(max_examples=300, derandomize=True, deadline=None)

VECTORS = Path(__file__).parents[2] / "protocol" / "vectors"


def vectors(name: str) -> list[bytes]:
    loaded = json.loads((VECTORS / name).read_text(encoding="ascii"))
    return [bytes.fromhex(vector["hex"]) for vector in loaded]


CLIENT = [decode_client(data) for data in vectors("client.json")]
SERVER = vectors("server.json")


def frames_of(*kinds: type[Any]) -> SearchStrategy[Any]:
    return st.sampled_from([frame for frame in CLIENT if isinstance(frame, kinds)])


# --- the server's rules ---------------------------------------------------------------------------


class ServerRules(RuleBasedStateMachine):
    """`ServerConnection` against a model of three numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.start()

    def start(self) -> None:
        self.server = ServerConnection()
        self.connects = 0
        self.live = False
        self.bad = 0
        self.closed = False

    def refusal(self, data: bytes) -> Refusal:
        answer = self.server.receive(data)
        assert isinstance(answer, Refusal)
        self.closed = answer.close is not None
        return answer

    @precondition(lambda self: not self.closed)
    @rule(frame=frames_of(f.Connect))
    def connect(self, frame: f.Connect) -> None:
        if self.connects == 0:
            assert self.server.receive(encode(frame)) == frame
        else:
            assert self.refusal(encode(frame)).close is CloseCode.BAD_FRAME
        self.connects += 1

    @precondition(lambda self: self.connects == 1 and not self.closed)
    @rule()
    def ready(self) -> None:
        self.server.went_live()
        self.live = True

    @precondition(lambda self: not self.closed)
    @rule(
        frame=st.sampled_from(CLIENT).filter(lambda frame: type(frame) not in (f.Connect, f.Ping))
    )
    def request(self, frame: f.AnyClientFrame) -> None:
        if self.live:
            assert self.server.receive(encode(frame)) == frame
            return
        answer = self.refusal(encode(frame))
        assert answer.error.code is ErrorCode.UNAUTHENTICATED
        assert answer.error.rid == getattr(frame, "rid", None)
        assert not self.closed

    @precondition(lambda self: not self.closed)
    @rule(frame=frames_of(f.Ping))
    def ping(self, frame: f.Ping) -> None:
        assert self.server.receive(encode(frame)) == frame

    @precondition(lambda self: not self.closed)
    @rule(data=st.binary(max_size=4))
    def garbage(self, data: bytes) -> None:
        self.bad += 1
        answer = self.refusal(data + b"\xc1")
        assert answer.error.code is ErrorCode.BAD_FRAME
        assert answer.close is (CloseCode.INVALID_DATA if self.bad == MAX_BAD_FRAMES else None)

    @precondition(lambda self: not self.closed)
    @rule(t=st.sampled_from(["hello", "ready", "sent", "msg", "", "Ping", "pings"]))
    def unknown_frame(self, t: str) -> None:
        answer = self.refusal(encode({"t": t, "rid": 3}))
        assert (answer.error.code, answer.error.rid) == (ErrorCode.UNKNOWN_FRAME, 3)
        assert not self.closed

    @precondition(lambda self: self.closed)
    @rule()
    def new_connection(self) -> None:
        self.start()


ServerRules.TestCase.settings = settings(
    max_examples=60, stateful_step_count=20, derandomize=True, deadline=None
)
test_the_server_refuses_exactly_what_its_state_forbids = ServerRules.TestCase


# --- the client's rules ---------------------------------------------------------------------------

CONVS = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(4)]
HELLO = f.Hello(proto=1, node="n", now=0, heartbeat_ms=25_000, limits=f.Limits(65536, 10000, 64, 0))
ASIDE: list[f.AnyServerFrame] = [
    f.Receipt(conv=CONVS[0], user="bob", recv=5, read=5),
    f.Pong(now=0),
    f.Ok(rid=1),
    f.Page(rid=1, conv=CONVS[0], items=[], more=False),
    f.Conv(conv=CONVS[0], type="group", members=["ana"], head=10**6),
]


class Transcript(msgspec.Struct):
    """What a server that keeps all rules sent after `hello`, and where that leaves the client."""

    connect: f.Connect
    sent: list[f.AnyServerFrame]
    events: list[tuple[int, str]]
    """The places in `sent` of frames that pass events, each with its conversation."""
    positions: dict[str, int]


@st.composite
def transcripts(draw: DrawFn) -> Transcript:
    """Two conversations from their heads, one from a cursor, and one that is created on the way."""
    heads = [draw(st.integers(0, 2**40)) for _ in range(3)]
    cursor = draw(st.integers(0, heads[2]))
    listed = [
        f.ConvState(conv, "group", head=head, read=0, recv=0, unread=0)
        for conv, head in zip(CONVS, heads, strict=False)
    ]
    position = dict(zip(CONVS, [heads[0], heads[1], cursor, 0], strict=True))
    sent: list[f.AnyServerFrame] = [
        f.Ready(session="s", user="ana", now=0, convs=listed, more=False),
        f.Conv(conv=CONVS[3], type="group", members=["ana"], head=0),
    ]
    events = []
    steps = st.tuples(st.sampled_from(CONVS), st.sampled_from(["msg", "sent", "gap", "retry", ""]))
    for conv, step in draw(st.lists(steps, min_size=2, max_size=30)):
        following = position[conv] + 1
        if step == "":
            sent.append(draw(st.sampled_from(ASIDE)))
            continue
        if step == "retry":
            if position[conv] > 0:
                passed = draw(st.integers(1, position[conv]))
                sent.append(event_of("retry", conv, passed, passed))
            continue
        last = following + draw(st.integers(0, 5)) if step == "gap" else following
        events.append((len(sent), conv))
        sent.append(event_of(step, conv, following, last))
        position[conv] = last
    connect = f.Connect(token="t", device="d", cursors={CONVS[2]: cursor})
    return Transcript(connect, sent, events, position)


def event_of(step: str, conv: str, first: int, last: int) -> f.AnyServerFrame:
    if step == "msg":
        return f.Msg(conv=conv, seq=first, id=conv, from_="bob", ts=0, body=None)
    if step == "gap":
        return f.Gap(conv=conv, from_=first, to=last)
    return f.Sent(rid=1, conv=conv, id=conv, seq=first, ts=0, dup=step == "retry")


def play(connect: f.Connect, sent: list[f.AnyServerFrame]) -> ClientConnection:
    client = ClientConnection()
    client.receive(encode(HELLO))
    client.connecting(connect)
    for frame in sent:
        assert client.receive(encode(frame)) == frame
    return client


@many
@given(transcripts())
def test_a_transcript_that_keeps_the_rules_is_accepted(transcript: Transcript) -> None:
    client = play(transcript.connect, transcript.sent)
    assert client.positions == transcript.positions


@many
@given(transcripts(), st.data())
def test_an_event_that_is_doubled_is_refused(transcript: Transcript, data: Any) -> None:
    if not transcript.events:
        return
    at, _ = data.draw(st.sampled_from(transcript.events))
    sent = transcript.sent
    later = data.draw(st.integers(at + 1, len(sent)))
    with pytest.raises(ProtocolViolation, match="without a gap frame"):
        play(transcript.connect, [*sent[:later], sent[at], *sent[later:]])


def neighbours(transcript: Transcript) -> list[tuple[int, int]]:
    """Pairs of places whose events follow each other in one conversation."""
    pairs: list[tuple[int, int]] = []
    for conv in CONVS:
        places = [at for at, of in transcript.events if of == conv]
        pairs += pairwise(places)
    return pairs


@many
@given(transcripts(), st.data())
def test_an_event_that_is_missing_is_noticed_at_the_next_one(
    transcript: Transcript, data: Any
) -> None:
    pairs = neighbours(transcript)
    if not pairs:
        return
    at, _ = data.draw(st.sampled_from(pairs))
    # The answer to a retry may take the place of the event, so none must follow.
    rest = [frame for frame in transcript.sent[at + 1 :] if not is_retry(frame)]
    with pytest.raises(ProtocolViolation, match="without a gap frame"):
        play(transcript.connect, [*transcript.sent[:at], *rest])


def is_retry(frame: f.AnyServerFrame) -> bool:
    return isinstance(frame, f.Sent) and frame.dup


@many
@given(transcripts(), st.data())
def test_events_that_change_places_are_refused(transcript: Transcript, data: Any) -> None:
    pairs = neighbours(transcript)
    if not pairs:
        return
    one, other = data.draw(st.sampled_from(pairs))
    sent = list(transcript.sent)
    sent[one], sent[other] = sent[other], sent[one]
    with pytest.raises(ProtocolViolation, match="without a gap frame"):
        play(transcript.connect, sent)


@many
@given(transcripts(), st.sampled_from(SERVER), st.data())
def test_a_server_that_sends_garbage_is_a_violation_and_nothing_worse(
    transcript: Transcript, valid: bytes, data: Any
) -> None:
    client = play(transcript.connect, transcript.sent)
    broken = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolViolation):
        client.receive(bytes(broken))
