"""HTTP to a provider: whether a call went out is always known, and nothing grows without bound.

A call that fails is one of two things, by how far its request came: before its last byte was
written the provider can't have acted on it (`Transient`), after that it may have (`UnknownOutcome`,
or `Transient` for calls that change nothing). Answers of every status are handed back; redirects
are not followed. What fails is told without addresses, as some have a token in them.
"""

from __future__ import annotations

import logging
from contextlib import aclosing, asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Annotated, Final, Protocol, TypeAlias

import httpx2
import trio
from msgspec import Meta, Struct

from .errors import Misconfigured, Refused, Transient, UnknownOutcome
from .streams import Outgoing, raw

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

# Both write addresses to their logs.
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_UNUSABLE: Final = "no call can be made with the address and token in the settings"


Seconds: TypeAlias = Annotated[float, Meta(gt=0)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]


class HttpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How patient an account is with its provider, and how much it takes from it."""

    connect_seconds: Seconds = 10.0
    """For a connection, with TLS."""
    write_seconds: Seconds = 20.0
    """For a piece of a request to be taken."""
    read_seconds: Seconds = 30.0
    """For an answer once the request is out, and for each piece of a download."""
    pool_seconds: Seconds = 30.0
    """For a connection to be free, if all are in use."""
    keep_alive_seconds: Seconds = 15.0
    """For which a connection waits for its next call: less than servers wait, so that no call
    goes into one that was just closed, whose outcome would be unknown."""
    max_connections: Count = 64
    answer_max_bytes: Count = 1024 * 1024
    """Of an answer, other than downloads."""
    proxy: Annotated[str, Meta(pattern=r"^(https?|socks5h?)://[^/]+")] | None = None
    """An address, if calls go through one. The environment's are not used."""


class Body(Protocol):
    """What a request holds."""

    content_type: str
    size: int
    """Bytes that `pieces` gives."""

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """All of it, from the beginning."""
        ...


class Bytes:
    """A body that is there already."""

    def __init__(self, content: bytes, content_type: str = "application/json") -> None:
        self.content_type = content_type
        self.size = len(content)
        self._content = content

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The one piece."""
        yield self._content


class Answer(Struct, frozen=True):
    """What the provider answered."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes

    @property
    def good(self) -> bool:
        """Whether its status says so."""
        return 200 <= self.status < 300


