"""Every group of endpoints that a node serves."""

from __future__ import annotations

from typing import Final

from . import auth, conversations, files, members, messages, presence, rights, users

GROUPS: Final = (
    auth.routes,
    users.routes,
    rights.routes,
    conversations.routes,
    members.routes,
    messages.routes,
    files.routes,
    presence.routes,
)
