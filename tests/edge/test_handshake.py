from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request
from wsproto.extensions import PerMessageDeflate

from chat4all_actors.edge.answers import error_response, http_response
from chat4all_actors.edge.handshake import (
    Accept,
    BadRequest,
    HeadReader,
    Refuse,
    RequestHead,
    decide_upgrade,
    head_of,
    read_plain,
)
from chat4all_actors.edge.origins import Origins, normalize_origin

if TYPE_CHECKING:
    from collections.abc import Collection

RFC_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
RFC_ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The sample nonce of RFC 6455 section 1.3 and its answer."""

UPGRADE = {
    "Host": "chat.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": RFC_KEY,
}


def head_bytes(
    *lines: str, method: str = "GET", target: str = "/ws", version: str = "1.1", **changes: Any
) -> bytes:
    """Build an upgrade request; `changes` replace a field (None leaves it out), `lines` add."""
    fields = {**UPGRADE, **{name.replace("_", "-"): value for name, value in changes.items()}}
    request = [f"{method} {target} HTTP/{version}"]
    request += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([*request, *lines, "", ""]).encode("latin-1")


def parse(data: bytes) -> RequestHead:
    head = HeadReader().receive_data(data)
    assert head is not None
    return head


def decide(*lines: str, allowed: Collection[str] = (), **changes: Any) -> Accept | Refuse:
    return decide_upgrade(parse(head_bytes(*lines, **changes)), origins=Origins(allowed))


def answer(response: bytes, method: str = "GET") -> tuple[int, dict[str, str], dict[str, Any]]:
    """Parse a final response as an HTTP client does; the connection must close after it."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/ws", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(response)
    client.receive_data(b"")
    head = client.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert isinstance(client.next_event(), h11.ConnectionClosed)
    headers: dict[str, str] = {}
    for name, value in head.headers:
        known = headers.get(name.decode())
        headers[name.decode()] = f"{known}, {value.decode()}" if known else value.decode()
    return head.status_code, headers, json.loads(body) if body else {}


