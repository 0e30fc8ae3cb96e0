"""`chat4all token`: access tokens on stdout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import trio

from .access import tokens_for
from .flags import settings_of
from .main import OK

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> int:
    """Print the tokens."""

    async def issue() -> list[str]:
        return await tokens_for(settings_of(options), options.names, password=options.password)

    for name, token in zip(options.names, trio.run(issue), strict=True):
        print(json.dumps({"username": name, "access_token": token}) if options.json else token)
    return OK
