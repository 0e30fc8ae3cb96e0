"""What every request must keep to, whatever it asks for, judged from its head alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from .errors import Refused
from .hosts import Hosts, parse_host

if TYPE_CHECKING:
    from ...config import Settings
    from .head import RequestHead

_ONCE: Final = frozenset({b"authorization", b"content-type", b"idempotency-key", b"x-on-behalf-of"})
"""Fields of which a proxy might heed one, and the application another."""
_PLAIN: Final = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9_.~!$&'()*+,;=:@-]*)+/?|/")
"""Most paths: nothing is encoded, and no segment begins with a dot."""
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROLS: Final = frozenset(range(0x20)) | {0x7F}
HEALTH: Final = "/health/"
CHANNELS: Final = "/v1/channels/"
CALLED: Final = "/webhook"
"""Between and behind these are the accounts that providers call back."""


class RequestRules:
    """The limits and allow-lists for heads."""

    def __init__(self, settings: Settings) -> None:
        self._max_head = settings.max_head
        self._max_fields = settings.max_fields
        self._max_body = settings.max_body
        self._max_callback = max(settings.max_body, settings.channel_callback_max_body)
        self._hosts = Hosts(settings.allowed_hosts)

    def check(self, head: RequestHead, *, sized: bool = True) -> None:
        """Judge a head; not `sized`: how large a body may be is for others to judge.

        Raises:
            Refused: 400, 413, 415, 417 or 431.
        """
        self._check_size(head)
        # Others are the router's, which knows what a resource allows. This one would make a tunnel
        # of the connection, and no application is to guess what `get` means.
        if head.method == "CONNECT" or head.method != head.method.upper():
            raise Refused(400, "there is no such method", field="method")
        check_target(head)
        _check_repeated(head)
        self._check_host(head)
        length = self._check_body(head)
        if sized and length > (most := self.max_body(head)):
            raise body_too_large(most)

    def max_body(self, head: RequestHead) -> int:
        """Bytes that the body of a request may have; the application may allow less."""
        path = head.path
        called = path.startswith(CHANNELS) and path.endswith(CALLED)
        return self._max_callback if called else self._max_body

    def _check_size(self, head: RequestHead) -> None:
        if len(head.headers) > self._max_fields:
            raise Refused(431, f"the request has more than {self._max_fields} header fields")
        size = len(head.method) + len(head.target) + len(b"  HTTP/1.1\r\n\r\n")
        size += sum(len(name) + len(value) + len(b": \r\n") for name, value in head.headers)
        if size > self._max_head:
            raise Refused(431, f"the request head is over {self._max_head} bytes")

    def _check_host(self, head: RequestHead) -> None:
        # h11 has seen to it that there is one, if not in HTTP/1.0.
        sent = head.get(b"host")
        if sent is None:
            return
        host = parse_host(sent.decode("latin-1"))
        if host is None:
            raise Refused(400, "Host is no name or address with a port", field="host")
        # Whoever looks after this node asks for its health by whatever address it has.
        if not self._hosts.allowed(host) and not head.path.startswith(HEALTH):
            message = "this server does not answer by that Host; see its setting allowed_hosts"
            raise Refused(400, message, field="host")

    def _check_body(self, head: RequestHead) -> int:
        """How long the body is, as far as the head tells."""
        length = head.get(b"content-length")
        if head.get(b"transfer-encoding") is not None:
            # Two readers of such a request may find different ends of it (RFC 9112 section 6.1).
            if length is not None:
                message = "Content-Length and Transfer-Encoding exclude each other"
                raise Refused(400, message, field="transfer-encoding")
            if head.http_version == "1.0":
                message = "HTTP/1.0 has no Transfer-Encoding"
                raise Refused(400, message, field="transfer-encoding")
        for coding in head.get_list(b"content-encoding"):
            if coding.lower() != b"identity":
                message = "the body must not be encoded: leave out Content-Encoding"
                raise Refused(415, message, field="content-encoding")
        for expectation in head.get_list(b"expect"):
            if expectation.lower() != b"100-continue":
                message = "only 100-continue can be expected"
                raise Refused(417, message, field="expect")
        return 0 if length is None else int(length)


def _check_repeated(head: RequestHead) -> None:
    names = [name for name, _ in head.headers if name in _ONCE]
    if len(names) > 1 and len(names) != len(set(names)):
        field = next(name for name in names if names.count(name) > 1).decode()
        raise Refused(400, f"the field {field} is given more than once", field=field)


def body_too_large(limit: int) -> Refused:
    """What to answer when a body is over `limit` bytes."""
    return Refused(413, f"the body is over {limit} bytes", details={"max_bytes": limit})


def check_target(head: RequestHead) -> None:
    """Judge the request target: what is decoded from it must be what was meant.

    Raises:
        Refused: 400.
    """
    if not head.target.startswith("/"):
        raise Refused(400, "the request target must be a path", field="path")
    path, query = head.path, head.query
    if _PLAIN.fullmatch(path) is None:
        decoded = _decode(path, "path")
        if any(segment in (".", "..") for segment in re.split(r"[/\\]", decoded)):
            raise Refused(400, "the path has a segment of dots", field="path")
        if path.startswith("//"):  # some take it for a host, and the router for one slash
            raise Refused(400, "the path begins with two slashes", field="path")
    if query:
        _decode(query, "query")


def _decode(text: str, field: str) -> str:
    if "#" in text:
        raise Refused(400, f"the {field} has a fragment", field=field)
    if _BROKEN_ESCAPE.search(text):
        raise Refused(400, f"the {field} has a broken percent-encoding", field=field)
    decoded = unquote_to_bytes(text)
    if field == "path" and not _CONTROLS.isdisjoint(decoded):
        raise Refused(400, "the path has control characters", field=field)
    if b"\0" in decoded:
        raise Refused(400, f"the {field} has a NUL character", field=field)
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        raise Refused(400, f"the {field} is not UTF-8", field=field) from None