def refused(decision: Accept | Refuse, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    """Return the status, the error code and the fields of a refusal."""
    assert isinstance(decision, Refuse)
    status, headers, body = answer(decision.response, method)
    assert status == decision.status
    return status, body["error"]["code"], headers


# The request head


def test_a_head_is_parsed_into_its_parts() -> None:
    head = parse(head_bytes("X-Two: a, b ,", "x-two:c", target="/ws?a=1&b=%20?", X_Empty=""))
    assert (head.method, head.http_version) == ("GET", "1.1")
    assert (head.target, head.path, head.query) == ("/ws?a=1&b=%20?", "/ws", "a=1&b=%20?")
    assert head.headers[0] == (b"host", b"chat.example")
    assert head.get(b"x-two") == b"a, b ,"
    assert head.get_all(b"x-two") == [b"a, b ,", b"c"]
    assert head.get_list(b"x-two") == [b"a", b"b", b"c"]
    assert head.get(b"x-empty") == b""
    assert head.get(b"x-none") is None
    assert head.get_list(b"x-none") == []


def test_a_head_as_browsers_send_it_is_plain() -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
    head = read_plain(head_bytes(User_Agent=agent, Origin="https://chat.example"))
    assert head is not None
    assert head.get(b"user-agent") == agent.encode()


LINES = st.sampled_from(
    [
        *("Host: chat.example", "host: b", "Upgrade: websocket", "X-A: a  b", "X_B: c", "X-C:c"),
        *("X-D: \t d", "X-E: e ", "X-F:", "X-G: ", "X-H : h", " folded", "X-\xe9: i", "X-J: \xe9"),
        *("Content-Length: 2", "Content-Length: x", "Transfer-Encoding: chunked", "Expect: j"),
        *("Transfer-Encoding: gzip", "X-K: a\nb", "X-L: a\rb", "X-M: \0", ": n", "", "GET / x"),
    ]
)


@given(
    first=st.sampled_from(
        [
            *("GET /ws HTTP/1.1", "GET /ws HTTP/1.0", "POST /ws HTTP/1.1", "GET ws HTTP/1.1"),
            *("GET  /ws HTTP/1.1", "GET /w s HTTP/1.1", "get /ws HTTP/1.1", "GET /\xe9 HTTP/1.1"),
            *("GET /ws?a=b#c HTTP/1.1", "GET /ws HTTP/1.1 ", "GET /ws HTTP/2.0", "GET /ws HTTP/1"),
        ]
    ),
    lines=st.lists(LINES, max_size=5),
    end=st.sampled_from(["\r\n", "\n"]),
    data=st.data(),
)
def test_a_plain_head_is_what_the_library_reads_too(
    first: str, lines: list[str], end: str, data: st.DataObject
) -> None:
    raw = end.join([first, *lines, "", ""]).encode("latin-1")
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + data.draw(st.binary(min_size=1, max_size=1)) + raw[at + 1 :]
    plain = read_plain(raw)
    if plain is not None:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(raw)
        request = connection.next_event()
        assert isinstance(request, h11.Request)
        assert plain == head_of(request)
        assert connection.trailing_data[0] == b""


@pytest.mark.parametrize("size", [1, 2, 3, 50, 10_000])
@pytest.mark.parametrize("trailing", [b"", b"{}", b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"])
def test_the_bytes_of_the_head_and_behind_it_are_kept(trailing: bytes, size: int) -> None:
    raw = head_bytes(method="POST", Content_Length="2")
    reader = HeadReader()
    stream = raw + trailing
    head = None
    taken = 0
    while head is None:
        head = reader.receive_data(stream[taken : taken + size])
        taken += size
    assert head.method == "POST"
    assert reader.raw == raw
    assert reader.raw + reader.trailing == stream[:taken]


def test_a_head_may_come_from_a_reused_buffer() -> None:
    raw = head_bytes()
    buffer = bytearray(raw + b"rest")
    reader = HeadReader()
    assert reader.receive_data(memoryview(buffer)[:20]) is None
    assert (reader.raw, reader.trailing) == (b"", b"")
    assert reader.receive_data(memoryview(buffer)[20:]) == parse(raw)
    buffer[:] = bytes(len(buffer))
    assert (reader.raw, reader.trailing) == (raw, b"rest")


def test_an_http_1_0_head_without_host_is_read() -> None:
    assert parse(b"GET / HTTP/1.0\r\n\r\n").http_version == "1.0"


def read_in_pieces(reader: HeadReader, data: bytes, size: int) -> RequestHead | None:
    for start in range(0, len(data), size):
        head = reader.receive_data(data[start : start + size])
        if head is not None:
            return head
    return None


def bad(data: bytes, **limits: int) -> tuple[int, str]:
    """Return what is answered to `data`, which must be the same however it is cut."""
    statuses = set()
    for size in (1, 7, len(data)):
        with pytest.raises(BadRequest) as caught:
            read_in_pieces(HeadReader(**limits), data, size)
        status, _, body = answer(caught.value.response())
        assert body["error"]["message"] == caught.value.message
        assert (status, body["error"]["code"]) == (caught.value.status, caught.value.code)
        statuses.add((status, body["error"]["code"]))
    (result,) = statuses
    return result


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / http/1.1\r\nHost: x\r\n\r\n",
        b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nName : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nN: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nN: a\rb\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n",
    ],
)
def test_what_is_no_head_is_answered_400(data: bytes) -> None:
    assert bad(data) == (400, "INVALID_PAYLOAD")


@pytest.mark.parametrize("codings", ["gzip", "chunked, chunked", "identity", "xchunked"])
def test_an_unknown_transfer_coding_is_answered_501(codings: str) -> None:
    assert bad(head_bytes(Transfer_Encoding=codings)) == (501, "NOT_IMPLEMENTED")


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "3.0"])
def test_another_http_version_is_answered_505(version: str) -> None:
    assert bad(head_bytes(version=version)) == (505, "HTTP_VERSION_NOT_SUPPORTED")


@pytest.mark.parametrize("first", [b"\x16", b"\r", b" "])
def test_what_cannot_be_http_is_refused_at_its_first_byte(first: bytes) -> None:
    with pytest.raises(BadRequest):
        HeadReader().receive_data(first)