class Http:
    """The connections of one account. To be closed."""

    def __init__(
        self, settings: HttpSettings, *, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        """`transport` stands in for the network: it has a request's body in `request.stream`."""
        self._settings = settings
        self._client = httpx2.AsyncClient(
            transport=transport,
            timeout=httpx2.Timeout(
                connect=settings.connect_seconds,
                write=settings.write_seconds,
                read=settings.read_seconds,
                pool=settings.pool_seconds,
            ),
            limits=httpx2.Limits(
                max_connections=settings.max_connections,
                max_keepalive_connections=settings.max_connections,
                keepalive_expiry=settings.keep_alive_seconds,
            ),
            # Sizes are bounded as they come over the wire.
            headers={"Accept-Encoding": "identity", "User-Agent": "chat4all"},
            proxy=settings.proxy,
            verify=_authorities(),
            trust_env=False,
            follow_redirects=False,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def call(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        sends: bool,
        read_seconds: float | None = None,
    ) -> Answer:
        """Make a call, and wait for the whole answer.

        Args:
            sends: Whether people may see what it does, so that it must not be done twice.
            read_seconds: For the answer, in place of the settings'.

        Raises:
            Transient: it did not reach the provider, or it may be repeated.
            UnknownOutcome: it was made, and there is no answer that could be read.
            Refused: the body does not have its size.
            Misconfigured: no request can be made to this address.
        """
        patience = self._settings.read_seconds if read_seconds is None else read_seconds
        with trio.CancelScope() as scope:
            outgoing = Outgoing(body, scope, patience)
            try:
                request = self._request(method, url, params, headers, outgoing, patience)
                response = await self._client.send(request, stream=True)
                try:
                    return Answer(
                        response.status_code,
                        _headers(response),
                        await self._whole(response),
                    )
                finally:
                    await response.aclose()
            except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
                raise Misconfigured(_UNUSABLE) from error
            except _TooLong as error:
                raise _lost(outgoing, sends, "answered with too much") from error
            except httpx2.TransportError as error:
                raise _lost(outgoing, sends, _what(error)) from error
        # Only the time for the answer ends the scope.
        raise _lost(outgoing, sends, "did not answer in time")

    @asynccontextmanager
    async def download(
        self, url: str, *, headers: Mapping[str, str] | None = None, max_bytes: int
    ) -> AsyncIterator[Download]:
        """Fetch what may be large; to be asked for its status first.

        Raises:
            Transient: it did not come, or not whole.
            Refused: it is larger than `max_bytes`.
            Misconfigured: no request can be made to this address.
        """
        try:
            patience = self._settings.read_seconds
            request = self._request("GET", url, None, headers, None, patience)
            response = await self._client.send(request, stream=True)
        except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
            raise Misconfigured(_UNUSABLE) from error
        except httpx2.TransportError as error:
            raise Transient(f"the provider {_what(error)}") from error
        try:
            yield Download(response, max_bytes, self._settings.answer_max_bytes)
        finally:
            await response.aclose()

    def _request(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        outgoing: Outgoing | None,
        patience: float,
    ) -> httpx2.Request:
        try:
            request = self._client.build_request(
                method,
                url,
                params=None if params is None else dict(params),
                headers={**(headers or {}), **({} if outgoing is None else outgoing.headers())},
            )
        except (httpx2.InvalidURL, UnicodeEncodeError) as error:
            raise Misconfigured(_UNUSABLE) from error
        request.extensions["timeout"]["read"] = patience
        if outgoing is not None:
            request.stream = outgoing
        return request

    async def _whole(self, response: httpx2.Response) -> bytes:
        content = bytearray()
        async with aclosing(raw(response)) as pieces:
            async for piece in pieces:
                content += piece
                if len(content) > self._settings.answer_max_bytes:
                    raise _TooLong
        return bytes(content)


class Download:
    """An answer that is read piece by piece, once."""

    def __init__(self, response: httpx2.Response, max_bytes: int, answer_max_bytes: int) -> None:
        self.status = response.status_code
        self.headers = _headers(response)
        self._response = response
        self._max_bytes = max_bytes
        self._answer_max_bytes = answer_max_bytes

    @property
    def good(self) -> bool:
        """Whether its status says so."""
        return 200 <= self.status < 300

    async def answer(self) -> Answer:
        """All of it, if it is no file but says why there is none; what is too long is cut."""
        content = bytearray()
        try:
            async with aclosing(raw(self._response)) as pieces:
                async for piece in pieces:
                    content += piece
                    if len(content) >= self._answer_max_bytes:
                        break
        except httpx2.TransportError as error:
            raise Transient(f"the provider {_what(error)}") from error
        return Answer(self.status, self.headers, bytes(content[: self._answer_max_bytes]))

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Its bytes; what it raises is told at `Http.download`."""
        announced = self.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            raise Refused(f"the file is larger than {self._max_bytes} bytes")
        size = 0
        try:
            async with aclosing(raw(self._response)) as pieces:
                async for piece in pieces:
                    size += len(piece)
                    if size > self._max_bytes:
                        raise Refused(f"the file is larger than {self._max_bytes} bytes")
                    yield piece
        except httpx2.TransportError as error:
            raise Transient(f"the provider {_what(error)}") from error


class _TooLong(Exception):
    """An answer is longer than any that is expected."""


@cache
def _authorities() -> ssl.SSLContext:
    """Whom the system trusts: the same for all accounts, as reading it takes 40 ms."""
    return httpx2.create_ssl_context(trust_env=False)


def _lost(outgoing: Outgoing, sends: bool, what: str) -> Transient | UnknownOutcome:
    if outgoing.went and sends:
        return UnknownOutcome(f"the provider took a call whole and {what}")
    return Transient(f"the provider {what}")


def _what(error: httpx2.TransportError) -> str:
    if isinstance(error, httpx2.PoolTimeout):
        return "has all our connections busy"
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)):
        return "can't be reached"
    if isinstance(error, httpx2.ReadTimeout):
        return "did not answer in time"
    if isinstance(error, (httpx2.WriteError, httpx2.WriteTimeout)):
        return "did not take a request"
    return "broke off the connection"


def _headers(response: httpx2.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
