"""One request on its way through a handler: who asks, and what of the node it may use."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, Protocol

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.ids import new_id

from ...limits.limits import MESSAGES
from .errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_storage.storage import Storage

    from ...accounts.desk import Desk
    from ...accounts.tokens import Tokens
    from ...channels.channels import Channels
    from ...config import Settings
    from ...conversation.conversations import Conversations
    from ...files.service import FileService
    from ...limits.limits import Limits
    from ...presence.presence import Presences
    from ...session.revocations import Revocations
    from ...webhooks.service import WebhookService
    from .caller import Caller

_KEYED: Final = uuid.UUID("3b1f2f55-6a0e-5f0d-9c43-6f9f7f1f6d0a")


class RestServices(Protocol):
    """What the REST API uses of its node."""

    settings: Settings
    node_id: str
    tokens: Tokens
    desk: Desk
    revocations: Revocations
    conversations: Conversations
    presence: Presences
    limits: Limits
    files: FileService
    webhooks: WebhookService
    channels: Channels
    wall_clock: Callable[[], float]


class Call:
    """A request, validated and authenticated."""

    __slots__ = ("_caller", "address", "base", "idempotency_key", "services", "trace_id")

    def __init__(
        self,
        services: RestServices,
        caller: Caller | None,
        *,
        address: str,
        trace_id: str,
        idempotency_key: str | None,
        base: str,
    ) -> None:
        self.services = services
        self._caller = caller
        self.address = address
        """The client's, as trusted proxies tell."""
        self.trace_id = trace_id
        self.idempotency_key = idempotency_key
        self.base = base
        """Where the client reaches this server: `https://host`."""

    @property
    def caller(self) -> Caller:
        """Who calls; every operation that is not public has one."""
        if self._caller is None:
            raise ApiError(ErrorCode.UNAUTHENTICATED, "a bearer token is required")
        return self._caller

    @property
    def storage(self) -> Storage:
        """Where everything is kept."""
        return self.services.conversations.storage

    @property
    def trace(self) -> bytes:
        """The trace id as it is stored with what this request does."""
        return bytes.fromhex(self.trace_id)

    def spend_message(self, user: str) -> None:
        """Count a message of this user.

        Raises:
            ApiError: it is one too many for now.
        """
        if wait := self.services.limits.take(MESSAGES, user):
            raise ApiError(ErrorCode.RATE_LIMITED, "too many messages", retry_after=wait)

    def id(self, purpose: str, given: str | None = None) -> str:
        """The id of what this request makes.

        With an `Idempotency-Key` it follows from the caller and the key, so that the same request
        makes the same thing, whatever became of the first and wherever it is sent again.
        """
        if given is not None:
            return given
        if self.idempotency_key is None:
            return new_id()
        name = "\n".join((self.caller.key, purpose, self.idempotency_key))
        return str(uuid.uuid5(_KEYED, name))
