"""One request to an endpoint, and what became of it.

The name is resolved here, every address it has is looked at, and the connection goes to one of
these very addresses: nothing is resolved a second time. TLS asks for, and checks, the name. No
redirect is followed, no proxy is used, and of the answer only the status and `Retry-After` count.
"""

from __future__ import annotations

import logging
import socket
import ssl
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import httpcore2
import trio
from msgspec import Struct

from .guard import BadAddress, parse, public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..config import Settings

# It writes addresses to its log.
logging.getLogger("httpcore2").setLevel(logging.WARNING)

SECONDS: Final = 1.0
MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read, so that its connection can be used again."""
KEEP_ALIVE: Final = 10 * SECONDS
MAX_RETRY_AFTER: Final = 24 * 3600 * SECONDS
"""Longer than this no endpoint puts us off."""
GONE: Final = 410
RESOLVERS: Final = 16
"""Threads that resolve names at once."""


class Outcome(Struct, frozen=True):
    """What became of an attempt."""

    ok: bool
    reason: str = ""
    """Why not: safe to show to the endpoint's owner."""
    retry_after: float = 0.0
    """Seconds that the endpoint asks for."""
    gone: bool = False
    """It does not want to be told anything any more."""
    unreachable: bool = False
    """There was no answer at all."""


class _NotPublic(Exception):
    """A name stands for an address where no endpoint may be."""


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Resolving(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were looked at."""

    def __init__(
        self,
        *,
        allow_private: bool,
        look_up: Callable[[str, int], list[str]] | None = None,
    ) -> None:
        """`look_up(host, port)` stands in for the system's resolver."""
        self._allow_private = allow_private
        self._look_up = look_up or _look_up
        # Names that are slow to resolve keep each other waiting, and no other work in threads.
        self._threads = trio.CapacityLimiter(RESOLVERS)
        self._inner = httpcore2.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to one of the addresses of `host`, all of which are public."""
        failed: Exception = httpcore2.ConnectError("the name has no address")
        for address in await self.addresses(host, port):
            try:
                stream = await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
                continue
            reached = stream.get_extra_info("server_addr")
            if reached is None or not self._allowed(reached[0]):
                await stream.aclose()
                raise _NotPublic
            return stream
        raise failed

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a name.

        Raises:
            ConnectError: it has none, or that can't be found out.
            _NotPublic: one of them is not public.
        """
        try:
            addresses = await trio.to_thread.run_sync(
                self._look_up, host, port, limiter=self._threads, abandon_on_cancel=True
            )
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError("the name can't be resolved") from error
        if not all(map(self._allowed, addresses)):
            raise _NotPublic
        return addresses

    def _allowed(self, address: str) -> bool:
        return self._allow_private or public(ip_address(address))

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """There are none."""
        raise httpcore2.ConnectError("no endpoint is at a path")

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await trio.sleep(seconds)


@cache
def _trusting(further: str | None) -> ssl.SSLContext:
    """Whom the system trusts, and who is in this file: reading it takes 40 ms."""
    context = ssl.create_default_context()
    if further is not None:
        context.load_verify_locations(further)
    return context


class Sender:
    """The connections of a node to all endpoints. To be closed."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float],
        look_up: Callable[[str, int], list[str]] | None = None,
    ) -> None:
        """`clock` tells the seconds since the epoch; `look_up` resolves names."""
        self._settings = settings
        self._clock = clock
        self._backend = Resolving(allow_private=settings.webhook_allow_private, look_up=look_up)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=_trusting(settings.webhook_ca),
            max_connections=None,  # each endpoint bounds its own
            max_keepalive_connections=settings.max_webhooks_per_node,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=self._backend,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    def check_form(self, url: str) -> None:
        """Whether an endpoint may have this address, as far as it can be seen without a look-up.

        Raises:
            BadAddress: it may not.
        """
        self._parse(url)

    async def check(self, url: str, patience: float) -> None:
        """Whether an endpoint may be here; a name that can't be resolved in time may.

        Raises:
            BadAddress: it may not.
        """
        target = self._parse(url)
        with trio.move_on_after(patience):
            try:
                await self._backend.addresses(target.host, target.port)
            except _NotPublic:
                raise BadAddress("an endpoint is at a public address") from None
            except httpcore2.ConnectError:
                pass  # it may come to be known before there is something to tell

    def _parse(self, url: str) -> Any:
        settings = self._settings
        return parse(
            url, ports=settings.webhook_ports, allow_private=settings.webhook_allow_private
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Make one attempt."""
        seconds = self._settings.webhook_timeout
        try:
            self._parse(url)  # settings may have become narrower
            with trio.fail_after(seconds):
                return await self._post(url, headers, body)
        except trio.TooSlowError:
            return Outcome(False, f"no answer within {seconds:g} s", unreachable=True)
        except BadAddress as error:
            return Outcome(False, str(error))
        except _NotPublic:
            return Outcome(False, "its name stands for an address that is not public")
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
            return Outcome(False, _why(error), unreachable=True)
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.TimeoutException,
            httpcore2.UnsupportedProtocol,
        ):
            return Outcome(False, "the connection broke, or what was answered is no HTTP")

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        fields = {
            "Content-Type": "application/json",
            "User-Agent": "chat4all",
            "Accept-Encoding": "identity",
            "Content-Length": str(len(body)),
            **headers,
        }
        async with self._pool.stream(
            "POST", url, headers=list(fields.items()), content=body
        ) as response:
            size = 0
            async with aclosing(response.aiter_stream()) as pieces:
                async for piece in pieces:
                    size += len(piece)
                    if size > MAX_ANSWER:
                        break
            return self._judge(response.status, dict(response.headers))

    def _judge(self, status: int, headers: Mapping[bytes, bytes]) -> Outcome:
        if 200 <= status < 300:
            return Outcome(True)
        lower = {name.lower(): value for name, value in headers.items()}
        wait = retry_after(lower.get(b"retry-after", b"").decode("latin-1"), self._clock())
        return Outcome(False, f"answered {status}", wait, gone=status == GONE)


def retry_after(value: str, now: float) -> float:
    """The seconds that a header field asks for, in either of its forms; 0 for none."""
    value = value.strip()
    if value.isascii() and value.isdecimal() and len(value) < 10:
        return min(float(value), MAX_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(until - now, 0.0), MAX_RETRY_AFTER)


def _why(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate can't be trusted"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS as it should"
        cause = cause.__cause__ or cause.__context__
    return "it can't be reached"
