"""Links of the OpenAPI document: what can be done next with what an answer names.

They follow from names: an answer with a `conversation_id` leads to each path with a part of that
name, and to bodies that have the field. So a new operation is linked by being declared.
"""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any, Final, TypeGuard, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .operations import Operation

_NAMES: Final = ("conversation_id", "message_id", "file_id", "session_id", "username", "webhook_id")
"""What answers name that operations take."""


def links(origin: Operation, answer: Any, operations: Sequence[Operation]) -> dict[str, Any]:
    """What an answer of `origin` leads to; only what makes something leads anywhere."""
    if origin.method != "POST" or not _is_model(answer):
        return {}
    known = _sources(origin, answer)
    found: dict[str, Any] = {}
    for target in operations:
        link: dict[str, Any] = {}
        if target.parameters and all(name in known for name in target.parameters):
            link["parameters"] = {f"path.{name}": known[name] for name in target.parameters}
        elif target.method == "POST" and not target.parameters and target is not origin:
            filled = _filled(target, known)
            if filled:
                link["requestBody"] = filled
        if link:
            found[target.name] = {"operationId": target.name, **link}
    return found


def _sources(origin: Operation, answer: Any) -> dict[str, str]:
    """Where each name is found: in the answer, or in what was asked."""
    known = {name: f"$request.path.{name}" for name in origin.parameters if name in _NAMES}
    if _is_model(origin.body):
        known |= _pointers(origin.body, "$request.body")
    return known | _pointers(answer, "$response.body")


def _pointers(model: Any, body: str) -> dict[str, str]:
    names = {each.encode_name for each in fields(model) if NoneType not in get_args(each.type)}
    return {name: f"{body}#/{name}" for name in _NAMES if name in names}


def _filled(target: Operation, known: dict[str, str]) -> dict[str, Any]:
    """The target's example in the conversation that the answer names, if it takes one."""
    if not _is_model(target.body) or not target.examples or "conversation_id" not in known:
        return {}
    names = {each.encode_name: each.required for each in fields(target.body)}
    if "conversation_id" not in names:
        return {}
    example = msgspec.to_builtins(next(iter(target.examples.values())))
    needed = {name: example[name] if required else None for name, required in names.items()}
    return needed | {"conversation_id": known["conversation_id"]}


def _is_model(type_: Any) -> TypeGuard[type[Struct]]:
    return isinstance(type_, type) and issubclass(type_, Struct)
