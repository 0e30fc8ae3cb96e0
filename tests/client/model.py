"""A server as simple as can be: logs in memory, sessions that are fed by hand."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from chat4all_protocol import frames as f
from chat4all_protocol.codec import decode_client, encode
from chat4all_protocol.connection import Refusal, ServerConnection

ME = "ana"
OTHER = "bob"


def conversation_id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


CONV = conversation_id(0)


@dataclass
class Log:
    """One conversation."""

    type: str = "private"
    members: list[str] = field(default_factory=lambda: [ME, OTHER])
    events: list[f.Msg] = field(default_factory=list)
    ids: dict[tuple[str, str], tuple[int, f.SendBody]] = field(default_factory=dict)

    @property
    def head(self) -> int:
        return len(self.events)


class ModelServer:
    """All conversations, and the sessions of one user."""

    def __init__(self) -> None:
        self.logs: dict[str, Log] = {}
        self.sessions: list[ModelSession] = []
        self.limit = 8
        self.refusals: deque[f.Error] = deque()
        """Answers to the next sends, in place of storing them."""
        self.lossy = False
        """Events are announced as gaps in place of being pushed."""
        self.marks: dict[str, list[f.Recv | f.Read]] = defaultdict(list)
        self.received: list[f.AnyClientFrame] = []
        self.overloaded: list[int] = []
        """The next connects are refused for so many milliseconds each."""
        self.tokens: set[str] | None = None
        self.now = 0

    def create(self, id_: str, type_: str = "private", members: list[str] | None = None) -> Log:
        log = self.logs[id_] = Log(type_, members or [ME, OTHER])
        if ME in log.members:
            self.introduce(id_)
        return log

    def introduce(self, id_: str) -> None:
        log = self.logs[id_]
        for session in self.sessions:
            if session.live:
                session.send(f.Conv(id_, log.type, log.members, log.head))

    def join(self, id_: str) -> None:
        log = self.logs[id_]
        self.introduce(id_)
        log.members.append(ME)
        self.append(id_, OTHER, f.MemberBody(ME), kind="join")

    def append(self, id_: str, sender: str, body: f.Body | None, **more: Any) -> f.Msg:
        log = self.logs[id_]
        seq = log.head + 1
        event_id = more.pop("id", None) or conversation_id(10_000 + seq)
        origin = more.pop("origin", None)
        self.now += 1
        event = f.Msg(id_, seq, event_id, sender, self.now, body, **more)
        log.events.append(event)
        if ME in log.members:
            for session in self.sessions:
                if session.live and session is not origin:
                    session.push(event, lossy=self.lossy)
        return event

    def say(self, id_: str, text: str) -> f.Msg:
        return self.append(id_, OTHER, f.TextBody(text))


class ModelSession:
    """The server's side of one connection; `out` is on its way to the client."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.rules = ServerConnection()
        self.live = False
        self.out: deque[bytes] = deque()
        self.closed: tuple[int, str] | None = None
        self.send(
            f.Hello(
                proto=1,
                node="model",
                now=0,
                heartbeat_ms=25_000,
                limits=f.Limits(65_536, 10_000, server.limit, 0),
            )
        )
        server.sessions.append(self)

    def send(self, frame: f.ServerFrame) -> None:
        self.out.append(encode(frame))

    def push(self, event: f.Msg, *, lossy: bool) -> None:
        self.send(f.Gap(event.conv, event.seq, event.seq) if lossy else event)

    def end(self, code: int = 1006, reason: str = "") -> None:
        self.live = False
        self.closed = (code, reason)
        if self in self.server.sessions:
            self.server.sessions.remove(self)

    def receive(self, data: bytes) -> None:
        frame = self.rules.receive(data)
        if isinstance(frame, Refusal):
            raise AssertionError(f"the client broke the protocol: {frame.error.message}")
        self.server.received.append(frame)
        match frame:
            case f.Connect():
                self._connect(frame)
            case f.Send():
                self._store(frame)
            case f.Edit() | f.Delete():
                kind: f.Kind = "edit" if isinstance(frame, f.Edit) else "delete"
                body = frame.body if isinstance(frame, f.Edit) else None
                event = self.server.append(
                    frame.conv, ME, body, kind=kind, target=frame.target, id=frame.id, origin=self
                )
                self.send(f.Sent(frame.rid, frame.conv, frame.id, event.seq, event.ts, dup=False))
            case f.React():
                self._react(frame)
            case f.Fetch():
                self._fetch(frame)
            case f.Info() | f.Create():
                self._conv(frame)
            case f.Recv() | f.Read():
                self.server.marks[frame.conv].append(frame)
            case f.Mode():
                self.send(f.Ok(frame.rid))
            case f.Ping():
                self.send(f.Pong(now=0))
            case _:
                pass

    def _react(self, frame: f.React) -> None:
        event = self.server.append(
            frame.conv,
            ME,
            None,
            kind="react",
            target=frame.target,
            id=frame.id,
            meta={"emoji": frame.emoji, "on": frame.on},
            origin=self,
        )
        self.send(f.Sent(frame.rid, frame.conv, frame.id, event.seq, event.ts, dup=False))

    def _connect(self, frame: f.Connect) -> None:
        server = self.server
        if server.overloaded:
            retry = server.overloaded.pop(0)
            self.send(f.Error("UNAVAILABLE", "later", temporary=True, retry_after_ms=retry))
            self.end(3013, "later")
            return
        if server.tokens is not None and frame.token not in server.tokens:
            self.send(f.Error("UNAUTHENTICATED", "the token has expired", temporary=False))
            self.end(3005, "the token has expired")
            return
        for other in list(server.sessions):
            if other is not self and other.live:
                other.end(3504, "replaced")
        mine = {id_: log for id_, log in server.logs.items() if ME in log.members}
        states = [
            f.ConvState(id_, log.type, log.head, read=0, recv=0, unread=0, peer=OTHER)
            for id_, log in mine.items()
        ]
        self.send(f.Ready("s", ME, 0, states, more=False))
        self.rules.went_live()
        self.live = True
        for id_, after in (frame.cursors or {}).items():
            log = mine.get(id_)
            if log is None or after >= log.head:
                continue
            if log.head - after > f.FETCH_LIMIT:
                self.send(f.Gap(id_, after + 1, log.head))
            else:
                for event in log.events[after:]:
                    self.send(event)

    def _store(self, frame: f.Send) -> None:
        server = self.server
        log = server.logs.get(frame.conv)
        if log is None or ME not in log.members:
            self.send(f.Error("NOT_FOUND", "no such conversation", temporary=False, rid=frame.rid))
            return
        if server.refusals:
            refusal = server.refusals.popleft()
            self.send(
                f.Error(
                    refusal.code,
                    refusal.message,
                    refusal.temporary,
                    rid=frame.rid,
                    retry_after_ms=refusal.retry_after_ms,
                )
            )
            return
        known = log.ids.get((ME, frame.id))
        if known is not None:
            seq, body = known
            if body != frame.body:
                self.send(f.Error("CONFLICT", "another body", temporary=False, rid=frame.rid))
                return
            ts = log.events[seq - 1].ts
            self.send(f.Sent(frame.rid, frame.conv, frame.id, seq, ts, dup=True))
            return
        event = server.append(frame.conv, ME, frame.body, id=frame.id, origin=self)
        log.ids[ME, frame.id] = (event.seq, frame.body)
        self.send(f.Sent(frame.rid, frame.conv, frame.id, event.seq, event.ts, dup=False))

    def _fetch(self, frame: f.Fetch) -> None:
        log = self.server.logs.get(frame.conv)
        if log is None or ME not in log.members:
            self.send(f.Error("NOT_FOUND", "no such conversation", temporary=False, rid=frame.rid))
            return
        if frame.after is not None:
            events = log.events[frame.after : frame.after + frame.limit]
            more = frame.after + len(events) < log.head
        else:
            upto = log.head if frame.before is None else frame.before - 1
            events = log.events[max(0, upto - frame.limit) : upto]
            more = bool(events) and events[0].seq > 1
        self.send(f.Page(frame.rid, frame.conv, list(events), more))

    def _conv(self, frame: f.Info | f.Create) -> None:
        if isinstance(frame, f.Create):
            id_ = conversation_id(500 + len(self.server.logs))
            log = self.server.logs[id_] = Log(frame.type, [ME, *frame.members])
        else:
            id_ = frame.conv
            log = self.server.logs[id_]
        details = {name: f.Member("member", 0, 0) for name in log.members}
        self.send(f.Conv(id_, log.type, log.members, log.head, frame.rid, details=details))


def frames_sent(data: list[bytes]) -> list[f.AnyClientFrame]:
    """What a link gave to be sent."""
    return [decode_client(item) for item in data]
