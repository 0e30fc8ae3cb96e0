"""The whole client without I/O against a model server, over anything a network may do."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chat4all_client.engine import Engine
from chat4all_client.options import Options
from chat4all_client.outbox import Entry
from chat4all_protocol import frames as f
from tests.client.model import OTHER, ModelServer, ModelSession, conversation_id

if TYPE_CHECKING:
    from chat4all_client.cursors import Cursors
    from chat4all_client.errors import ClientError
    from chat4all_client.link import Link

CONVERSATIONS = st.integers(0, 2)
FEW = st.integers(1, 6)


class Wire:
    """A connection: frames on their way in both directions."""

    def __init__(self, link: Link, session: ModelSession) -> None:
        self.link = link
        self.session = session
        self.up: deque[bytes] = deque()
        self.broken = False


class Client(RuleBasedStateMachine):
    """Each event once and in order; each message stored and acknowledged once."""

    pipeline = 1

    @initialize()
    def start(self) -> None:
        self.now = 0.0
        self.server = ModelServer()
        self.server.create(conversation_id(0))
        for number in range(3):
            self.server.say(conversation_id(0), f"before {number}")
        self.starts = {conversation_id(0): 3}
        self.consumed: dict[str, list[f.Msg]] = defaultdict(list)
        self.kept: Cursors | None = None
        self.wires: list[Wire] = []
        self.number = 0
        self.new_engine()
        self.connect()
        self.exchange(10)

    def new_engine(self) -> None:
        options = Options(device="d", event_buffer=100, pipeline=self.pipeline)
        self.engine = Engine(options, self.kept, lambda: 0.5)
        self.answers: dict[str, list[f.Sent | ClientError]] = {}
        self.submitted: dict[str, list[str]] = defaultdict(list)

    # --- the network ----------------------------------------------------------------------------

    @precondition(lambda self: len(self.wires) < 2)
    @rule()
    def connect(self) -> None:
        self.wires.append(Wire(self.engine.open_link("t", self.now), ModelSession(self.server)))

    @rule(count=FEW)
    def to_server(self, count: int) -> None:
        for wire in self.wires:
            wire.up.extend(wire.link.take())
            for _ in range(min(count, len(wire.up))):
                if wire.session.closed is None:
                    wire.session.receive(wire.up.popleft())

    @rule(count=st.integers(1, 200))
    def to_client(self, count: int) -> None:
        for wire in list(self.wires):
            for _ in range(min(count, len(wire.session.out))):
                data = wire.session.out.popleft()
                self.engine.receive(wire.link, data, self.now)
            if not wire.session.out and wire.session.closed is not None:
                self.cut(wire)

    @rule(count=FEW)
    def exchange(self, count: int) -> None:
        for _ in range(count):
            self.to_server(100)
            self.to_client(100)

    @precondition(lambda self: not self.wires)
    @rule(lost=st.integers(0, 3))
    def reconnect(self, lost: int) -> None:
        self.connect()
        self.exchange(5 - lost)

    @precondition(lambda self: self.wires)
    @rule(last=st.booleans())
    def drop(self, last: bool) -> None:
        self.cut(self.wires[-1 if last else 0])

    def cut(self, wire: Wire) -> None:
        self.wires.remove(wire)
        wire.session.end()
        self.engine.ended(wire.link, self.now)

    @rule(seconds=st.sampled_from([0.1, 1.0, 11.0, 30.0]))
    def advance(self, seconds: float) -> None:
        self.now += seconds
        for wire in list(self.wires):
            if self.engine.silent(wire.link, self.now):
                self.cut(wire)
        self.engine.tick(self.now)

    # --- the server -----------------------------------------------------------------------------

    @rule(number=CONVERSATIONS, count=st.sampled_from([1, 1, 3, 120]))
    def other_says(self, number: int, count: int) -> None:
        id_ = conversation_id(number)
        if id_ in self.starts:
            for _ in range(count):
                self.server.say(id_, "text")

    @rule(on=st.booleans())
    def push_or_announce(self, on: bool) -> None:
        self.server.lossy = on

    @rule(wait=st.sampled_from([None, 0, 500, 5000]), count=FEW, limited=st.booleans())
    def refuse_for_a_time(self, wait: int | None, count: int, limited: bool) -> None:
        code = "RATE_LIMITED" if limited else "UNAVAILABLE"
        self.server.refusals.extend(
            [f.Error(code, "later", temporary=True, retry_after_ms=wait)] * count
        )

    @precondition(lambda self: conversation_id(1) not in self.server.logs)
    @rule(talk=st.sampled_from([0, 2, 150]))
    def somebody_opens_a_private_conversation(self, talk: int) -> None:
        id_ = conversation_id(1)
        self.server.create(id_)
        self.starts[id_] = 0
        for _ in range(talk):
            self.server.say(id_, "hi")

    @precondition(lambda self: conversation_id(2) not in self.server.logs)
    @rule(talk=st.sampled_from([0, 2, 150]))
    def somebody_adds_the_user_to_a_group(self, talk: int) -> None:
        id_ = conversation_id(2)
        log = self.server.create(id_, "group", [OTHER])
        for _ in range(talk):
            self.server.say(id_, "not for ana")
        self.starts[id_] = log.head
        self.server.join(id_)

    # --- the application ------------------------------------------------------------------------

    @rule(number=CONVERSATIONS, count=FEW)
    def send(self, number: int, count: int) -> None:
        conv = conversation_id(number)
        if conv not in self.starts:
            return
        for _ in range(count):
            self.number += 1
            id_ = conversation_id(1_000_000 + self.number)
            self.answers[id_] = []
            frame = f.Send(rid=0, conv=conv, id=id_, body=f.TextBody(f"mine {self.number}"))
            self.engine.submit(Entry(frame, self.answers[id_].append), self.now)
            self.submitted[conv].append(id_)

    @rule(count=st.integers(1, 150))
    def consume(self, count: int) -> None:
        for _ in range(count):
            event = self.engine.next_event(self.now)
            if event is None:
                break
            if isinstance(event, f.Msg):
                self.consumed[event.conv].append(event)
            self.engine.handled(event, self.now)

    @rule()
    def restart(self) -> None:
        """The process ends, and another goes on from the cursors that were saved."""
        for wire in list(self.wires):
            self.cut(wire)
        self.kept = self.engine.history.save()
        self.new_engine()

    # --- what must hold -------------------------------------------------------------------------

    @invariant()
    def no_event_is_missing_or_doubled_or_out_of_order(self) -> None:
        for conv, events in getattr(self, "consumed", {}).items():
            start = self.starts[conv]
            assert events == self.server.logs[conv].events[start : start + len(events)]

    @invariant()
    def no_more_is_on_the_wire_than_the_server_allows(self) -> None:
        for wire in getattr(self, "wires", []):
            assert len(wire.link.on_wire) <= self.server.limit

    @invariant()
    def nothing_is_acknowledged_twice(self) -> None:
        assert all(len(answers) <= 1 for answers in getattr(self, "answers", {}).values())

    def teardown(self) -> None:
        if not hasattr(self, "server"):
            return
        self.server.lossy = False
        self.server.refusals.clear()
        for _ in range(300):
            if not self.wires:
                self.connect()
            self.to_server(1000)
            self.to_client(1000)
            self.consume(1000)
            self.advance(1.0)
            if self.engine.link is not None and not self.outstanding():
                break
        self.no_event_is_missing_or_doubled_or_out_of_order()
        for conv, start in self.starts.items():
            assert len(self.consumed[conv]) == self.server.logs[conv].head - start, conv
        for conv, ids in self.submitted.items():
            stored = [event.id for event in self.server.logs[conv].events]
            for id_ in ids:
                (answer,) = self.answers[id_]
                assert isinstance(answer, f.Sent)
                assert stored.count(id_) == 1
                assert stored[answer.seq - 1] == id_
            if self.pipeline == 1:
                order = [id_ for id_ in stored if id_ in self.answers]
                assert order == ids

    def outstanding(self) -> bool:
        behind = any(
            len(self.consumed[conv]) < self.server.logs[conv].head - start
            for conv, start in self.starts.items()
        )
        return behind or bool(len(self.engine.outbox))


class PipeliningClient(Client):
    """The same without waiting for each answer, where refusals may change the order."""

    pipeline = 4


Client.TestCase.settings = PipeliningClient.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=50,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
test_each_event_and_each_message_once_in_order = Client.TestCase
test_each_event_and_each_message_once_when_pipelining = PipeliningClient.TestCase