def test_a_head_may_have_16_kib() -> None:
    padding = "x" * (16 * 1024 - len(head_bytes(X_Pad="")))
    assert parse(head_bytes(X_Pad=padding)).get(b"x-pad") == padding.encode()
    assert bad(head_bytes(X_Pad=padding + "x")) == (431, "TOO_LARGE")


def test_a_head_of_exactly_the_limit_is_read_and_one_byte_more_is_answered_431() -> None:
    raw = head_bytes()
    for size in (1, len(raw)):
        assert read_in_pieces(HeadReader(max_bytes=len(raw)), raw, size) == parse(raw)
    assert bad(raw, max_bytes=len(raw) - 1) == (431, "TOO_LARGE")


def test_a_head_without_end_is_answered_431_when_it_reaches_the_limit() -> None:
    reader = HeadReader(max_bytes=100)
    assert reader.receive_data(b"G" * 99) is None
    with pytest.raises(BadRequest) as caught:
        reader.receive_data(b"G")
    assert caught.value.status == 431


def test_the_answer_to_a_bad_head_does_not_repeat_it() -> None:
    with pytest.raises(BadRequest) as caught:
        parse(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer sesame\r\n\r\n")
    assert caught.value.message == "illegal header line"
    assert b"sesame" not in caught.value.response()


@given(
    st.one_of(st.binary(max_size=80), st.binary(max_size=20).map(lambda b: head_bytes()[:-2] + b)),
    st.integers(1, 30),
)
def test_arbitrary_bytes_are_a_head_or_a_bad_request_however_they_are_cut(
    data: bytes, size: int
) -> None:
    def read(step: int) -> object:
        reader = HeadReader(max_bytes=200)
        try:
            return read_in_pieces(reader, data, step), reader.raw
        except BadRequest as refusal:
            return refusal.status, refusal.message

    assert read(size) == read(len(data) + 1)


# The upgrade


def test_the_handshake_of_the_rfc_is_accepted() -> None:
    decision = decide()
    assert isinstance(decision, Accept)
    assert decision.response == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + RFC_ACCEPT + b"\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [([], None), (["chat4all.v1"], "chat4all.v1"), (["mqtt", "chat4all.v1"], "chat4all.v1")],
)
def test_a_wsproto_client_accepts_our_answer_without_any_extension(
    offered: list[str], chosen: str | None
) -> None:
    client = WSConnection(ConnectionType.CLIENT)
    request = Request(
        host="chat.example",
        target="/ws",
        subprotocols=offered,
        extensions=[PerMessageDeflate()],
    )
    decision = decide_upgrade(parse(client.send(request)), origins=Origins(()))
    assert isinstance(decision, Accept)
    client.receive_data(decision.response)
    (event,) = client.events()
    assert isinstance(event, AcceptConnection)
    assert (event.subprotocol, event.extensions) == (chosen, [])


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "CONNECT", "get"])
def test_a_method_other_than_get_is_refused(method: str) -> None:
    decision = decide(method=method)
    assert isinstance(decision, Refuse)
    if method == "HEAD":
        status, headers, body = answer(decision.response, "HEAD")
        assert (status, headers["allow"], body) == (405, "GET", {})
    else:
        status, code, headers = refused(decision)
        assert (status, code, headers["allow"]) == (405, "METHOD_NOT_ALLOWED", "GET")


@pytest.mark.parametrize(
    "changes",
    [
        {"Upgrade": "WebSocket", "Connection": "upgrade"},
        {"Upgrade": "h2c, websocket", "Connection": "keep-alive, Upgrade"},
        {"Upgrade": "WEBSOCKET ,", "Connection": "UPGRADE ,close"},
    ],
)
def test_upgrade_tokens_are_found_in_lists_of_any_case(changes: dict[str, str]) -> None:
    assert isinstance(decide(**changes), Accept)


def test_upgrade_tokens_are_found_on_repeated_lines() -> None:
    lines = ("Connection: keep-alive", "Connection: Upgrade")
    assert isinstance(decide(*lines, Connection=None), Accept)


