"""Write the golden vectors, or with `--check` tell whether the committed ones are current.

    python protocol/vectors/generate.py [--check]

client.json, server.json   every frame, smallest, full and at its limits, with our bytes
tolerated.json             bytes that we would not write and yet have to read
refused.json               bytes that a server refuses, with the error it answers
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from chat4all_protocol import frames as f
from chat4all_protocol.codec import CodecError, decode_client, decode_server, encode
from vectors.by_hand import CONV, ID, OTHER, REFUSED, TOLERATED

HERE = Path(__file__).parent

ZERO = "00000000-0000-0000-0000-000000000000"
LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
NOW = 1_764_000_000_000
MAX = f.MAX_INTEGER
ASTRAL = "𝄞 música 😀 한국어 עברית \u0000\n"
CHANNELS = ["internal", "telegram:support"]
CURSORS = {CONV: 41, OTHER: 0}
META = {"s": "x", "i": -(2**63), "f": 0.5, "b": True, "n": None, "l": [1, [2]], "m": {"": {}}}

HI = f.TextBody(text="hi")
FILE = f.FileBody(file_id=OTHER, text="the plan")
PHOTO = f.FileBody(
    OTHER, "look", "Café ☕.png", MAX, "image/png", width=4000, height=3000, thumbnail=True
)
LIMITS = f.Limits(frame=65536, text=10000, inflight=64, rate=100)


def _msg(body: f.Body | None, **changed: Any) -> f.Msg:
    msg = f.Msg(conv=CONV, seq=1, id=ID, from_="ana", ts=NOW, body=body)
    return msgspec.structs.replace(msg, **changed)


MSG = _msg(HI)
STATES = [
    f.ConvState(CONV, "private", head=7, read=5, recv=6, unread=1, peer="bob"),
    f.ConvState(OTHER, "group", head=0, read=0, recv=0, unread=0, title="Café ☕"),
    f.ConvState(LAST, "group", head=MAX, read=MAX, recv=MAX, unread=1000),
]
MEMBERS = {
    "ana": f.Member(role="owner", recv=7, read=7),
    "bob": f.Member(role="member", recv=0, read=0),
}

CLIENT: dict[str, f.AnyClientFrame] = {
    "connect": f.Connect(token="t", device="d"),
    "connect full": f.Connect(
        token="e30.e30.c2ln", device="laptop/1", cursors=CURSORS, since=NOW, background=True
    ),
    "connect at its limits": f.Connect(
        token="t" * 8192, device="~" * 128, cursors={ZERO: MAX, LAST: MAX}, since=MAX
    ),
    "connect with no cursor": f.Connect(token="t", device="d", cursors={}, since=0),
    "send": f.Send(rid=0, conv=CONV, id=ID, body=HI),
    "send full": f.Send(rid=1, conv=CONV, id=ID, body=HI, reply_to=1, channels=CHANNELS, meta=META),
    "send astral text": f.Send(rid=1, conv=CONV, id=ID, body=f.TextBody(text=ASTRAL)),
    "send 10,000 characters": f.Send(rid=2, conv=CONV, id=ID, body=f.TextBody(text="x" * 10_000)),
    "send file": f.Send(rid=3, conv=CONV, id=ID, body=f.FileBody(file_id=OTHER)),
    "send file with caption": f.Send(rid=4, conv=CONV, id=ID, body=FILE),
    "send file as it was received": f.Send(rid=4, conv=CONV, id=ID, body=PHOTO),
    "send at its limits": f.Send(
        rid=MAX, conv=ZERO, id=LAST, body=HI, reply_to=MAX, channels=[], meta={}
    ),
    "edit": f.Edit(rid=5, conv=CONV, id=ID, target=1, body=HI),
    "edit file": f.Edit(rid=MAX, conv=CONV, id=ID, target=MAX, body=FILE),
    "delete": f.Delete(rid=6, conv=CONV, id=ID, target=1),
    "delete at its limits": f.Delete(rid=MAX, conv=LAST, id=ZERO, target=MAX),
    "react on": f.React(rid=7, conv=CONV, id=ID, target=1, emoji="👍", on=True),
    "react off": f.React(rid=8, conv=CONV, id=ID, target=MAX, emoji="x" * 32, on=False),
    "fetch": f.Fetch(rid=9, conv=CONV),
    "fetch after": f.Fetch(rid=10, conv=CONV, after=0, limit=1),
    "fetch before": f.Fetch(rid=11, conv=CONV, before=1, limit=99),
    "fetch at its limits": f.Fetch(rid=MAX, conv=CONV, after=MAX),
    "recv": f.Recv(conv=CONV, seq=0),
    "recv at its limit": f.Recv(conv=CONV, seq=MAX),
    "read": f.Read(conv=CONV, seq=1),
    "read at its limit": f.Read(conv=CONV, seq=MAX),
    "typing": f.Typing(conv=CONV),
    "typing voice": f.Typing(conv=CONV, kind="voice"),
    "typing file": f.Typing(conv=CONV, kind="file"),
    "watch": f.Watch(users=["ana", "B.o-b_"]),
    "watch nobody": f.Watch(users=[]),
    "watch the shortest and longest names": f.Watch(users=["a", "z" * 64]),
    "mode": f.Mode(rid=16),
    "mode background": f.Mode(rid=17, background=True),
    "mode full": f.Mode(rid=MAX, background=False, invisible=True),
    "create": f.Create(rid=12, type="private", members=["bob"]),
    "create full": f.Create(rid=13, type="group", members=["bob", "carla"], title="Café ☕"),
    "create at its limits": f.Create(rid=MAX, type="group", members=[], title="😀" * 200),
    "info": f.Info(rid=14, conv=CONV),
    "info at its limit": f.Info(rid=MAX, conv=LAST),
    "file": f.AskFile(rid=18, file=OTHER),
    "file at its limits": f.AskFile(rid=MAX, file=LAST),
    "refresh": f.Refresh(rid=15, token="t"),
    "refresh at its limits": f.Refresh(rid=MAX, token="t" * 8192),
    "ping": f.Ping(),
    "ping full": f.Ping(at=NOW),
    "ping at its limit": f.Ping(at=MAX),
}

SERVER: dict[str, f.AnyServerFrame] = {
    "hello": f.Hello(proto=1, node="n1", now=NOW, heartbeat_ms=25_000, limits=LIMITS),
    "ready": f.Ready(session=ID, user="ana", now=NOW, convs=[], more=False),
    "ready full": f.Ready(session=ID, user="z" * 64, now=MAX, convs=STATES, more=True),
    "sent": f.Sent(rid=0, conv=CONV, id=ID, seq=1, ts=NOW, dup=False),
    "sent again": f.Sent(rid=MAX, conv=CONV, id=ID, seq=MAX, ts=MAX, dup=True),
    "msg": MSG,
    "msg full": _msg(HI, seq=2, reply_to=1, meta=META, channel="telegram:support"),
    "msg file": _msg(FILE, seq=3),
    "msg file full": _msg(PHOTO, seq=3),
    "msg edit": _msg(HI, seq=4, kind="edit", target=1),
    "msg edited": _msg(HI, seq=4, edited_at=NOW),
    "msg delete": _msg(None, seq=5, kind="delete", target=1),
    "msg react": _msg(None, seq=6, kind="react", target=1, meta={"emoji": "👍", "on": True}),
    "msg join": _msg(f.MemberBody(user="carla", role="admin"), seq=7, kind="join"),
    "msg leave": _msg(f.MemberBody(user="carla"), seq=8, kind="leave"),
    "msg change": _msg(None, seq=9, kind="change", meta={"title": "Café ☕"}),
    "msg change of a role": _msg(
        None, seq=9, kind="change", meta={"user": "carla", "role": "admin"}
    ),
    "msg deleted": _msg(None, deleted=True),
    "msg astral text": _msg(f.TextBody(text=ASTRAL), seq=10),
    "msg 10,000 characters": _msg(f.TextBody(text="x" * 10_000), seq=11),
    "msg at its limits": _msg(HI, conv=LAST, seq=MAX, id=ZERO, ts=MAX, reply_to=MAX, meta={}),
    "gap": f.Gap(conv=CONV, from_=1, to=1),
    "gap at its limit": f.Gap(conv=CONV, from_=1, to=MAX),
    "page": f.Page(rid=0, conv=CONV, items=[], more=False),
    "page full": f.Page(rid=MAX, conv=CONV, items=[MSG, _msg(FILE, seq=2, id=OTHER)], more=True),
    "receipt": f.Receipt(conv=CONV, user="bob", recv=0, read=0),
    "receipt at its limit": f.Receipt(conv=CONV, user="bob", recv=MAX, read=MAX),
    "typing": f.Composing(conv=CONV, user="bob", kind="text", ttl=6000),
    "presence": f.Presence(user="bob", status="online"),
    "presence away": f.Presence(user="bob", status="away"),
    "presence full": f.Presence(user="bob", status="offline", last_seen=NOW),
    "conv": f.Conv(conv=CONV, type="private", members=["ana", "bob"], head=0),
    "conv full": f.Conv(
        conv=CONV, type="group", members=[*MEMBERS], head=MAX, rid=MAX, title="é", details=MEMBERS
    ),
    "conv changed": f.Conv(
        conv=CONV, type="group", members=[], head=9, metadata=META, retention=MAX, changed=True
    ),
    "conv left": f.Conv(conv=CONV, type="group", members=[], head=9, left=True),
    "file": f.FileProgress(OTHER, "uploading", 0, 1, "a", "text/plain"),
    "file checking": f.FileProgress(OTHER, "checking", 9, 9, "a", "text/plain", rid=0),
    "file rejected": f.FileProgress(OTHER, "rejected", 9, 9, "a", "text/plain", reason="checksum"),
    "file quarantined": f.FileProgress(
        OTHER, "quarantined", 9, 9, "a", "text/plain", reason="unscanned"
    ),
    "file full": f.FileProgress(
        OTHER, "ready", MAX, MAX, "Café ☕.png", "image/png", MAX, "", 4000, 3000, thumbnail=True
    ),
    "ok": f.Ok(rid=0),
    "ok at its limit": f.Ok(rid=MAX),
    "pong": f.Pong(now=NOW),
    "pong full": f.Pong(now=MAX, at=MAX),
    "error": f.Error(code="BAD_FRAME", message="truncated", temporary=False),
    "error full": f.Error(
        code="RATE_LIMITED",
        message="wait a little",
        temporary=True,
        rid=MAX,
        field="body.text",
        retry_after_ms=600,
    ),
    "reconnect": f.Reconnect(after_ms=0),
    "reconnect later": f.Reconnect(after_ms=5000),
}


def _frames(frames: dict[str, f.AnyClientFrame] | dict[str, f.AnyServerFrame]) -> list[Any]:
    return [
        {"name": name, "frame": msgspec.to_builtins(frame), "hex": encode(frame).hex()}
        for name, frame in frames.items()
    ]


def _tolerated() -> list[Any]:
    return [
        {
            "name": name,
            "from": "client" if by_client else "server",
            "frame": msgspec.to_builtins((decode_client if by_client else decode_server)(data)),
            "hex": data.hex(),
        }
        for name, (by_client, data) in TOLERATED.items()
    ]


def _refused() -> list[Any]:
    vectors = []
    for name, data in REFUSED.items():
        try:
            decode_client(data)
        except CodecError as error:
            answer = {"code": error.code, "field": error.field, "rid": error.rid}
        else:
            raise SystemExit(f"refused.json: {name!r} is accepted")
        vectors.append({"name": name, **answer, "hex": data.hex()})
    return vectors


def render() -> dict[str, str]:
    """The content of each vector file, by file name: a JSON list, one vector a line."""
    files = {
        "client.json": _frames(CLIENT),
        "server.json": _frames(SERVER),
        "tolerated.json": _tolerated(),
        "refused.json": _refused(),
    }
    return {
        name: "[\n" + ",\n".join(json.dumps(vector) for vector in vectors) + "\n]\n"
        for name, vectors in files.items()
    }


def main(arguments: list[str]) -> int:
    """Write the files, or compare them: 0 when they are current, 1 when not, 2 on bad usage."""
    if arguments not in ([], ["--check"]):
        print("usage: generate.py [--check]", file=sys.stderr)
        return 2
    stale = []
    for name, content in render().items():
        path = HERE / name
        if not arguments:
            path.write_text(content, encoding="ascii")
        elif not path.exists() or path.read_text(encoding="ascii") != content:
            stale.append(name)
    if stale:
        print(f"not current: {', '.join(stale)}; run generate.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
