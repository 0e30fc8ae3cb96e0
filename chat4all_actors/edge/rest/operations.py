"""What an endpoint is: one declaration, from which it is served, checked and documented.

    routes = Routes("Messages", "What people write.")

    @routes.post("/v1/messages", body=NewMessage, answers={202: Accepted}, scope="messages:write")
    async def send_message(call: Call, body: NewMessage) -> Accepted: ...

A handler is given the call, then `body` and `query` if it declares them, and the parts of the path
by their names, all of them validated; it returns the body of its answer, or an `Answer`. What it
raises is answered by `errors.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeVar

from msgspec import Meta

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import Channel, Id, MemberName

from ...limits.limits import REQUESTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from msgspec import Struct

    from ...config import Settings
    from ...limits.limits import LimitName

H = TypeVar("H", bound="Callable[..., Awaitable[Any]]")

PATH_TYPES: Final[dict[str, Any]] = {
    "conversation_id": Id,
    "message_id": Id,
    "file_id": Id,
    "session_id": Id,
    "webhook_id": Id,
    "username": MemberName,
    "channel": Channel,
    "account": Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,64}\Z")],
}
"""What the parts of paths are. Others than these name nothing: 404."""

MAX_BODY: Final = 64 * 1024


class RawBody(Protocol):
    """A request as it came, for what others have defined; its body is not read yet."""

    @property
    def method(self) -> str:
        """`GET` or `POST`."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in lower case; one that came several times joined by commas."""
        ...

    @property
    def expected(self) -> int | None:
        """Bytes of the body, if the client has said so; 0: it has none."""
        ...

    def query(self) -> Mapping[str, str]:
        """The parameters behind the question mark.

        Raises:
            ApiError: one is given twice, or is not valid.
        """
        ...

    async def read(self, most: int) -> bytes:
        """The body.

        Raises:
            ApiError: it has more than `most` bytes.
        """
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with another status than the first that is declared, or with header fields."""

    body: Struct | bytes | AsyncIterator[bytes] | None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Attributes:
        path: With its variable parts in braces.
        summary, description: For people.
        body, query: Models of what the request carries.
        rules: JSON Schema of what holds between the fields of the body, for the document.
        answers: The models of the answers by status, the usual one first; None has no body.
        errors: Codes that it may answer beside those that follow from the rest.
        scope: What a service client needs; a user needs none. None: anybody may call it.
        example: A body that works.
        media_type: Of the answer.
        limit: Which rate counts its requests, of those that have the client's address as their key.
        raw: Whether the handler is given `raw`, a `RawBody`, in place of models.
        time: How many seconds it may take under these settings.
    """

    method: str
    path: str
    tag: str
    handler: Callable[..., Awaitable[Any]]
    summary: str
    description: str
    answers: Mapping[int, Any]
    body: type[Struct] | None = None
    query: type[Struct] | None = None
    rules: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[ErrorCode, ...] = ()
    scope: str | None = None
    public: bool = False
    max_body: int = MAX_BODY
    examples: Mapping[str, Struct] = field(default_factory=dict)
    media_type: str = "application/json"
    time: Callable[[Settings], float] = lambda settings: settings.request_timeout
    limit: LimitName = REQUESTS
    raw: bool = False
    aliases: tuple[str, ...] = ()
    """Further paths of the same, which are not documented."""

    @property
    def name(self) -> str:
        """Its name among all."""
        return self.handler.__name__

    @property
    def parameters(self) -> list[str]:
        """The names of the variable parts of its path."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def codes(self) -> list[ErrorCode]:
        """Every error it may answer."""
        codes = [ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT, *self.errors]
        codes += [ErrorCode.INTERNAL, ErrorCode.INVALID_PAYLOAD]
        if not self.public:
            codes += [ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN]
        if self.parameters:
            codes.append(ErrorCode.NOT_FOUND)
        if self.body is not None:
            codes += [ErrorCode.TOO_LARGE, ErrorCode.UNSUPPORTED_MEDIA_TYPE]
        return list(dict.fromkeys(codes))


class Routes:
    """The operations of one group."""

    def __init__(self, tag: str, description: str) -> None:
        self.tag = tag
        self.description = description
        self.operations: list[Operation] = []

    def get(self, path: str, **fields: Any) -> Callable[[H], H]:
        """Declare how the resource is read."""
        return self._declare("GET", path, fields)

    def post(self, path: str, **fields: Any) -> Callable[[H], H]:
        """Declare what is done or made there."""
        return self._declare("POST", path, fields)

    def put(self, path: str, **fields: Any) -> Callable[[H], H]:
        """Declare how it is set."""
        return self._declare("PUT", path, fields)

    def patch(self, path: str, **fields: Any) -> Callable[[H], H]:
        """Declare how it is changed."""
        return self._declare("PATCH", path, fields)

    def delete(self, path: str, **fields: Any) -> Callable[[H], H]:
        """Declare how it is removed."""
        return self._declare("DELETE", path, fields)

    def _declare(self, method: str, path: str, fields: dict[str, Any]) -> Callable[[H], H]:
        def register(handler: H) -> H:
            summary, _, description = (handler.__doc__ or "").strip().partition("\n")
            self.operations.append(
                Operation(
                    method=method,
                    path=path,
                    tag=self.tag,
                    handler=handler,
                    summary=summary.rstrip("."),
                    description=" ".join(description.split()),
                    **fields,
                )
            )
            return handler

        return register