@pytest.mark.parametrize(
    "changes",
    [
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Upgrade": "websockets"},
        {"Upgrade": "web socket"},
        {"Connection": None},
        {"Connection": "keep-alive"},
        {"Connection": "upgraded"},
        {"version": "1.0"},
    ],
)
def test_a_request_that_asks_for_no_upgrade_is_told_to(changes: dict[str, Any]) -> None:
    status, code, headers = refused(decide(**changes))
    assert (status, code) == (426, "UPGRADE_REQUIRED")
    assert headers["upgrade"] == "websocket"
    assert headers["connection"] == "Upgrade, close"


@pytest.mark.parametrize("version", [None, "8", "14", "13, 8", "013", ""])
def test_another_websocket_version_is_told_the_right_one(version: str | None) -> None:
    status, code, headers = refused(decide(Sec_WebSocket_Version=version))
    assert (status, code) == (426, "UPGRADE_REQUIRED")
    assert headers["sec-websocket-version"] == "13"


def test_two_version_fields_are_refused() -> None:
    assert refused(decide("Sec-WebSocket-Version: 13"))[0] == 426


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "c2hvcnQ=",
        "AAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAA!AAAAAAAAAA==",
        "AAAAAAAAAAA AAAAAAAAAA==",
        "-_AAAAAAAAAAAAAAAAAAAA==",
        "AAAAAAAAAAAAAAAAAAAA====",
        "\xff" * 24,
    ],
)
def test_a_key_that_is_not_16_bytes_in_base64_is_refused(key: str | None) -> None:
    assert refused(decide(Sec_WebSocket_Key=key))[:2] == (400, "INVALID_PAYLOAD")


def test_two_keys_are_refused() -> None:
    assert refused(decide(f"Sec-WebSocket-Key: {RFC_KEY}"))[:2] == (400, "INVALID_PAYLOAD")


@pytest.mark.parametrize("field", ["Content-Length: 1", "Transfer-Encoding: chunked"])
def test_a_request_with_a_body_is_refused(field: str) -> None:
    assert refused(decide(field))[:2] == (400, "INVALID_PAYLOAD")


def test_a_content_length_of_zero_is_no_body() -> None:
    assert isinstance(decide("Content-Length: 0"), Accept)


@pytest.mark.parametrize(
    "query", ["token=sesame", "a=1&access_token=sesame", "Token=sesame", "to%6ben=sesame", "token"]
)
def test_a_token_in_the_url_is_refused_with_its_right_place(query: str) -> None:
    decision = decide(target=f"/ws?{query}")
    assert refused(decision)[:2] == (400, "INVALID_PAYLOAD")
    assert b"connect frame" in decision.response
    assert b"sesame" not in decision.response


def test_other_query_parameters_are_allowed() -> None:
    assert isinstance(decide(target="/ws?v=1&mytoken=2#token=3"), Accept)


# Subprotocols


@pytest.mark.parametrize(
    "offered", [["chat4all.v1"], ["mqtt, chat4all.v1,soap"], ["mqtt", "chat4all.v1"]]
)
def test_our_subprotocol_is_chosen_when_offered(offered: list[str]) -> None:
    decision = decide(*(f"Sec-WebSocket-Protocol: {value}" for value in offered))
    assert isinstance(decision, Accept)
    assert decision.response.endswith(b"\r\nSec-WebSocket-Protocol: chat4all.v1\r\n\r\n")


@pytest.mark.parametrize("offered", ["mqtt", "chat4all.v2, chat4all", "CHAT4ALL.V1"])
def test_a_client_that_offers_only_other_subprotocols_is_refused(offered: str) -> None:
    assert refused(decide(Sec_WebSocket_Protocol=offered))[:2] == (400, "INVALID_PAYLOAD")


# Origin


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("chat.example", "https://chat.example"),
        ("chat.example", "http://chat.example"),
        ("Chat.Example", "https://chat.EXAMPLE"),
        ("chat.example:443", "https://chat.example"),
        ("chat.example", "http://chat.example:80"),
        ("localhost:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_own_origin_is_always_allowed(host: str, origin: str) -> None:
    assert isinstance(decide(Host=host, Origin=origin), Accept)


ALLOWED = ("https://App.example", "http://localhost:3000", "capacitor://localhost")


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example",
        "HTTPS://APP.EXAMPLE",
        "https://app.example:443",
        "http://localhost:3000",
        "capacitor://localhost",
    ],
)
def test_a_listed_origin_is_allowed(origin: str) -> None:
    assert isinstance(decide(Origin=origin, allowed=ALLOWED), Accept)


