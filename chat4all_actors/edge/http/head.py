"""The head of an HTTP/1.1 request, without I/O.

`HeadReader` collects one from a stream, and keeps what it took from the socket as `raw` and
`trailing`, for whoever serves the request. `path_of` tells who that is; `read_head` reads it all:
plain heads here, all others by h11.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import h11

from .errors import CODES, Refused


def unreadable(error: h11.RemoteProtocolError) -> Refused:
    """What to answer to bytes that h11 can't read."""
    status = error.error_status_hint if error.error_status_hint in CODES else 400
    # h11 quotes the offending bytes behind its words; they may hold a credential.
    return Refused(status, str(error).partition(": b")[0])


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A parsed request line and its header fields.

    Attributes:
        method: The method, case-sensitive as HTTP has it.
        target: The request target as sent: path and query.
        headers: Lower-case names and stripped values, in the order received.
        http_version: "1.0" or "1.1".
    """

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    http_version: str

    @property
    def path(self) -> str:
        """The target before its query, still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The target behind its first question mark, still percent-encoded."""
        return self.target.partition("?")[2]

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of the field `name` (lower case), or None."""
        return next((value for key, value in self.headers if key == name), None)

    def get_all(self, name: bytes) -> list[bytes]:
        """Return every value of the field `name` (lower case)."""
        return [value for key, value in self.headers if key == name]

    def get_list(self, name: bytes) -> list[bytes]:
        """Return the members of a comma-separated field, over all its lines, as sent."""
        members = b",".join(self.get_all(name)).split(b",")
        return [stripped for member in members if (stripped := member.strip(b" \t"))]


# h11 ends a head at the same pattern, so both agree on where the head stops.
_HEAD_END = re.compile(rb"\n\r?\n")


# A GET whose fields have a name of letters, one space, and a value of visible ASCII, perhaps with
# spaces in it. What says how long a body is has rules of its own. Nothing is ever tried twice.
_PLAIN_HEAD: Final = re.compile(
    rb"GET (/[!-~]*+) HTTP/1\.1\r\n((?:[A-Za-z0-9-]++: [!-~]++(?: ++[!-~]++)*+\r\n)++)\r\n"
)
_PLAIN_LINE: Final = re.compile(rb"[A-Z]+ (/[!->@-~]*)(?:\?[!-~]*)? HTTP/1\.1\r\n")
_PLAIN_FIELD: Final = re.compile(rb"([^:]+): ([^\r]+)\r\n")
_NOT_PLAIN: Final = frozenset({b"content-length", b"transfer-encoding"})


class HeadReader:
    """Takes one request head from a stream; of no use after it has raised or has it whole.

    Attributes:
        raw: The bytes of the head as received, once it is complete.
        trailing: The bytes received behind the head, once it is complete.

    Args:
        max_bytes: Largest head accepted, including its closing blank line.
    """

    __slots__ = ("_buffer", "_max_bytes", "raw", "trailing")

    def __init__(self, max_bytes: int = 16 * 1024) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self.raw = b""
        self.trailing = b""

    def receive_data(self, data: bytes | bytearray | memoryview) -> bool:
        """Return whether `data` completes the head.

        Raises:
            Refused: If the head is too large, or can't be one. At most `max_bytes` are kept while
                waiting, and what cannot be HTTP (a TLS hello, say) is refused at its first byte.
        """
        buffer = self._buffer
        search_from = max(0, len(buffer) - 2)
        buffer += data
        if buffer and buffer[0] <= 0x20:
            raise Refused(400, "the request does not start with a method")
        match = _HEAD_END.search(buffer, search_from)
        size = len(buffer) if match is None else match.end()
        if size > self._max_bytes or (match is None and size == self._max_bytes):
            message = f"the request head is over {self._max_bytes} bytes"
            raise Refused(431, message)
        if match is None:
            return False
        self.raw = bytes(buffer[:size])
        self.trailing = bytes(buffer[size:])
        return True


def path_of(raw: bytes) -> str | None:
    """The path that a head asks for, by its first line alone; None if that is not plain."""
    match = _PLAIN_LINE.match(raw)
    return None if match is None else match[1].decode("ascii")


def read_head(raw: bytes) -> RequestHead:
    """The whole head.

    Raises:
        Refused: It is no acceptable one.
    """
    return read_plain(raw) or _read_any(raw)


def read_plain(raw: bytes) -> RequestHead | None:
    """The head, if it is a plain one, as nearly all that open a WebSocket are; else None.

    A third of the time that h11 takes, which reads all the others, and says what is wrong.
    """
    match = _PLAIN_HEAD.fullmatch(raw)
    if match is None:
        return None
    target, lines = match.groups()
    headers = tuple([(name.lower(), value) for name, value in _PLAIN_FIELD.findall(lines)])
    names = [name for name, _ in headers]
    if names.count(b"host") != 1 or not _NOT_PLAIN.isdisjoint(names):
        return None
    return RequestHead("GET", target.decode("ascii"), headers, "1.1")


def _read_any(raw: bytes) -> RequestHead:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    try:
        request = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise unreadable(error) from error
    # h11 wants no more data: it finds the end of the head where _HEAD_END did.
    assert isinstance(request, h11.Request)
    return head_of(request)


def head_of(request: h11.Request) -> RequestHead:
    """The head that h11 has read.

    Raises:
        Refused: If it is of another version of HTTP.
    """
    version = request.http_version.decode()
    if version not in ("1.0", "1.1"):
        raise Refused(505, f"HTTP/{version} is not spoken here, HTTP/1.1 is")
    return RequestHead(
        method=request.method.decode("ascii"),
        target=request.target.decode("ascii"),
        headers=tuple(request.headers),
        http_version=version,
    )
