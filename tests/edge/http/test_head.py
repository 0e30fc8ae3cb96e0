from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.edge.http.answers import refusal
from chat4all_actors.edge.http.errors import Refused
from chat4all_actors.edge.http.head import (
    HeadReader,
    RequestHead,
    head_of,
    path_of,
    read_head,
    read_plain,
)
from tests.edge.heads import answer, head_bytes, parse


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


@pytest.mark.parametrize(
    ("first", "path"),
    [
        (b"GET /ws HTTP/1.1\r\n", "/ws"),
        (b"POST /v1/messages?a=b?c HTTP/1.1\r\n", "/v1/messages"),
        (b"GET /%77s HTTP/1.1\r\n", "/%77s"),
        (b"GET /? HTTP/1.1\r\n", "/"),
        (b"GET /ws HTTP/1.0\r\n", None),
        (b"GET /ws HTTP/1.1\n", None),
        (b"GET  /ws HTTP/1.1\r\n", None),
        (b"GET /w s HTTP/1.1\r\n", None),
        (b"get /ws HTTP/1.1\r\n", None),
        (b"GET http://x/ws HTTP/1.1\r\n", None),
        (b"GET /\xe9 HTTP/1.1\r\n", None),
        (b"\nGET /ws HTTP/1.1\r\n", None),
        (b"GET /ws", None),
    ],
)
def test_the_first_line_tells_the_path_if_it_is_plain(first: bytes, path: str | None) -> None:
    assert path_of(first + b"what follows is not looked at") == path


@pytest.mark.parametrize("size", [1, 2, 3, 50, 10_000])
@pytest.mark.parametrize("trailing", [b"", b"{}", b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"])
def test_the_bytes_of_the_head_and_behind_it_are_kept(trailing: bytes, size: int) -> None:
    raw = head_bytes(method="POST", Content_Length="2")
    reader = HeadReader()
    stream = raw + trailing
    whole = False
    taken = 0
    while not whole:
        whole = reader.receive_data(stream[taken : taken + size])
        taken += size
    assert reader.raw == raw
    assert read_head(raw).method == "POST"
    assert reader.raw + reader.trailing == stream[:taken]


def test_a_head_may_come_from_a_reused_buffer() -> None:
    raw = head_bytes()
    buffer = bytearray(raw + b"rest")
    reader = HeadReader()
    assert not reader.receive_data(memoryview(buffer)[:20])
    assert (reader.raw, reader.trailing) == (b"", b"")
    assert reader.receive_data(memoryview(buffer)[20:])
    buffer[:] = bytes(len(buffer))
    assert (reader.raw, reader.trailing) == (raw, b"rest")


def test_an_http_1_0_head_without_host_is_read() -> None:
    assert parse(b"GET / HTTP/1.0\r\n\r\n").http_version == "1.0"


def read_in_pieces(reader: HeadReader, data: bytes, size: int) -> RequestHead | None:
    for start in range(0, len(data), size):
        if reader.receive_data(data[start : start + size]):
            return read_head(reader.raw)
    return None


def bad(data: bytes, **limits: int) -> tuple[int, str]:
    """Return what is answered to `data`, which must be the same however it is cut."""
    statuses = set()
    for size in (1, 7, len(data)):
        with pytest.raises(Refused) as caught:
            read_in_pieces(HeadReader(**limits), data, size)
        status, _, body = answer(refusal(caught.value))
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
    with pytest.raises(Refused):
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
    assert not reader.receive_data(b"G" * 99)
    with pytest.raises(Refused) as caught:
        reader.receive_data(b"G")
    assert caught.value.status == 431


def test_the_answer_to_a_bad_head_does_not_repeat_it() -> None:
    with pytest.raises(Refused) as caught:
        parse(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer sesame\r\n\r\n")
    assert caught.value.message == "illegal header line"
    assert b"sesame" not in refusal(caught.value)


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
        except Refused as refusal:
            return refusal.status, refusal.message

    assert read(size) == read(len(data) + 1)
