"""What a service client may be allowed to. Imports nothing: help on the command line names them."""

from __future__ import annotations

from typing import Final

SCOPES: Final = (
    "messages:write",
    "messages:read",
    "conversations:write",
    "conversations:read",
    "presence:read",
    "users:write",
    "events:read",
    "act_as",
)
"""`events:read`: to be told everything that happens, whoever's. `act_as`: all of the others in the
name of any user."""
