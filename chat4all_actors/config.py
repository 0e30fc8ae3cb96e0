"""Settings: every limit and choice of the server, with its default.

A flag beats an environment variable (`CHAT4ALL_` and the name in upper case), which beats the
TOML file, which beats the default.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
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
from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECONDS: Final = 1.0
MINUTES: Final = 60 * SECONDS
DAYS: Final = 24 * 60 * MINUTES
KIB: Final = 1024
MIB: Final = 1024 * KIB
PREFIX: Final = "CHAT4ALL_"
_REDIS_SCHEMES: Final = ("redis://", "rediss://", "unix://")

Count = Annotated[int, Meta(ge=1)]
CountOrNone = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
Port = Annotated[int, Meta(ge=0, le=65535)]


class ConfigError(Exception):
    """A setting is unknown or out of range: what, why, and what is allowed."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of a node."""

    # --- where it listens
    host: str = "127.0.0.1"
    port: Port = 8000
    admin_port: Port | None = None
    """Health on 127.0.0.1 at this port too; none by default."""
    tls_cert: str | None = None
    tls_key: str | None = None
    allowed_origins: list[str] = []
    """Origins of web pages that may use the server, beside its own: `scheme://host[:port]`."""
    allowed_hosts: list[str] = []
    """By which names it may be asked, each `name` or `name:port`; none: by any."""
    trusted_proxies: list[str] = []
    """Networks of the proxies before it, whose word about their clients' addresses counts."""
    proxy_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    """Where they tell it; the other is never believed."""

    # --- what it stands on
    data_dir: str = "chat4all-data"
    postgres: list[str] = []
    """A DSN for each shard, the directory's first; none: embedded under `data_dir`."""
    redis: str | None = None
    """Carries events between nodes; none: embedded beside an embedded PostgreSQL."""
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    """Node processes on the one port; more than one run under a parent that restarts them."""
    migrate: bool = True
    jwt_key: str | None = None
    """At least 32 bytes; none: generated into `data_dir`."""

    # --- connections
    max_connections: Count = 18_000
    """Sockets of one node: the process limit of descriptors, less what the node itself needs."""
    max_connections_per_address: CountOrNone = 16_000
    """Of them, those of one address (IPv6: of one /64); 0 is unlimited."""
    max_handshakes: Count = 1_000
    """Connections whose request has not come in whole yet."""
    handshake_rate: Annotated[float, Meta(ge=0)] = 500.0
    """New WebSockets a second; those that come faster wait. 0 is unlimited.

    One costs 0.8 to 1.2 ms of the node's core up to `ready`: the rest is for those that are
    connected.
    """
    handshake_burst: Count = 1_000
    """New WebSockets that are taken at once, within the rate."""
    handshake_patience: Seconds = 5 * SECONDS
    """A client that would have to wait for longer gets 503, and when to come back."""
    max_connecting: Count = 64
    """Clients whose `connect` is being answered at once."""
    max_connecting_waiting: CountOrNone = 2_000
    """Clients whose `connect` may wait for that; others are told when to come back."""
    connecting_patience: Seconds = 5 * SECONDS
    """For so long each."""
    max_head: Annotated[int, Meta(ge=1024)] = 16 * KIB
    """Bytes of a request's head."""
    max_fields: Count = 100
    """Header fields of a request."""
    head_timeout: Seconds = 10 * SECONDS
    connect_timeout: Seconds = 10 * SECONDS
    """From the handshake until `connect`."""
    heartbeat: Annotated[float, Meta(ge=1, le=24 * 60 * MINUTES)] = 25 * SECONDS
    """A connection that was quiet for so long is pinged."""
    heartbeat_grace: Seconds = 10 * SECONDS
    """And closed when it stays quiet for so much longer."""
    close_timeout: Seconds = 5 * SECONDS
    """For the other side to answer a close frame."""
    drain_timeout: Seconds = 30 * SECONDS
    max_sessions_per_user: Count = 100

    # --- HTTP
    max_body: Annotated[int, Meta(ge=1 * KIB)] = 64 * KIB
    """Bytes of a request's body, where its operation allows no more."""
    body_grace: Seconds = 10 * SECONDS
    """A body may take so long,"""
    min_body_rate: Count = 1 * KIB
    """and a second more for each so many bytes of it that have come,"""
    body_timeout: Seconds = 2 * MINUTES
    """but no longer than this."""
    request_timeout: Seconds = 15 * SECONDS
    """From the end of a request until its answer; then its outcome is not known."""
    write_timeout: Seconds = 30 * SECONDS
    """A client must take each 64 KiB of an answer in so long."""
    keep_alive_timeout: Seconds = 75 * SECONDS
    """A connection without a request is closed after so long."""
    keep_alive_requests: Count = 1_000
    """Requests of one connection."""

    # --- between nodes
    backbone_entries: Annotated[int, Meta(ge=100)] = 2000
    """Entries that Redis keeps for a node: one that is further behind reads from the databases."""

    # --- frames and queues
    max_frame: Annotated[int, Meta(ge=1 * KIB, le=4 * MIB)] = 64 * KIB
    """Bytes of one frame from a client."""
    max_text: Count = 10_000
    """Characters of one text."""
    max_meta: Count = 4 * KIB
    """Bytes of one message's `meta`, encoded."""
    max_members: Annotated[int, Meta(ge=2, le=1000)] = 1000
    max_metadata: Count = 4 * KIB
    """Bytes of a conversation's `metadata`, encoded."""
    edit_window: Annotated[float, Meta(ge=0)] = 0.0
    """Seconds in which a message may be edited; 0 is unlimited."""
    delete_window: Annotated[float, Meta(ge=0)] = 0.0
    """Seconds in which its author may delete a message; 0 is unlimited."""
    max_inflight: Count = 64
    """Requests of one session that wait for their answer; it is read no further then."""
    max_outbound: Annotated[int, Meta(ge=4 * KIB)] = 1 * MIB
    """Bytes queued for one session; events beyond are announced by `gap`."""
    slow_timeout: Seconds = 30 * SECONDS
    """How long a session may stay behind before it is closed as too slow."""
    max_page: Annotated[int, Meta(ge=64 * KIB)] = 512 * KIB
    """Bytes of events in one page; one event always fits."""
    max_replay_events: Count = 2000
    """Missed events that a connect reads from one database, about; `gap` announces the others."""
    max_replay: Annotated[int, Meta(ge=64 * KIB)] = 1 * MIB
    """Bytes of these events."""
    resume_patience: Seconds = 2 * SECONDS
    """How long a connect waits for a database; its conversations follow when it answers."""
    mailbox: Count = 1024
    """Requests that one conversation may hold back."""
    conversation_linger: Seconds = 10 * SECONDS
    """So long a conversation without readers stays in memory after a request over HTTP."""

    # --- rates and work
    rate_messages_per_minute: CountOrNone = 100
    """Of one user; 0 is unlimited."""
    rate_burst: Count = 20
    """Messages that a user may send at once, within the rate."""
    rate_requests_per_minute: CountOrNone = 1_000
    """REST requests of one address (IPv6: of one /64); 0 is unlimited."""
    rate_requests_burst: Count = 200
    rate_client_requests_per_minute: CountOrNone = 10_000
    """REST requests of one client id; 0 is unlimited."""
    rate_client_requests_burst: Count = 2_000
    rate_handshakes_per_minute: CountOrNone = 30_000
    """New WebSockets of one address, on all nodes; 0 is unlimited.

    Whole offices and mobile networks share one, and come back together after an outage.
    """
    rate_handshakes_burst: Count = 3_000
    rate_logins_per_minute: CountOrNone = 10
    """Attempts to log in to one account; 0 is unlimited."""
    rate_logins_burst: Count = 5
    rate_logins_per_address_per_minute: CountOrNone = 100
    """Attempts to log in from one address; 0 is unlimited."""
    rate_logins_per_address_burst: Count = 50
    rate_registrations_per_minute: CountOrNone = 60
    """Registrations from one address; 0 is unlimited."""
    rate_registrations_burst: Count = 30
    rate_max_keys: Annotated[int, Meta(ge=1000)] = 100_000
    """Users or addresses that a limit tells apart at once: at most 300 bytes each.

    While there are more, the new ones share budgets.
    """
    bcrypt_cost: Annotated[int, Meta(ge=4, le=14)] = 12
    max_password_checks: Count = 20
    """Password checks that may wait for a thread."""
    token_lifetime: Annotated[float, Meta(ge=60, le=24 * 60 * MINUTES)] = 60 * MINUTES
    jwt_algorithm: Literal["HS256", "RS256", "EdDSA"] = "HS256"
    """What access tokens are signed with; all but HS256 can be verified by others (JWKS)."""
    refresh_lifetime: Annotated[float, Meta(ge=60)] = 30 * DAYS
    """A login that is not used for so long ends."""
    refresh_grace: Annotated[float, Meta(ge=0, le=300)] = 30 * SECONDS
    """A refresh token that was used may be used again for so long, with the same answer."""
    max_logins_per_user: Count = 100
    """Beyond these the login that was not used for longest ends."""
    totp_attempts: Count = 5
    """Codes of a second factor that may be tried in vain within `totp_window`."""
    totp_window: Seconds = 5 * MINUTES
    audit_kept: Annotated[float, Meta(ge=60)] = 365 * DAYS
    """Entries of the audit log are kept for so long."""
    mark_interval: Annotated[float, Meta(ge=0)] = 1 * SECONDS
    """A member's watermarks are written at most once in so long."""
    receipt_interval: Annotated[float, Meta(ge=0)] = 1 * SECONDS
    """Receipts of a group are collected for so long, and told together."""
    retention_interval: Seconds = 60 * SECONDS
    """Between two looks for messages that their conversations keep no longer."""
    log_patience: Seconds = 5 * SECONDS
    """How long a database may be out of reach before messages for it are refused."""

    # --- presence
    away_after: Seconds = 5 * MINUTES
    """A device whose user has done nothing for so long is away."""
    presence_interval: Annotated[float, Meta(ge=0.01, le=5)] = 0.2 * SECONDS
    """Changes of presence are told to other nodes at most so often; arrivals at once."""
    presence_damping: Annotated[float, Meta(ge=0, le=60)] = 5 * SECONDS
    """A user who is there less is shown so when it has lasted so long."""
    presence_expiry: Seconds = 5 * MINUTES
    """How long the users of a node that died are expected back."""
    max_watched: Count = 500_000
    """Watched users, summed over the sessions of a node: at most 350 bytes each."""
    last_seen_kept: Annotated[int, Meta(ge=1000)] = 100_000
    """Users of whom a node remembers when they were last there; others are looked up."""

    # --- output
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    access_log: Literal["info", "debug", "off"] = "debug"
    """The level of the line for each request; faults always show."""


