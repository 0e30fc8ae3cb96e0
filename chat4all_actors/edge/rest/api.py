"""Every group of endpoints that a node serves."""

from __future__ import annotations

from typing import Final

from . import conversations, members, messages, presence

GROUPS: Final = (conversations.routes, members.routes, messages.routes, presence.routes)
