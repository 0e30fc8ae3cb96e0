"""Why an account can't be used, or changed, as somebody asks."""

from __future__ import annotations


class AccountError(Exception):
    """The request is refused; the message is safe to tell.

    AccountError
    ├── BadCredentials      name, password, token or client secret do not fit
    │   ├── CodeRequired    they do, and the code of the second factor is needed too
    │   └── CodeRefused     the code does not fit, or was used before
    ├── Throttled           too many tries: `retry_after` says when to come back
    ├── WrongState          it contradicts what is there
    └── InvalidField        a field is not what it must be: `field` says which
    """


class BadCredentials(AccountError):
    """They do not fit, or no longer. Which of them is not told."""


class CodeRequired(BadCredentials):
    """The account has a second factor, whose code is missing."""


class CodeRefused(BadCredentials):
    """The code of the second factor does not fit, or was used before."""


class Throttled(AccountError):
    """Too many tries; the next one may come in `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many attempts: try again later")
        self.retry_after = retry_after


class WrongState(AccountError):
    """It contradicts what is there."""


class InvalidField(AccountError):
    """A field is not what it must be; the message says what may be."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
