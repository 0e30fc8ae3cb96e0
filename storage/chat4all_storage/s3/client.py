"""Calls of an S3 API over a bridge, and what its errors mean to us.

Heavy to import (1.6 s of processor time): whoever has no bucket does not.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ResponseStreamingError,
)
from msgspec import Struct

from ..ports.errors import Rejected, Unavailable
from ..ports.objects import NoSuchObject
from .presigning import Credentials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..bridge import Bridge
    from ..ports.errors import StorageError

T = TypeVar("T")

ATTEMPTS: Final = 3
"""Of each call, with a pause of up to a second before the second and two before the third."""
START_TIMEOUT: Final = 60.0
"""Seconds; reading the description of S3 takes half a second of processor time."""
CONNECTIONS: Final = 64

_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchUpload", "InvalidPart", "InvalidPartOrder", "404"})
# Refusals that pass, beside every 5xx.
_PASSING: Final = frozenset({"SlowDown", "RequestTimeout", "OperationAborted", "Throttling", "429"})
_BROKEN: Final = (
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
    CredentialRetrievalError,
)
ERRORS: Final = (
    BotoCoreError,
    ClientError,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    ValueError,  # an endpoint that is no URL
)
"""What a call that failed raises."""


class Bucket(Struct, frozen=True):
    """Where objects are."""

    name: str
    endpoint: str | None
    """None: Amazon's."""
    region: str

    @property
    def path_style(self) -> bool:
        """Whether its name is in the path of every address: it can't be in every host's name."""
        return self.endpoint is not None or "." in self.name

    @property
    def create_command(self) -> str:
        """What makes it."""
        where = f" --endpoint-url {self.endpoint}" if self.endpoint else ""
        return f"aws s3 mb s3://{self.name}{where} --region {self.region}"

    def __str__(self) -> str:
        return f"bucket {self.name} at {self.endpoint or f'Amazon, {self.region}'}"


class S3Error(Struct, frozen=True):
    """What S3 itself has answered."""

    code: str
    status: int


def answered(error: BaseException) -> S3Error | None:
    """What S3 answered, if the error is its answer."""
    if not isinstance(error, ClientError):
        return None
    said = error.response
    status = said.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return S3Error(str(said.get("Error", {}).get("Code", "")), int(status))


def meaning(error: BaseException) -> StorageError:
    """What an error means to us; a call that is repeated may be `Unavailable` and have happened."""
    said = answered(error)
    if said is not None:
        if said.code in _ABSENT:
            return NoSuchObject(f"S3 has no such thing: {said.code}")
        if said.status >= 500 or said.code in _PASSING:
            return Unavailable(f"S3 {said.status}: {said.code}")
        return Rejected(f"S3 {said.status}: {said.code}")
    if isinstance(error, NoCredentialsError):
        return Rejected("there are no credentials for S3")
    defect = isinstance(error, BotoCoreError | ValueError) and not isinstance(error, _BROKEN)
    if defect:
        return Rejected(f"{type(error).__name__}: {error}")
    # Not what it says: that may be an address with its right in it.
    cause = getattr(error, "kwargs", {}).get("error", error)
    return Unavailable(f"S3 can't be reached: {type(cause).__name__}")


class S3Client:
    """A client on a bridge. What is `async` is called from trio, and raises a `StorageError`."""

    def __init__(self, bridge: Bridge, bucket: Bucket, *, timeout: float) -> None:
        """`timeout`, in seconds, is that of one answer; a call has three attempts."""
        self._bridge = bridge
        self._bucket = bucket
        self._timeout = timeout
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._credentials: Any = None

    @property
    def endpoint(self) -> str:
        """Where the client finds S3."""
        found: str = self._client.meta.endpoint_url
        return found

    async def start(self) -> None:
        """Read what has to be known to call S3; nothing is asked of it."""
        await self.run(self._start, timeout=START_TIMEOUT)

    async def close(self) -> None:
        """Let go of all connections."""
        await self.run(self._stack.aclose, timeout=START_TIMEOUT)

    async def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Do this with the bucket."""

        async def run() -> dict[str, Any]:
            return await self.operate(operation, **arguments)

        return await self.run(run)

    async def run(self, fn: Callable[[], Awaitable[T]], *, timeout: float | None = None) -> T:
        """Run something of asyncio that uses `operate`."""

        async def run() -> T:
            return await fn()

        try:
            return await self._bridge.call(run, timeout=timeout or ATTEMPTS * self._timeout)
        except ERRORS as error:
            raise meaning(error) from error

    async def credentials(self) -> Credentials:
        """Those that are valid now.

        Raises:
            Rejected: there are none.
        """
        frozen = await self.run(self._freeze)
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    # --- on the side of asyncio

    async def operate(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Do this with the bucket, on the bridge's loop."""
        answer: dict[str, Any] = await getattr(self._client, operation)(
            Bucket=self._bucket.name, **arguments
        )
        return answer

    async def _start(self) -> None:
        session = get_session()
        config = AioConfig(
            signature_version="s3v4",
            s3={"addressing_style": "path" if self._bucket.path_style else "virtual"},
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=self._timeout,
            read_timeout=self._timeout,
            max_pool_connections=CONNECTIONS,
            # Others that speak S3 know no trailing checksums; TLS and our own hash are there.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._client = await self._stack.enter_async_context(
            session.create_client(
                "s3",
                region_name=self._bucket.region,
                endpoint_url=self._bucket.endpoint,
                config=config,
            )
        )
        self._credentials = await session.get_credentials()

    async def _freeze(self) -> Any:
        if self._credentials is None:
            raise NoCredentialsError
        return await self._credentials.get_frozen_credentials()
