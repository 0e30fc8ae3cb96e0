"""From the tables `[channels.…]` of the settings to accounts.

A table has what the account's connector takes, and what the server takes beside it (`Own`). What is
wrong is told by its name in the file, and never with its value, which may be a secret.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.inspect import LiteralType, NoneType, StructType, UnionType, type_info

from chat4all_protocol.frames.fields import Username  # noqa: TC001 - decoding needs it
from chat4all_protocol.ids import CHANNEL_PATTERN
from chat4all_protocol.validation import FORMATS

from .account import Account
from .kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from msgspec.inspect import Type

    from ..config import Settings
    from .kinds import Kind

T = TypeVar("T")

_ACCOUNT: Final = re.compile(CHANNEL_PATTERN)
_AT: Final = re.compile(r"^(.*?)(?: - at `\$\.?([^`]*)`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")


class AccountError(ValueError):
    """An account can't be set up like this: which of its settings, and what is allowed."""


class TemplateName(Struct, frozen=True, forbid_unknown_fields=True):
    """An approved template without gaps."""

    name: Annotated[str, Meta(min_length=1)]
    language: Annotated[str, Meta(min_length=1)]


class Own(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the server takes of an account's table."""

    inbox: tuple[Username, ...] = ()
    """Users who get what people write who are in no conversation yet."""
    template: TemplateName | None = None
    """What people are sent who have not written for too long, on channels that have templates."""


class _Table(Struct, frozen=True):
    """An account's, as it is meant."""

    account: str
    kind: Kind
    settings: Any
    own: Own


def check(settings: Settings) -> None:
    """See that all accounts can be set up.

    Raises:
        AccountError: one of them can't.
    """
    for _ in _tables(settings):
        pass


def accounts_of(settings: Settings) -> list[Account]:
    """All that are set up, not connected yet.

    Raises:
        AccountError: one of them can't be.
    """
    return [_account(table, settings) for table in _tables(settings)]


def _account(table: _Table, settings: Settings) -> Account:
    # Here, as it brings the ports of the storage along, which checking does without.
    from .calling import Template

    template = table.own.template
    return Account(
        name=table.account,
        connector=table.kind.make(table.settings, table.account, settings),
        inbox=table.own.inbox,
        template=template if template is None else Template(template.name, template.language),
    )


def kind_of(account: str) -> Kind:
    """That of the account's channel.

    Raises:
        AccountError: it is no name of one, or there is no such channel.
    """
    channel = account.partition(":")[0]
    if channel not in KINDS:
        *others, last = KINDS
        raise AccountError(
            f"{_named(account)}: there is no channel `{channel}`;"
            f" there are {', '.join(others)} and {last}"
        )
    if not _ACCOUNT.match(account):
        raise AccountError(
            f"{_named(account)}: a further account is named {channel}:NAME, of at most 64 letters,"
            " digits, '.', '_' and '-'"
        )
    return KINDS[channel]()


def _tables(settings: Settings) -> Iterator[_Table]:
    for account, values in settings.channels.items():
        kind = kind_of(account)
        own_names = Own.__struct_fields__
        own = _read({key: values[key] for key in own_names if key in values}, Own, account)
        others = {key: value for key, value in values.items() if key not in own_names}
        table = _Table(account, kind, _read(others, kind.settings, account), own)
        _fits(table, settings)
        yield table


def _fits(table: _Table, settings: Settings) -> None:
    """See that what it says goes with the channel, and with the other settings."""
    named = _named(table.account)
    if table.own.template is not None and not table.kind.templates:
        channels = " and ".join(channel for channel, kind in KINDS.items() if kind().templates)
        raise AccountError(f"{named}.template: only {channels} have templates")
    if settings.public_url is None and table.kind.calls_back(table.settings):
        raise AccountError(
            f"{named}.mode: webhooks need public_url, the address at which the provider reaches"
            ' this server; or set mode = "polling"'
        )


def _read(values: Mapping[str, Any], type_: type[T], account: str) -> T:
    """From a table; numbers may be texts, as variables of the environment are."""
    try:
        return msgspec.convert(values, type_, strict=False)
    except msgspec.ValidationError as error:
        raise AccountError(_readable(str(error), type_, account)) from None


def _readable(said: str, type_: type[Any], account: str) -> str:
    """`Expected … - at `$.port`` as `channels.telegram.port: expected …`, without its value."""
    match = _AT.match(said)
    assert match is not None  # it matches every text
    what, path = match[1], match[2]
    place = f"{_named(account)}.{path}" if path else _named(account)
    if missing := _MISSING.fullmatch(what):
        return f"{place}.{missing[1]} is required"
    if unknown := _UNKNOWN.fullmatch(what):
        return f"{place}.{unknown[1]}: there is no such setting{_hint(unknown[1], type_, path)}"
    if what.startswith("Invalid enum value"):
        what = f"it is one of {', '.join(_choices(type_, path))}"
    for pattern, meant in FORMATS.items():
        what = what.replace(f"`str` matching regex {pattern!r}", meant)
    return f"{place}: {what[0].lower()}{what[1:]}"


def _hint(name: str, type_: type[Any], path: str | None) -> str:
    names = [*fields_of(type_, path), *(() if path else Own.__struct_fields__)]
    near = get_close_matches(name, names, 1)
    return f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(sorted(names))}"


def _choices(type_: type[Any], path: str | None) -> list[str]:
    *before, last = (path or "").split(".")
    literal = fields_of(type_, ".".join(before))[last]
    return [f"`{value}`" for value in literal.values] if isinstance(literal, LiteralType) else []


def fields_of(type_: type[Any], path: str | None = None) -> dict[str, Type]:
    """What there may be in a table, or in the one within it that `path` names."""
    found = type_info(type_)
    for name in path.split(".") if path else ():
        assert isinstance(found, StructType)  # whatever has names in it
        (found,) = (_there(field.type) for field in found.fields if field.name == name)
    assert isinstance(found, StructType)
    return {field.name: _there(field.type) for field in found.fields}


def _there(type_: Type) -> Type:
    """What it is, if it is not None."""
    if not isinstance(type_, UnionType):
        return type_
    return next(each for each in type_.types if not isinstance(each, NoneType))


def _named(account: str) -> str:
    return f"channels.{account}" if account.isalpha() else f'channels."{account}"'
