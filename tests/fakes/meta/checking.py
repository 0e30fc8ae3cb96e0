"""What calls have to look like: a field that is unknown, missing or too long is an error."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from tests.fakes.meta.failing import GraphError

T = TypeVar("T")
_UPLOAD: Final = 110 * 1024 * 1024


@dataclass(frozen=True)
class Call:
    """A request that was read whole."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes


class Strict(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Takes no fields but its own."""


def content(request: Call) -> Any:
    """The JSON body of a call."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise GraphError(100, "The body is not JSON")
    try:
        return msgspec.json.decode(request.body)
    except msgspec.DecodeError as error:
        raise GraphError(100, "The body is not JSON") from error


def checked(value: object, type_: type[T], *, code: int = 100) -> T:
    """A value of a type; the error for one that is not."""
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise GraphError(code, f"Invalid parameter: {error}") from error


class Form:
    """A `multipart/form-data` body with one file."""

    def __init__(self, request: Call, *, field: str, fields: frozenset[str]) -> None:
        """It must have these fields, and the file as `field`."""
        kind, options = parse_options_header(request.headers.get("content-type"))
        if kind != "multipart/form-data":
            raise GraphError(100, "An upload is a form")
        parser = FormDataParser(max_content_length=_UPLOAD, max_form_memory_size=64 * 1024)
        body = io.BytesIO(request.body)
        _, values, files = parser.parse(body, kind, len(request.body), options)
        if set(values) != fields or set(files) != {field}:
            raise GraphError(100, f"An upload has {sorted(fields)} and the file {field}")
        file = files[field]
        self.values: dict[str, str] = values.to_dict()
        self.content: bytes = file.read()
        self.mime: str = file.mimetype
        self.name: str = file.filename or ""
        file.close()
        if not self.name:
            raise GraphError(100, "A file has a name")

    def json(self, field: str) -> Any:
        """A field that is JSON itself."""
        try:
            return json.loads(self.values[field])
        except ValueError as error:
            raise GraphError(100, f"{field} is not JSON") from error
