"""Settings: every limit and choice of the server, with its default. How they are given is
`config_loading.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from .file_types import DEFAULT_FILE_TYPES

SECONDS: Final = 1.0
MINUTES: Final = 60 * SECONDS
DAYS: Final = 24 * 60 * MINUTES
KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

_SECRET: Final = frozenset({"channels", "jwt_key", "postgres", "redis"})

Count = Annotated[int, Meta(ge=1)]
CountOrNone = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
Port = Annotated[int, Meta(ge=0, le=65535)]


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

    # --- files
    s3_bucket: str | None = None
    """The bucket for files; none: they are kept in `data_dir`/files, which all nodes must share."""
    s3_endpoint: str | None = None
    """Of a server that speaks S3; none: Amazon's. Credentials come from the usual `AWS_*`."""
    s3_public_endpoint: str | None = None
    """Where clients reach it, if not there."""
    s3_region: str = "us-east-1"
    s3_timeout: Seconds = 10 * SECONDS
    """For one answer of the store."""
    public_url: str | None = None
    """Where clients reach this server (`https://chat.example.org`); none: as they asked for it."""
    file_max_size: Annotated[int, Meta(ge=1, le=100 * GIB)] = 2 * GIB
    """Bytes of a file."""
    file_chunk_size: Annotated[int, Meta(ge=5 * MIB, le=95 * MIB)] = 8 * MIB
    """Bytes of a part: S3 takes none below 5 MiB, and many proxies none above 100 MB."""
    file_quota: CountOrNone = 20 * GIB
    """Bytes of all files of one user; 0 is unlimited."""
    max_uploads_per_user: CountOrNone = 500
    """Unfinished ones; 0 is unlimited."""
    rate_files_per_minute: CountOrNone = 600
    """Uploads that a user may begin; 0 is unlimited."""
    rate_files_burst: Count = 300
    file_types: list[str] = field(default_factory=lambda: list(DEFAULT_FILE_TYPES))
    """What may be uploaded: MIME types, or `image/*`; `*/*` is everything.

    What the bytes are counts, not what the file is called.
    """
    upload_lifetime: Annotated[float, Meta(ge=60, le=7 * DAYS)] = 1 * DAYS
    """An upload that is not complete by then is removed."""
    download_lifetime: Annotated[float, Meta(ge=10, le=60 * MINUTES)] = 15 * MINUTES
    """How long the address of a download can be used."""
    file_unused_kept: Annotated[float, Meta(ge=60)] = 7 * DAYS
    """A file that no message carries (any more) is removed after so long."""
    file_look_interval: Annotated[float, Meta(ge=10)] = 1 * DAYS
    """How often it is looked whether a file is still used."""
    file_sweep_interval: Annotated[float, Meta(ge=0.1)] = 60 * SECONDS
    """Between two looks for files that are to go, or whose check was broken off."""
    max_file_transfers: Count = 64
    """Parts and downloads that a node serves from its directory at once; others wait."""
    min_transfer_rate: Count = 4 * KIB
    """Bytes a second at which a part must come at least, after `body_grace`."""
    max_file_checks: Count = 2
    """Complete uploads that a node checks at once; others wait."""
    file_check_patience: Annotated[float, Meta(gt=0, le=300)] = 50 * SECONDS
    """How long a completion waits for the check; then it is 504, and is to be asked again."""
    file_spool: str | None = None
    """Where files that come in through channels are gathered; none: in `data_dir`/spool.

    Nothing stays there. It needs room for `max_file_intakes` files of `channel_media_max_size`.
    """
    max_file_intakes: Count = 4
    """Files that a node takes over from channels at once; others wait."""
    file_intake_timeout: Seconds = 10 * MINUTES
    """For one of them to come whole; then it is tried again later."""
    channel_media_max_size: Annotated[int, Meta(ge=1)] = 100 * MIB
    """Bytes of one, as far as `file_max_size` allows; of a greater one there is but a note."""
    clamd: str | None = None
    """Where clamd scans files: `host:port`, or the path of its socket; none: nothing is scanned."""
    clamd_timeout: Seconds = 60 * SECONDS
    """For one answer of it."""
    image_max_bytes: CountOrNone = 32 * MIB
    """Images up to so many bytes get dimensions and a thumbnail; 0: none does."""
    image_max_pixels: Count = 64_000_000
    image_memory: Annotated[int, Meta(ge=64 * MIB)] = 768 * MIB
    """Bytes of memory of the process that reads an image."""
    image_timeout: Seconds = 15 * SECONDS
    max_image_processes: Count = 1
    thumbnail_size: Annotated[int, Meta(ge=16, le=2048)] = 320
    """Pixels of its longer side."""

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

    # --- webhooks and the feed of events
    webhook_allow_private: bool = False
    """Whether endpoints may be at addresses that are not public, and at any port: for development.
    """
    webhook_ports: list[Port] = field(default_factory=lambda: [80, 443, 8080, 8443])
    """At which they may be."""
    webhook_ca: str | None = None
    """A file of certificates that endpoints' may be signed by, beside those the system trusts."""
    max_webhooks_per_owner: Count = 20
    max_webhooks_per_node: Count = 1_000
    """Endpoints that a node serves; others wait for another node, or until there is room."""
    webhook_timeout: Annotated[float, Meta(gt=0, le=120)] = 15 * SECONDS
    """For one attempt, from the name's resolution to the end of the answer."""
    webhook_in_flight: Annotated[int, Meta(ge=1, le=100)] = 8
    """Requests to one endpoint at once, each of another conversation."""
    webhook_max_payload: Annotated[int, Meta(ge=4 * KIB)] = 256 * KIB
    """Bytes of what an endpoint is told of one event; of a greater one only where it is."""
    webhook_schedule: list[Seconds] = field(
        default_factory=lambda: [
            5 * SECONDS,
            5 * MINUTES,
            120 * MINUTES,
            300 * MINUTES,
            600 * MINUTES,
            840 * MINUTES,
            1200 * MINUTES,
            1440 * MINUTES,
        ]
    )
    """Between an attempt and the next one, after each that failed: nine attempts in 75 hours. Then
    the event is given up."""
    webhook_pause_after: Seconds = 5 * DAYS
    """An endpoint at which every attempt has failed for so long is told nothing more."""
    webhook_secret_kept: Annotated[float, Meta(ge=0)] = 1 * DAYS
    """How long a former secret signs beside the one that has replaced it."""
    webhook_lease: Annotated[float, Meta(ge=3)] = 15 * SECONDS
    """After so long without a word of its node an endpoint is served by another one."""
    journal_kept: Annotated[float, Meta(ge=120)] = 60 * MINUTES
    """How far back the journals reach, and so a cursor of the feed: 24 bytes and more for each
    conversation in a commit. An endpoint that is further behind is caught up from the logs."""
    max_feed_waits: CountOrNone = 200
    """Requests of the feed that may wait for events on one node; others are answered at once."""

    # --- channels
    channels: dict[str, dict[str, Any]] = {}
    """Accounts on other messengers, by `channel` or `channel:account`: what each is set up with.

    `channels/configuring.py` reads them; what there may be, is in each connector's `settings.py`.
    """
    channel_lease: Annotated[float, Meta(ge=3)] = 15 * SECONDS
    """After so long without a word of its node an account is held by another one."""
    channel_health_interval: Seconds = 60 * SECONDS
    """How often a provider is asked how an account does."""
    channel_in_flight: Annotated[int, Meta(ge=1, le=1000)] = 16
    """Chats of an account that are sent to at once, and that are worked on at once."""
    channel_schedule: list[Seconds] = field(
        default_factory=lambda: [1 * SECONDS, 2 * SECONDS, 4 * SECONDS, 8 * SECONDS]
    )
    """Between a call that a provider could not answer and the next one, after the one that is made
    at once. Then the message is a dead letter."""
    channel_breaker_failures: Count = 10
    """Calls that fail in a row, until an account is left alone for a while."""
    channel_breaker_pause: Annotated[float, Meta(ge=5)] = 60 * SECONDS
    """At most for so long; it begins with 5 s."""
    channel_incoming_tries: Count = 5
    """So often it is tried to work on what came in, until it is put aside."""
    channel_callback_max_body: Annotated[int, Meta(ge=64 * KIB, le=64 * MIB)] = 4 * MIB
    """Bytes of a provider's call: they tell of many things at once."""
    channel_max_large_callbacks: Count = 16
    """Calls beyond 64 KiB that are read at once, a fourth of them from one address; to others it is
    said to call again."""
    rate_channel_callbacks_per_minute: CountOrNone = 12_000
    """Calls of providers from one address (IPv6: of one /64), genuine or not; 0 is unlimited."""
    rate_channel_callbacks_burst: Count = 2_000
    link_code_lifetime: Annotated[float, Meta(ge=60, le=3600)] = 600 * SECONDS
    """How long a code counts that links a user to somebody on a channel."""
    link_code_tries: Count = 5
    """So often such a code may be tried."""
    rate_link_codes: CountOrNone = 10
    """Such codes that are sent for a user in an hour, all at once or not; 0 is unlimited."""
    rate_link_codes_per_address: CountOrNone = 5
    """And to one address, whoever asks for them."""
    channel_kept: Annotated[float, Meta(ge=60)] = 30 * DAYS
    """How long it is known what was sent and received: quotes and receipts find it, and what comes
    twice is known as such."""

    # --- output
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    access_log: Literal["info", "debug", "off"] = "debug"
    """The level of the line for each request; faults always show."""

    def __repr__(self) -> str:
        """What is not as by default, without what may have a secret in it."""
        default = Settings()
        changed = (
            name for name in self.__struct_fields__ if getattr(self, name) != getattr(default, name)
        )
        shown = (
            f"{name}={'…' if name in _SECRET else repr(getattr(self, name))}" for name in changed
        )
        return f"Settings({', '.join(shown)})"
