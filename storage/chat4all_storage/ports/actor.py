"""Who does something: what the audit log tells of every act."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Actor(Struct, frozen=True):
    """Who does something, and from where."""

    name: str
    """`user:ID`, `client:NAME`, `shell`, `node` or `anonymous`."""
    address: str | None = None
    trace: bytes | None = None
    """The trace id of the request: 16 bytes."""


SHELL: Final = Actor("shell")
"""Somebody on the command line of a machine that has the databases."""
NODE: Final = Actor("node")


def registration_scope(username: str) -> str:
    """Among whom the Idempotency-Key of a registration is unique: nobody is known yet."""
    return f"register:{username.lower()}"


def user_subject(user_id: str) -> str:
    """How the audit log names a user: by id, so that nothing is left of an erased name."""
    return f"user:{user_id}"
