"""Where settings come from: a flag beats an environment variable (`CHAT4ALL_` and the name in
upper case), which beats the TOML file, which beats the default. Of accounts on channels the
environment beats the file value by value.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from .config import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "CHAT4ALL_"
S3_PARTS: Final = 10_000
"""Of one object, at most."""
_REDIS_SCHEMES: Final = ("redis://", "rediss://", "unix://")


class ConfigError(Exception):
    """A setting is unknown or out of range: what, why, and what is allowed."""


def load(
    flags: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
    accounts: bool = True,
) -> Settings:
    """Settings from the flags that were given, the environment, the file and the defaults.

    `accounts`: whether those on channels have to be whole. Commands that use none run where part of
    an account is in the environment, and the file is not named.

    Raises:
        ConfigError: a value does not fit, or the file can't be read.
    """
    environ = os.environ if environment is None else environment
    hints = get_type_hints(Settings, include_extras=True)
    from_environment = {
        name: _parse(PREFIX + name.upper(), text, hint)
        for name, hint in hints.items()
        if (text := environ.get(PREFIX + name.upper()))
    }
    from_flags = {
        name: _parse("--" + name.replace("_", "-"), value, hints[name])
        if isinstance(value, str)
        else value
        for name, value in flags.items()
    }
    from_file = _from_file(file)
    if tables := _channels(environ, from_file.get("channels")):
        from_environment["channels"] = tables
    values: dict[str, Any] = {}
    for source, found in (
        (str(file), from_file),
        ("environment", from_environment),
        ("command line", from_flags),
    ):
        values |= found
        try:
            settings = msgspec.convert(values, Settings)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{source}: {_readable(str(error), hints)}") from None
    _check(settings)
    if accounts and settings.channels:
        _check_accounts(settings)
    return settings


def _check(settings: Settings) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ConfigError("tls_cert and tls_key belong together: give both or neither")
    if settings.jwt_key is not None and len(settings.jwt_key.encode()) < 32:
        raise ConfigError("jwt_key is too short: at least 32 bytes, such as `openssl rand -hex 32`")
    for name in ("s3_endpoint", "s3_public_endpoint", "public_url"):
        url = getattr(settings, name)
        if url is not None and not re.fullmatch(r"https?://[^/?#\s]+/?", url):
            raise ConfigError(f"{name} is http:// or https:// with a host and no path")
    least = -(-settings.file_max_size // S3_PARTS)
    if settings.s3_bucket is not None and settings.file_chunk_size < least:
        raise ConfigError(f"file_chunk_size is at least {least}: S3 joins {S3_PARTS} parts at most")
    for pattern in settings.file_types:
        if not re.fullmatch(r"[a-z]+/[a-z0-9.+-]*\*?|\*/\*", pattern):
            raise ConfigError(f"file_types: {pattern!r} is no type such as image/png or image/*")
    if settings.redis is not None and not settings.redis.startswith(_REDIS_SCHEMES):
        raise ConfigError(f"redis is an address that begins with {' or '.join(_REDIS_SCHEMES)}")
    if settings.webhook_ca is not None and not Path(settings.webhook_ca).is_file():
        raise ConfigError(f"webhook_ca: there is no file {settings.webhook_ca}")
    for network in settings.trusted_proxies:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            message = f"trusted_proxies: {network!r} is no network, such as 10.0.0.0/8"
            raise ConfigError(message) from None


def _check_accounts(settings: Settings) -> None:
    from .channels.configuring import AccountError, check

    try:
        check(settings)
    except AccountError as error:
        raise ConfigError(str(error)) from None


def _channels(environ: Mapping[str, str], in_file: object) -> dict[str, Any] | None:
    """The accounts on channels, if the environment says something of them."""
    # Whoever has none does without the modules that know what they are set up with.
    if not any(name.startswith(f"{PREFIX}CHANNELS__") for name in environ):
        return None
    from .channels.configuring import AccountError
    from .channels.variables import merged, tables_of

    try:
        tables = tables_of(environ, PREFIX)
    except AccountError as error:
        raise ConfigError(str(error)) from None
    return merged(in_file, tables) if isinstance(in_file, dict) else tables


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None


def _parse(source: str, text: str, hint: Any) -> Any:
    """A setting from the text of a flag or variable."""
    kinds = {_plain(part) for part in (get_args(hint) if _is_union(hint) else (hint,))}
    try:
        if list in kinds:
            return _parse_list(text, hint)
        if bool in kinds:
            return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
        if int in kinds:
            return int(text)
        if float in kinds:
            return float(text)
    except (KeyError, ValueError):
        raise ConfigError(f"{source}: {text!r} is not a valid value") from None
    return text


def _parse_list(text: str, hint: Any) -> list[Any]:
    item = _plain(get_args(hint)[0])
    return [item(word) for word in text.split()]


def _is_union(hint: Any) -> bool:
    return type(None) in get_args(hint)


def _plain(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return get_origin(hint) or hint


def _readable(said: str, hints: Mapping[str, Any]) -> str:
    """`Expected ... - at `$.port`` as `port: expected ...`; of a choice, what there is."""
    what, _, path = said.partition(" - at `$.")
    name = path.rstrip("`")
    hint = hints.get(name)
    if get_origin(hint) is Literal:
        *others, last = (f"`{choice}`" for choice in get_args(hint))
        return f"{name} is {', '.join(others)} or {last}"
    return f"{name}: {what[0].lower()}{what[1:]}" if name else what
