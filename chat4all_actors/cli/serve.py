"""`chat4all serve`: a node in this process, or the parent of several workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .flags import settings_of
from .main import OK

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    settings = settings_of(options, accounts=True)
    # Here, so that what is wrong with a setting is told before all of the server is there.
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
