"""The Quart application: every operation under its path, and one way into and out of each."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from msgspec import Struct
from quart import Response, request
from werkzeug.exceptions import HTTPException

from chat4all_protocol.codes import ErrorCode
from chat4all_storage.ports.errors import StorageError

from ...conversation.outside import Refusal
from ...files.errors import FileRefused
from ...limits.limits import CLIENT_REQUESTS
from ...tracing import current_trace_id, new_trace
from . import openapi
from .call import Call
from .caller import ON_BEHALF_OF, Guard, authenticate
from .decoding import decode_json, decode_query, matches
from .errors import ApiError, explain, not_found
from .exchange import Application
from .known_tokens import KnownTokens
from .operations import PATH_TYPES, Answer
from .raw import Raw

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ...limits.limits import LimitName, Limits
    from .call import RestServices
    from .caller import Caller
    from .operations import Operation, Routes

logger = logging.getLogger(__name__)

JSON: Final = "application/json"
_FILE_ID: Final = "<string(length=36):file_id>"
"""Not `initiate` or `complete`, which are beside it."""
MAX_KEY: Final = 255
"""Characters of an `Idempotency-Key`."""


def build(services: RestServices, groups: Sequence[Routes], *, version: str) -> Application:
    """The application that serves these groups on a node."""
    app = Application("chat4all", static_folder=None)
    app.url_map.merge_slashes = False  # whoever filters by path before us must see the one there is
    app.config["MAX_CONTENT_LENGTH"] = max(
        services.settings.channel_callback_max_body,
        *(operation.max_body for group in groups for operation in group.operations),
    )
    described = _described(tuple(groups), version)
    known = KnownTokens(services.tokens.verify, wall_clock=services.wall_clock)
    guard = Guard(known.verify, services.revocations)
    for group in groups:
        for operation in group.operations:
            view = _view(operation, services, guard)
            for index, path in enumerate((operation.path, *operation.aliases)):
                app.add_url_rule(
                    path.replace("{file_id}", _FILE_ID).replace("{", "<").replace("}", ">"),
                    endpoint=f"{operation.name}-{index}",
                    view_func=view,
                    methods=[operation.method],
                    provide_automatic_options=False,
                )

    async def openapi_document() -> Response:
        return Response(described, content_type=JSON)

    app.add_url_rule("/openapi.json", view_func=openapi_document, provide_automatic_options=False)
    app.register_error_handler(HTTPException, _on_http_exception)
    return app


@cache
def _described(groups: tuple[Routes, ...], version: str) -> bytes:
    """The OpenAPI document: it takes a tenth of a second, and a process may build several nodes."""
    return msgspec.json.encode(openapi.document(groups, version=version))


def _view(
    operation: Operation, services: RestServices, guard: Guard
) -> Callable[..., Awaitable[Response]]:
    decoder = None if operation.body is None else msgspec.json.Decoder(operation.body)
    first_status = next(iter(operation.answers))
    seconds = operation.time(services.settings)

    async def view(**parts: str) -> Response:
        trace_id = _trace_id()
        _tell_route(operation.path)
        try:
            call = _call(operation, services, guard, parts, trace_id)
            arguments: dict[str, Any] = dict(parts)
            if operation.query is not None:
                arguments["query"] = decode_query(request.query_string, operation.query)
            if operation.body is not None:
                assert decoder is not None
                data = await _body(operation.max_body)  # the edge looks after how it comes in
                arguments["body"] = decode_json(data, operation.body, decoder)
            if operation.raw:
                arguments["raw"] = Raw(request)
            _tell_time(seconds)
            with trio.fail_after(seconds):
                answer = await operation.handler(call, **arguments)
        except ApiError as error:
            return _refuse(error, trace_id)
        except (StorageError, Refusal, FileRefused) as error:
            return _refuse(explain(error), trace_id)
        except trio.TooSlowError:
            late = ApiError(ErrorCode.TIMEOUT, "it took too long; the outcome is not known")
            return _refuse(late, trace_id)
        except HTTPException:
            raise  # answered by `_on_http_exception`
        except Exception:  # a defect: the one request fails, and the log has it
            logger.exception("%s failed", operation.name)
            return _refuse(ApiError(ErrorCode.INTERNAL, "the server failed"), trace_id)
        if not isinstance(answer, Answer):
            answer = Answer(answer)
        status = answer.status or first_status
        return _respond(operation, answer, status)

    return view


def _tell_route(template: str) -> None:
    """For the access log: the path without what it names."""
    scope: Any = request.scope
    scope.setdefault("state", {})["route"] = template


def _tell_time(seconds: float) -> None:
    """For the edge, which bounds the time of an answer: how long this one may take."""
    if (extend := request.scope.get("state", {}).get("extend")) is not None:
        extend(seconds)


def _trace_id() -> str:
    return current_trace_id() or new_trace().trace_id


def _call(
    operation: Operation,
    services: RestServices,
    guard: Guard,
    parts: dict[str, str],
    trace_id: str,
) -> Call:
    """The call, if whoever calls may call this at all."""
    headers = request.headers
    address = request.remote_addr or ""
    caller, refused = None, None
    if not operation.public:
        try:
            caller = authenticate(guard, headers.get("Authorization"))
        except ApiError as error:
            refused = error
    _spend_request(services.limits, caller, operation.limit, address)
    if refused is not None:
        raise refused
    if caller is not None:
        if not caller.may(operation.scope):
            raise ApiError(ErrorCode.FORBIDDEN, f"the scope {operation.scope} is needed")
        caller = caller.acting_for(headers.get(ON_BEHALF_OF))
    for name, value in parts.items():
        if not matches(value, PATH_TYPES[name]):
            raise not_found()
    key = headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise ApiError(
            ErrorCode.INVALID_PAYLOAD,
            f"an Idempotency-Key has 1 to {MAX_KEY} visible ASCII characters",
            field="Idempotency-Key",
        )
    return Call(
        services,
        caller,
        address=address,
        trace_id=trace_id,
        idempotency_key=key,
        base=services.settings.public_url or f"{request.scheme}://{request.host}",
    )


def _spend_request(limits: Limits, caller: Caller | None, limit: LimitName, address: str) -> None:
    """Count a request: of a service client by its id, of everybody else by the address.

    Raises:
        ApiError: it is one too many for now.
    """
    if caller is not None and caller.client is not None:
        wait = limits.take(CLIENT_REQUESTS, caller.key)
    else:
        wait = limits.take(limit, address)
    if wait:
        raise ApiError(ErrorCode.RATE_LIMITED, "too many requests", retry_after=wait)


async def _body(limit: int) -> bytes:
    if request.mimetype != JSON:
        raise ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"send {JSON}", field="Content-Type")
    data = await request.get_data(cache=False)
    assert isinstance(data, bytes)
    if len(data) > limit:  # the edge refuses it before it is read; other servers may not
        raise ApiError(ErrorCode.TOO_LARGE, f"a body has at most {limit} bytes here")
    return data


def _respond(operation: Operation, answer: Answer, status: int) -> Response:
    body = answer.body
    if body is None:
        response = Response(b"", status=status)
        response.headers.pop("Content-Type", None)
    else:
        data = msgspec.json.encode(body) if isinstance(body, Struct) else body
        response = Response(data, status=status, content_type=operation.media_type)
    for name, value in answer.headers.items():
        response.headers[name] = value
    return response


def _refuse(error: ApiError, trace_id: str) -> Response:
    response = Response(error.body(trace_id), status=error.status, content_type=JSON)
    for name, value in error.headers.items():
        response.headers[name] = value
    return response


_ROUTER_CODES: Final = {
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.TOO_LARGE,
}


async def _on_http_exception(error: HTTPException) -> Response:
    """What the router and the framework refuse by themselves."""
    code = _ROUTER_CODES.get(error.code or 500, ErrorCode.INVALID_PAYLOAD)
    words = {
        ErrorCode.NOT_FOUND: "there is nothing here",
        ErrorCode.METHOD_NOT_ALLOWED: "the resource has no such method",
        ErrorCode.TOO_LARGE: "the body is larger than allowed",
    }
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    refusal = ApiError(code, words.get(code, "the request is not valid"), headers=headers)
    return _refuse(refusal, _trace_id())
