"""What holds between the fields of a body, as JSON Schema: for the document; handlers judge it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXT: Final = {"type": "string"}
ONE_ITEM: Final = {"type": "array", "minItems": 1, "maxItems": 1}
_ABSENT: Final = {"type": "null"}


def way(*absent: str, **given: Any) -> dict[str, Any]:
    """A body with these fields given, each of its schema, and others absent or null."""
    return {
        "required": list(given),
        "properties": given | dict.fromkeys(absent, _ABSENT),
    }


def one_of(*ways: dict[str, Any]) -> dict[str, Any]:
    """Just one of these ways."""
    return {"oneOf": list(ways)}


def any_of(*ways: dict[str, Any]) -> dict[str, Any]:
    """One of these ways, or several."""
    return {"anyOf": list(ways)}


def at_least_one(names: Iterable[str]) -> dict[str, Any]:
    """At least one of these fields is given, be it null."""
    return {"anyOf": [{"required": [name]} for name in names]}
