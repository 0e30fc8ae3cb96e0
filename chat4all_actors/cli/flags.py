"""Settings on the command line: a flag for each that people type, and the settings that follow.

Like `arguments.py` it imports nothing that a command needs to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import argparse

    from ..config import Settings

_FLAGS: Final = {
    "host": ("address to listen on (127.0.0.1)", "ADDRESS"),
    "port": ("port to listen on; 0 picks a free one (8000)", "PORT"),
    "admin_port": ("port on 127.0.0.1 that answers health checks too", "PORT"),
    "data_dir": ("where what is embedded keeps its data (./chat4all-data)", "DIR"),
    "postgres": ("a PostgreSQL database; repeat it, one for each shard", "DSN"),
    "redis": ("carries events between nodes; embedded beside an embedded PostgreSQL", "URL"),
    "s3_bucket": ("the S3 bucket for files (they are kept in the data directory)", "NAME"),
    "s3_endpoint": ("a server that speaks S3, if it is not Amazon's", "URL"),
    "workers": ("node processes on the one port (1)", "N"),
    "migrate": ("leave the schema as it is", ""),
    "tls_cert": ("certificate chain, PEM", "FILE"),
    "tls_key": ("its private key, PEM", "FILE"),
    "jwt_algorithm": ("what signs access tokens: HS256, RS256 or EdDSA (HS256)", "NAME"),
    "drain_timeout": ("how long a stop may take (30)", "SECONDS"),
    "log_format": ("console or json", "FORMAT"),
    "log_level": ("debug, info, warning or error", "LEVEL"),
}


def add_settings(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add `--config`, and a flag for each of these settings."""
    parser.add_argument("--config", metavar="FILE", help="settings in TOML")
    for name in names:
        flag = "--" + name.replace("_", "-")
        help_, metavar = _FLAGS[name]
        if name == "migrate":
            parser.add_argument(
                "--no-migrate", dest="migrate", action="store_false", default=None, help=help_
            )
        elif name == "postgres":
            parser.add_argument(flag, action="append", metavar=metavar, help=help_)
        else:
            parser.add_argument(flag, metavar=metavar, help=help_)


def settings_of(options: argparse.Namespace, *, accounts: bool = False) -> Settings:
    """The settings that a command runs with; `accounts`: it uses those on channels.

    Raises:
        ConfigError: one of them does not fit.
    """
    from pathlib import Path

    from ..config_loading import load

    flags: dict[str, Any] = {}
    for name in _FLAGS:
        value = getattr(options, name, None)
        if value is not None:
            flags[name] = value
    return load(flags, file=Path(options.config) if options.config else None, accounts=accounts)
