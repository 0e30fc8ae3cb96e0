"""Why something was not sent, in classes by what is to be done about it.

Every connector maps its provider's answers to these, and raises nothing else from a call that
sends. The text is for operators: it has no token, no address and nothing that people wrote.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Scope: TypeAlias = Literal["chat", "account"]
"""Of whom a limit is: of one chat, or of everything the account sends."""

Failure: TypeAlias = Literal[
    "transient", "throttled", "refused", "unreachable", "window_closed", "misconfigured"
]
"""The classes below in a word, for what failed only after it was taken (`incoming.Receipt`)."""


class SendError(Exception):
    """It was surely not sent, unless it is `UnknownOutcome`."""

    def __init__(self, message: str, *, code: str = "") -> None:
        """`code` is the provider's own, for people who look it up."""
        super().__init__(message)
        self.message = message
        self.code = code


class Transient(SendError):
    """The provider fails, or can't be reached: the same call may do later."""


class Throttled(SendError):
    """Too much was sent: the same call will do later.

    Attributes:
        retry_after: Seconds to wait, if the provider says so.
        scope: What has to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        scope: Scope = "account",
        code: str = "",
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
        self.scope = scope


class Refused(SendError):
    """The provider does not take this message, now or later; others may well do."""


class Unreachable(SendError):
    """This person or chat takes nothing from us: blocked, left, or unknown to the provider."""


class WindowClosed(SendError):
    """This person has not written for too long: only a template may be sent, or nothing."""


class Misconfigured(SendError):
    """The account can't be used until somebody mends it: its token, its rights, a block.

    Nothing more is sent until then, and what waits is kept.
    """


class UnknownOutcome(SendError):
    """It may have been sent: the answer to a call that was made whole did not come.

    It is never sent again blindly. A receipt or an echo with its reference settles it.
    """


class Moved(SendError):
    """The chat has another id now: to be noted, and the call made once more.

    Attributes:
        chat: The new one.
    """

    def __init__(self, message: str, *, chat: str, code: str = "") -> None:
        super().__init__(message, code=code)
        self.chat = chat


class NotSupported(SendError):
    """The channel has no such thing; its `Capabilities` say so."""


class WebhookRefused(Exception):
    """A webhook call is not from the provider, or not readable.

    Attributes:
        status: The HTTP status to answer with.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
