"""HTTP for files: the server's API with a token, and signed addresses without one.

What can't be done for now is tried again here for the API; for signed addresses it is told, since
another address may help.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx2
import msgspec
from msgspec import Struct

from .errors import RequestRefused, TransferFailed
from .patience import Patience, Trouble
from .transport import websocket_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from .file_answers import PartAddress

SILENCE: Final = 90.0
"""Seconds without a byte after which an attempt is over. A completion waits for its check, by
default for 50 s."""
CONNECTING: Final = 15.0
"""Seconds for a connection."""
MAX_ANSWER: Final = 64 * 1024
"""Bytes of an error at a signed address that are looked at."""
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_ELSEWHERE: Final = frozenset({301, 302, 303, 307, 308})
_GOOD: Final = range(200, 300)
_OTHER_ADDRESS: Final = frozenset({400, 401, 403, 404, 409, 410, 416})
"""What an address says that is too old, or whose upload is gone."""

T = TypeVar("T")


class AddressRefused(Exception):
    """A signed address serves no longer: another is to be asked for."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the store refused a signed address with {status}")


class _Error(Struct):
    code: str
    message: str
    details: dict[str, Any] | None = None


class _ErrorBody(Struct):
    error: _Error


class Web:
    """One user at one server."""

    def __init__(
        self,
        url: str,
        token: str | Callable[[], Awaitable[str]],
        *,
        patience: float,
        ssl_context: ssl.SSLContext | None,
        random: Callable[[], float],
    ) -> None:
        """To be closed.

        Raises:
            ValueError: `url` is no address of a server.
        """
        self.base = base_of(url)
        self._get_token = token
        self._token = token if isinstance(token, str) else ""
        self._limit = patience
        self._random = random
        self._http = httpx2.AsyncClient(
            verify=True if ssl_context is None else ssl_context,
            timeout=httpx2.Timeout(SILENCE, connect=CONNECTING),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32),
            headers={"Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def patience(self) -> Patience:
        """For one thing that is tried again."""
        return Patience(self._limit, self._random)

    # --- the API --------------------------------------------------------------------------------

    async def ask(
        self,
        type_: type[T],
        method: str,
        path: str,
        *,
        body: object = None,
        key: str | None = None,
        slow: bool = False,
    ) -> T:
        """Ask the API until it answers.

        Args:
            type_: what a good answer holds.
            key: makes the request safe to repeat, if it isn't by itself.
            slow: the server may say as often as it likes that it is still at it.

        Raises:
            RequestRefused: it answered with an error.
            TransferFailed: it could not be reached, or answered nonsense.
        """
        answer = await self._answer(method, path, body=body, key=key, slow=slow)
        try:
            return msgspec.json.decode(answer.content, type=type_)
        except msgspec.DecodeError as error:
            raise TransferFailed(f"the server answered what is not known here: {error}") from None

    async def tell(self, method: str, path: str) -> None:
        """Ask the API for something whose answer holds nothing.

        Raises:
            RequestRefused, TransferFailed: as `ask`.
        """
        await self._answer(method, path)

    async def address(self, path: str) -> str:
        """The signed address that the API leads to.

        Raises:
            RequestRefused, TransferFailed: as `ask`.
        """
        answer = await self._answer("GET", path)
        if answer.status_code not in _ELSEWHERE or "location" not in answer.headers:
            raise TransferFailed(f"the server answered {answer.status_code}, not with an address")
        return urljoin(f"{self.base}{path}", answer.headers["location"])

    async def _answer(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        key: str | None = None,
        slow: bool = False,
    ) -> httpx2.Response:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        content = None if body is None else msgspec.json.encode(body)
        patience = self.patience()
        renewed = False
        while True:
            try:
                headers["Authorization"] = f"Bearer {await self._current_token()}"
                url = self.base + path
                answer = await self._http.request(method, url, headers=headers, content=content)
                status = answer.status_code
                if status == 401 and not renewed and not isinstance(self._get_token, str):
                    self._token, renewed = "", True
                    continue
                if status in _TEMPORARY:
                    working = status == 504 and slow
                    await patience.wait(_trouble(answer), in_vain=not working)
                    continue
            except (httpx2.TransportError, OSError) as error:
                await patience.wait(Trouble(f"{self.base} can't be reached ({_why(error)})"))
                continue
            if status in _GOOD or status in _ELSEWHERE:
                return answer
            raise _refusal(answer)

    async def _current_token(self) -> str:
        if not self._token and not isinstance(self._get_token, str):
            self._token = await self._get_token()
        return self._token

    # --- signed addresses -----------------------------------------------------------------------

    async def put(self, address: PartAddress, content: AsyncIterator[bytes], size: int) -> None:
        """Put a part at its address.

        Raises:
            Trouble: it did not come through.
            AddressRefused: another address is needed.
            RequestRefused: the part is refused for good.
        """
        headers = {**address.headers, "Content-Length": str(size)}
        try:
            answer = await self._http.request(
                address.method, address.url, headers=headers, content=content
            )
        except httpx2.TransportError as error:
            raise Trouble(f"a part did not come through ({_why(error)})") from None
        _judge(answer)

    @asynccontextmanager
    async def get(self, url: str, headers: dict[str, str]) -> AsyncIterator[httpx2.Response]:
        """Fetch from an address; the answer is a good one, its bytes are to be read.

        Raises:
            Trouble: it did not come through, now or while it is read.
            AddressRefused: another address is needed.
            RequestRefused: it is refused for good.
        """
        try:
            async with self._http.stream("GET", url, headers=headers) as answer:
                if answer.status_code not in _GOOD:
                    if int(answer.headers.get("content-length", MAX_ANSWER)) < MAX_ANSWER:
                        await answer.aread()
                    _judge(answer)
                yield answer
        except httpx2.TransportError as error:
            raise Trouble(f"the download broke off ({_why(error)})") from None


def base_of(url: str) -> str:
    """The address of the API for any address of a server that `open_client` takes.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(websocket_url(url))
    scheme = {"ws": "http", "wss": "https"}[parts.scheme]
    return urlunsplit((scheme, parts.netloc, parts.path.removesuffix("/ws"), "", ""))


def _judge(answer: httpx2.Response) -> None:
    """Raise what an answer from a signed address means, if it is no good one."""
    status = answer.status_code
    if status in _GOOD:
        return
    if status in _TEMPORARY or b"<Code>RequestTimeout</Code>" in _content(answer):
        raise _trouble(answer)
    if status in _OTHER_ADDRESS:
        raise AddressRefused(status)
    raise _refusal(answer)


def _content(answer: httpx2.Response) -> bytes:
    return answer.content if answer.is_stream_consumed else b""


def _trouble(answer: httpx2.Response) -> Trouble:
    given = answer.headers.get("retry-after", "")
    retry_after = float(given) if given.isascii() and given.isdecimal() else None
    return Trouble(f"the server answered {answer.status_code} so far", retry_after)


def _refusal(answer: httpx2.Response) -> RequestRefused:
    try:
        error = msgspec.json.decode(_content(answer), type=_ErrorBody).error
    except msgspec.DecodeError:
        return RequestRefused(str(answer.status_code), "the server refused it")
    field = (error.details or {}).get("field")
    return RequestRefused(error.code, error.message, field if isinstance(field, str) else None)


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
