"""Settings of channels from the environment, to be laid over those of the file.

| variable | setting |
|---|---|
| `CHAT4ALL_CHANNELS__TELEGRAM__TOKEN` | `channels.telegram.token` |
| `CHAT4ALL_CHANNELS__TELEGRAM__HTTP__PROXY` | `channels.telegram.http.proxy` |
| `CHAT4ALL_CHANNELS__TELEGRAM__SUPPORT__TOKEN` | `channels."telegram:support".token` |

What is between two `__` is in small letters in the setting. So a further account whose name has
other characters, or is that of a table (`http`), is for the file alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec.inspect import ListType, StructType, VarTupleType

from .configuring import AccountError, Own, fields_of, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec.inspect import Type

Tables: TypeAlias = dict[str, dict[str, Any]]

MARK: Final = "CHANNELS__"
"""What the names of these variables begin with, after the prefix of all."""


def tables_of(environment: Mapping[str, str], prefix: str) -> Tables:
    """What the environment says of each account; empty variables say nothing.

    Raises:
        AccountError: a variable's name is that of no setting.
    """
    tables: Tables = {}
    for variable, text in environment.items():
        if text and variable.startswith(prefix + MARK):
            words = variable.removeprefix(prefix + MARK).lower().split("__")
            account, names, type_ = _meant(variable, words)
            table = tables.setdefault(account, {})
            for name in names[:-1]:
                table = table.setdefault(name, {})
            table[names[-1]] = text.split() if _is_list(type_) else text
    return tables


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, value by value; of what both have, what is above."""
    result = dict(below)
    for key, value in above.items():
        former = below.get(key)
        if isinstance(value, dict) and isinstance(former, dict):
            value = merged(former, value)
        result[key] = value
    return result


def _meant(variable: str, words: list[str]) -> tuple[str, list[str], Type | None]:
    """The account, the names that lead to the setting, and what the setting is, if it is known."""
    account, *names = words
    try:
        fields = fields_of(kind_of(account).settings) | fields_of(Own)
        if len(names) == 3 or (len(names) == 2 and not _is_table(fields.get(names[0]))):
            account += f":{names.pop(0)}"
            kind_of(account)
    except AccountError as error:
        raise AccountError(f"{variable}: {error}") from None
    match names:
        case [name] if name and not _is_table(fields.get(name)):
            return account, names, fields.get(name)
        case [table, name] if name and isinstance(found := fields.get(table), StructType):
            types = {each.name: each.type for each in found.fields}
            return account, names, types.get(name)
    raise AccountError(
        f"{variable}: a setting of a channel is CHAT4ALL_CHANNELS__TELEGRAM__TOKEN, of a further"
        " account CHAT4ALL_CHANNELS__TELEGRAM__SUPPORT__TOKEN"
    )


def _is_table(type_: Type | None) -> bool:
    return isinstance(type_, StructType)


def _is_list(type_: Type | None) -> bool:
    return isinstance(type_, (ListType, VarTupleType))
