"""Where providers of channels call back: verified by the account's connector, over the raw bytes.

A provider is answered when what it tells is stored; until then it calls again. Nobody else learns
which accounts there are: what is not there, and what is polled, is not found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from chat4all_connectors.base import WebhookCall
from chat4all_connectors.errors import WebhookRefused
from chat4all_protocol.codes import ErrorCode

from ...limits.limits import CALLBACKS
from ..http.errors import STATUSES
from .errors import ApiError, not_found
from .operations import Answer, RawBody, Routes

if TYPE_CHECKING:
    from .call import Call

routes = Routes("Channels", "Accounts on other messengers.")

RETRY_AFTER: Final = 2.0
_OTHER: Final = {"GET": "POST", "POST": "GET"}
LARGE: Final = 64 * 1024
"""Bytes of a body, from which on only some are read at once."""
_CODES: Final = {status: ErrorCode(code) for code, status in STATUSES.items()}
_FIELDS: Final[dict[str, Any]] = {
    "answers": {200: bytes},
    "errors": (
        ErrorCode.UNAUTHENTICATED,
        ErrorCode.FORBIDDEN,
        ErrorCode.METHOD_NOT_ALLOWED,
        ErrorCode.TOO_LARGE,
    ),
    "public": True,
    "limit": CALLBACKS,
    "media_type": "text/plain",
    "raw": True,
    # The edge bounds how a body comes in.
    "time": lambda settings: settings.body_timeout + settings.request_timeout,
}
_ONE: Final = "/v1/channels/{channel}/webhook"
_FURTHER: Final = "/v1/channels/{channel}/{account}/webhook"


@routes.get(_ONE, **_FIELDS)
async def verify_callback(call: Call, channel: str, raw: RawBody) -> Answer:
    """Prove to a provider that the address is this server's."""
    return await _called(call, _only(channel), raw)


@routes.post(_ONE, **_FIELDS)
async def receive_callback(call: Call, channel: str, raw: RawBody) -> Answer:
    """Take what a provider tells."""
    return await _called(call, _only(channel), raw)


@routes.get(_FURTHER, **_FIELDS)
async def verify_further_callback(call: Call, channel: str, account: str, raw: RawBody) -> Answer:
    """Prove the same for a further account."""
    return await _called(call, f"{channel}:{account}", raw)


@routes.post(_FURTHER, **_FIELDS)
async def receive_further_callback(call: Call, channel: str, account: str, raw: RawBody) -> Answer:
    """Take what is told to a further account."""
    return await _called(call, f"{channel}:{account}", raw)


def _only(channel: str) -> str:
    """A channel's first account: others are called at paths of their own."""
    if ":" in channel:
        raise not_found()
    return channel


async def _called(call: Call, account: str, raw: RawBody) -> Answer:
    channels = call.services.channels
    if account.count(":") > 1 or not channels.is_called(account):  # before anything is read
        raise not_found()
    method = cast("Any", raw.method)  # the routes are of these
    told = WebhookCall(method, raw.query(), raw.headers, await _body(call, raw))
    try:
        answer = await channels.called(account, told)
    except WebhookRefused as error:
        code = _CODES.get(error.status, ErrorCode.INVALID_PAYLOAD)
        other = {"Allow": _OTHER[raw.method]} if error.status == 405 else {}
        raise ApiError(code, str(error), headers=other) from None
    return Answer(answer.body, answer.status, {"Content-Type": answer.media_type})


async def _body(call: Call, raw: RawBody) -> bytes:
    """The body; of large ones only some are read at once, as anybody may send them."""
    most = call.services.settings.channel_callback_max_body
    if raw.expected is not None and raw.expected <= LARGE:
        return await raw.read(most)
    places = call.services.limits.large_callbacks
    if not places.enter(call.address):
        words = "too many large calls at once"
        raise ApiError(ErrorCode.UNAVAILABLE, words, retry_after=RETRY_AFTER)
    try:
        return await raw.read(most)
    finally:
        places.leave(call.address)
