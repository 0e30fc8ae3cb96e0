"""Run the server: what is not configured is embedded under the data directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .main import OK, add_settings, settings_of

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `chat4all serve`."""
    parser.epilog = (
        "All other settings are given by the environment (CHAT4ALL_MAX_CONNECTIONS=5000) or in"
        " --config FILE (max_connections = 5000). chat4all_actors/config.py lists them all."
    )
    add_settings(
        parser,
        "host",
        "port",
        "admin_port",
        "data_dir",
        "postgres",
        "redis",
        "s3_bucket",
        "s3_endpoint",
        "workers",
        "migrate",
        "tls_cert",
        "tls_key",
        "jwt_algorithm",
        "drain_timeout",
        "log_format",
        "log_level",
    )


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    settings = settings_of(options)
    # Here, so that help and what is wrong with a setting are there before all of the server is.
    import trio

    from ..logs import configure
    from .serving import fit_to_limits, serve
    from .workers import serve_workers

    configure(settings.log_format, settings.log_level)
    if settings.workers > 1:
        trio.run(serve_workers, settings)
    else:
        trio.run(serve, fit_to_limits(settings))
    return OK