@pytest.mark.parametrize(
    "origin",
    [
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evil-app.example",
        "https://x.app.example",
        "https://app.example/",
        "https://app.example#",
        "https://app.example@evil.example",
        "https://app.example:443:443",
        "https://app.example:",
        "https://app.example.",
        "https://app.example, https://evil.example",
        "https://app.example https://evil.example",
        "https://\xe1pp.example",
        "//app.example",
        "app.example",
        "capacitor://chat.example",
        "https://chat.example:80",
        "*",
        "null",
        "",
    ],
)
def test_any_other_origin_is_refused(origin: str) -> None:
    decision = decide(Origin=origin, allowed=ALLOWED)
    assert refused(decision)[:2] == (403, "FORBIDDEN")


def test_the_opaque_origin_is_allowed_only_when_listed() -> None:
    assert refused(decide(Origin="null"))[0] == 403
    assert isinstance(decide(Origin="null", allowed=["null"]), Accept)


def test_a_wildcard_allows_nothing() -> None:
    allowed = ["*", "https://*", "https://*.example", ""]
    assert refused(decide(Origin="https://evil.example", allowed=allowed))[0] == 403


def test_several_origins_are_refused_even_when_each_is_allowed() -> None:
    decision = decide("Origin: https://app.example", Origin="https://app.example", allowed=ALLOWED)
    assert refused(decision)[:2] == (403, "FORBIDDEN")


def test_a_client_without_an_origin_is_served() -> None:
    assert isinstance(decide(Origin=None, allowed=ALLOWED), Accept)


def test_a_normal_origin_is_its_own_normal_form() -> None:
    assert normalize_origin("HTTPS://A.example:443") == "https://a.example"
    assert normalize_origin("https://a.example") == "https://a.example"
    assert normalize_origin("http://a.example:443") == "http://a.example:443"
    assert normalize_origin("https://a.example\n") is None
    assert normalize_origin("https://\u212a.example") is None


# Responses


def test_a_response_is_complete_http() -> None:
    status, headers, body = answer(http_response(200, {"ok": "\u00e9"}, [("X-A", "b")]))
    assert (status, body, headers["x-a"]) == (200, {"ok": "\u00e9"}, "b")
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert parsedate_to_datetime(headers["date"]).tzinfo is not None


def test_a_response_may_be_empty_and_keep_the_connection() -> None:
    response = http_response(400, None, close=False)
    assert response.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert response.endswith(b"\r\nContent-Length: 0\r\n\r\n")
    assert b"Connection" not in response
    assert b"\r\nContent-Type" not in response


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\x00", "\u00e9"])
def test_a_response_header_that_is_not_printable_ascii_is_an_error(value: str) -> None:
    with pytest.raises(ValueError, match="not a header line"):
        http_response(200, {}, [("X-A", value)])


def test_an_error_has_the_rest_format_and_a_trace_id_of_its_own() -> None:
    responses = [
        error_response(429, "RATE_LIMITED", "slow down", {"field": "x"}, 7, headers=[("X-A", "b")])
        for _ in range(2)
    ]
    status, headers, body = answer(responses[0])
    trace_id = body["error"].pop("trace_id")
    assert body == {
        "error": {"code": "RATE_LIMITED", "message": "slow down", "details": {"field": "x"}}
    }
    assert (status, headers["retry-after"], headers["x-a"]) == (429, "7", "b")
    assert len(trace_id) == 32
    assert int(trace_id, 16)
    assert answer(responses[1])[2]["error"]["trace_id"] != trace_id


def test_an_error_without_details_leaves_them_out() -> None:
    status, headers, body = answer(error_response(503, "UNAVAILABLE", "draining"))
    assert status == 503
    assert set(body["error"]) == {"code", "message", "trace_id"}
    assert "retry-after" not in headers