def load(
    flags: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Settings from the flags that were given, the environment, the file and the defaults.

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
    values: dict[str, Any] = {}
    for source, found in (
        (str(file), _from_file(file)),
        ("environment", from_environment),
        ("command line", from_flags),
    ):
        values |= found
        try:
            settings = msgspec.convert(values, Settings)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{source}: {_readable(str(error), hints)}") from None
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ConfigError("tls_cert and tls_key belong together: give both or neither")
    if settings.jwt_key is not None and len(settings.jwt_key.encode()) < 32:
        raise ConfigError("jwt_key is too short: at least 32 bytes, such as `openssl rand -hex 32`")
    if settings.redis is not None and not settings.redis.startswith(_REDIS_SCHEMES):
        raise ConfigError(f"redis is an address that begins with {' or '.join(_REDIS_SCHEMES)}")
    for network in settings.trusted_proxies:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            message = f"trusted_proxies: {network!r} is no network, such as 10.0.0.0/8"
            raise ConfigError(message) from None


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
    if list in kinds:
        return text.split()
    try:
        if bool in kinds:
            return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
        if int in kinds:
            return int(text)
        if float in kinds:
            return float(text)
    except (KeyError, ValueError):
        raise ConfigError(f"{source}: {text!r} is not a valid value") from None
    return text


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
