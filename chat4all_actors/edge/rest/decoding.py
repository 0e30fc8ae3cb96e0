"""Requests from bytes to models, and what is wrong with them in words: which field, what may be.

JSON is decoded straight into typed models. What is free of form (`metadata`) is bounded in depth
and items; text has no NUL, numbers fit into 64 bits, and UTF-8 is valid everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.validation import FORMATS, MAX_SAID, explain

from ...accounts.service import EMAIL_PATTERN
from ...files.kinds import MIME_PATTERN
from .errors import ApiError, invalid
from .models import (
    CHECKSUM_PATTERN,
    CURSOR_PATTERN,
    EVENT_TYPES_PATTERN,
    FEED_CURSOR_PATTERN,
    MAX_NAMES,
    NAMES_PATTERN,
    SECRET_PATTERN,
    URL_PATTERN,
)

if TYPE_CHECKING:
    from msgspec import Struct

S = TypeVar("S", bound="Struct")

MAX_DEPTH: Final = 16
"""Of free-form JSON."""
MAX_ITEMS: Final = 4096
MAX_INTEGER: Final = 2**63 - 1

_FORMATS: Final = {
    **FORMATS,
    EMAIL_PATTERN: "an address of the form name@host.domain",
    CURSOR_PATTERN: "the next_cursor of an earlier page",
    FEED_CURSOR_PATTERN: "the next_cursor of an earlier page",
    URL_PATTERN: "an address that begins with https:// or http://",
    EVENT_TYPES_PATTERN: "types of events such as message.created or file.*, separated by commas",
    SECRET_PATTERN: "whsec_ and 24 to 64 bytes in base64",
    CHECKSUM_PATTERN: "sha256: and 64 hexadecimal digits in lower case",
    MIME_PATTERN: "a type such as image/png, without parameters",
    NAMES_PATTERN: f"1 to {MAX_NAMES} user names, separated by commas",
}


def decode_json(data: bytes, model: type[S], decoder: msgspec.json.Decoder[S]) -> S:
    """The body of a request.

    Raises:
        ApiError: it is no JSON, or not of the model.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _explain(str(error), "body") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(
            ErrorCode.INVALID_PAYLOAD, f"the body is not valid JSON: {str(error)[:MAX_SAID]}"
        ) from None
    except RecursionError:
        raise ApiError(ErrorCode.INVALID_PAYLOAD, "the body is nested too deeply") from None


def decode_query(query: bytes, model: type[S]) -> S:
    """The parameters behind the question mark.

    Raises:
        ApiError: one is given twice, or not of the model.
    """
    try:
        return msgspec.convert(query_values(query), model, strict=False)
    except msgspec.ValidationError as error:
        raise _explain(str(error), "query") from None


def query_values(query: bytes) -> dict[str, str]:
    """The parameters behind the question mark, whatever they are.

    Raises:
        ApiError: one is given twice, or has a NUL character.
    """
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=64
        )
    except ValueError:
        raise ApiError(
            ErrorCode.INVALID_PAYLOAD, "the query is not valid percent-encoded UTF-8"
        ) from None
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise invalid(name[:64], "given more than once")
        if "\0" in value:
            raise invalid(name[:64], "has a NUL character")
        values[name] = value
    return values


def matches(value: str, type_: Any) -> bool:
    """Whether a part of a path is what it must be."""
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError:
        return False
    return True


def check_free_form(field: str, value: Any) -> None:
    """Bound a value that no model describes.

    Raises:
        ApiError: it is nested too deeply, holds too much, a number beyond 64 bits, or a NUL.
    """
    items = 0
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                below += part.values()
                below += part.keys()
            elif isinstance(part, list):
                below += part
            elif isinstance(part, str):
                if "\0" in part:
                    raise invalid(field, f"{field} has a NUL character")
            elif isinstance(part, int) and not -MAX_INTEGER - 1 <= part <= MAX_INTEGER:
                raise invalid(field, f"{field} has a number beyond 64 bits")
        items += len(below)
        if items > MAX_ITEMS:
            raise invalid(field, f"{field} has more than {MAX_ITEMS} items")
        if not below:
            return
        level = below
    raise invalid(field, f"{field} is nested deeper than {MAX_DEPTH} levels")


def _explain(said: str, whole: str) -> ApiError:
    """msgspec's sentence as the error a client can act on."""
    fault = explain(said, whole, _FORMATS)
    return ApiError(ErrorCode.INVALID_PAYLOAD, fault.message, field=fault.field)
