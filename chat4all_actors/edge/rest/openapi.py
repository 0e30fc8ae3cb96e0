"""The OpenAPI 3.1 document, generated from the declarations that the server answers by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ..http.errors import STATUSES, ErrorBody, ErrorDetails
from .caller import ON_BEHALF_OF
from .examples import EXAMPLES, PARTS
from .links import links
from .operations import PATH_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from msgspec import Struct

    from .operations import Operation, Routes

_REF: Final = "#/components/schemas/{name}"

_REASONS: Final = {
    400: "Something in the request is not what it must be; `details.field` says what",
    401: "No valid token",
    403: "The caller may not do this",
    404: "There is no such thing, or the caller may not know of it",
    405: "The resource has no such method",
    409: "It contradicts what is there",
    413: "Larger than allowed",
    415: "The body is no `application/json`",
    422: "The channel is not available",
    429: "Too many requests; `Retry-After` says when to come back",
    431: "The head of the request is larger than allowed",
    500: "The server failed; nothing is said about the outcome",
    503: "Not now, and nothing was done; `Retry-After` says when to come back",
    504: "The outcome is not known; the same request again is safe, and tells",
}
_SUCCESSES: Final = {
    200: "Done",
    201: "Made",
    202: "Stored for good",
    204: "Done",
    302: "Elsewhere",
}
_OF_THE_EDGE: Final = {431}
"""What is refused before any operation is asked."""
_RETRY: Final = {429, 503, 504}


def document(groups: Sequence[Routes], *, version: str) -> dict[str, Any]:
    """The document for these operations."""
    operations = [operation for group in groups for operation in group.operations]
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = _operation(operation, operations)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chat4all",
            "summary": "Conversations between people, wherever they are",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": group.tag, "description": group.description} for group in groups],
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "responses": {str(status): _error(status) for status in _REASONS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _operation(operation: Operation, operations: Sequence[Operation]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": _responses(operation, operations),
        "security": [] if operation.public else [{"bearer": []}],
    }
    if operation.description:
        described["description"] = operation.description
    if operation.scope is not None:
        described["x-scope"] = operation.scope
        described["parameters"].append(
            _header(ON_BEHALF_OF, "For service clients: whose act it is")
        )
    if operation.method != "GET" and not operation.raw:
        described["parameters"].append(
            _header("Idempotency-Key", "The same request again is carried out once", 255)
        )
    if operation.raw and operation.method != "GET":
        described["requestBody"] = {"content": {"application/json": {}}}
    if operation.body is not None:
        content: dict[str, Any] = {"schema": {**_schema(operation.body), **operation.rules}}
        if operation.examples:
            content["examples"] = _examples(operation.examples.items())
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    return described


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _schema(PATH_TYPES[name]),
            "example": PARTS[name],
        }
        for name in operation.parameters
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    (schema,), components = msgspec.json.schema_components([operation.query], ref_template=_REF)
    properties = components[schema["$ref"].rpartition("/")[2]]
    required = properties.get("required", ())
    found: list[dict[str, Any]] = []
    for name, part in properties["properties"].items():
        parameter: dict[str, Any] = {"name": name, "in": "query", "required": name in required}
        if (description := part.pop("description", None)) is not None:
            parameter["description"] = description
        parameter["schema"] = _portable(_without_null(part))
        found.append(parameter)
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is left out, not null."""
    if "anyOf" in schema:
        kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
        return {**rest, **kinds[0]} if len(kinds) == 1 else {**rest, "anyOf": kinds}
    return schema


def _header(name: str, description: str, max_length: int = 64) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": max_length,
            "pattern": "^[!-~]+$",
        },
    }


def _responses(operation: Operation, operations: Sequence[Operation]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in operation.answers.items():
        response: dict[str, Any] = {"description": _SUCCESSES[status]}
        if model is not None:
            content: dict[str, Any] = {"schema": _schema(model)} if model is not bytes else {}
            response["content"] = {operation.media_type: content}
        if status == 302:
            response["headers"] = {
                "Location": {"description": "Where it is", "schema": {"type": "string"}}
            }
        if next_steps := links(operation, model, operations):
            response["links"] = next_steps
        responses[str(status)] = response
    refusals = {STATUSES[code] for code in operation.codes} | _OF_THE_EDGE
    for status in sorted(refusals):
        responses[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return responses


def _error(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": _REASONS[status],
        "content": {"application/json": {"schema": {"$ref": _REF.format(name="ErrorBody")}}},
    }
    if status in _RETRY:
        response["headers"] = {
            "Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 0}}
        }
    return response


def _examples(examples: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: {"value": _shown(value)} for name, value in examples}


def _shown(example: Struct) -> dict[str, Any]:
    """An example as JSON, without what it does not set."""
    fields: dict[str, Any] = msgspec.to_builtins(example)
    unset = {
        field.encode_name
        for field in msgspec.structs.fields(type(example))
        if not field.required and getattr(example, field.name) == field.default
    }
    return {name: value for name, value in fields.items() if name not in unset}


def _schema(type_: Any) -> Any:
    (schema,), _ = msgspec.json.schema_components([type_], ref_template=_REF)
    return _portable(schema)


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    models: dict[Any, None] = {ErrorBody: None, ErrorDetails: None}
    for operation in operations:
        for model in (operation.body, *operation.answers.values()):
            if model not in (None, bytes):
                models[model] = None
    _, components = msgspec.json.schema_components(list(models), ref_template=_REF)
    found: dict[str, Any] = _portable(components)
    for model, example in EXAMPLES.items():
        if model in models:
            found[model.__name__]["examples"] = [_shown(example)]
    return found


_PYTHON_ONLY: Final = re.compile(r"\\A|\\Z")


def _portable(schema: Any) -> Any:
    """A schema whose patterns are those of ECMAScript, as JSON Schema wants them."""
    if isinstance(schema, dict):
        return {
            key: _PYTHON_ONLY.sub(lambda match: "^" if match[0] == "\\A" else "$", value)
            if key == "pattern" and isinstance(value, str)
            else _portable(value)
            for key, value in schema.items()
        }
    if isinstance(schema, list):
        return [_portable(value) for value in schema]
    return schema
