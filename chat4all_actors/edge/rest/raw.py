"""A request as it came, for operations whose form others have defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_protocol.codes import ErrorCode

from .decoding import query_values
from .errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quart import Request


class Raw:
    """See `operations.RawBody`."""

    def __init__(self, request: Request) -> None:
        self._request = request

    @property
    def method(self) -> str:
        """See `RawBody`."""
        return self._request.method

    @property
    def headers(self) -> Mapping[str, str]:
        """See `RawBody`."""
        found: dict[str, str] = {}
        for name, value in self._request.headers.items():
            name = name.lower()
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    @property
    def expected(self) -> int | None:
        """See `RawBody`."""
        if "transfer-encoding" in self._request.headers:
            return None
        return self._request.content_length or 0

    def query(self) -> Mapping[str, str]:
        """See `RawBody`."""
        return query_values(self._request.query_string)

    async def read(self, most: int) -> bytes:
        """See `RawBody`."""
        data = await self._request.get_data(cache=False)
        assert isinstance(data, bytes)
        if len(data) > most:  # the edge refuses it before it is read; other servers may not
            raise ApiError(ErrorCode.TOO_LARGE, f"a body has at most {most} bytes here")
        return data
