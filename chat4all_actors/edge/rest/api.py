"""Every group of endpoints that a node serves."""

from __future__ import annotations

from typing import Final

from . import (
    auth,
    callbacks,
    conversations,
    events,
    files,
    linking,
    members,
    messages,
    presence,
    reactions,
    rights,
    users,
    webhooks,
)

GROUPS: Final = (
    auth.routes,
    users.routes,
    rights.routes,
    linking.routes,
    conversations.routes,
    members.routes,
    messages.routes,
    reactions.routes,
    files.routes,
    presence.routes,
    webhooks.routes,
    events.routes,
    callbacks.routes,
)
