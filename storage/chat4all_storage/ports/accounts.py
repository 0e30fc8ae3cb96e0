"""What the server asks of the directory about accounts: who somebody is, and what was done.

Every act is told to the audit log in the transaction that does it, so neither is ever there
without the other. All times are the directory's own: milliseconds since the epoch. Every method
raises `Unavailable` or `Rejected` as those of `ports.Directory`; those that write raise `InDoubt`
too, and doing the same again is then safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol

from msgspec import Struct

from .stores import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .actor import Actor
    from .erasures import Erasures

Act = Literal[
    "user.added",
    "user.changed",
    "user.revoked",
    "user.erased",
    "password.changed",
    "password.refused",
    "login.opened",
    "login.refused",
    "login.ended",
    "token.refreshed",
    "token.replayed",
    "totp.enrolled",
    "totp.confirmed",
    "totp.refused",
    "totp.disabled",
    "totp.codes_replaced",
    "totp.recovery_used",
    "client.added",
    "client.removed",
    "client.token",
    "client.refused",
    "key.added",
]
Algorithm = Literal["HS256", "RS256", "EdDSA"]
Detail = str | int | bool | None

ENDED_OVERLAP_MS: Final = 15_000
"""A login that ended may show so long after the time it bears: a transaction takes no longer."""
ANSWER_LIFETIME: Final = 24 * 60 * 60.0
"""Seconds for which an answer is given again to a repeated request."""
CLAIM_LIFETIME: Final = 60.0
"""Seconds after which a request that was never answered may be done by another."""
REVOCATION_LIFETIME: Final = 25 * 60 * 60.0
"""Seconds for which ended logins and revoked names are kept: longer than access tokens live."""


class AuditEntry(Struct, frozen=True):
    """Something that was done, or refused."""

    id: int
    at: int
    actor: str
    act: str
    subject: str | None
    address: str | None
    trace: bytes | None
    details: dict[str, Detail]


class Profile(Struct, frozen=True):
    """What a user tells of itself, and sees of its account."""

    id: str
    username: str
    display_name: str | None
    email: str | None
    created_at: int
    password_changed_at: int | None
    totp: bool
    """Whether logging in needs a second factor."""


class NewLogin(Struct, frozen=True):
    """A device that logs in."""

    id: str
    user_id: str
    salt: bytes
    token_hash: bytes
    """The SHA-256 of the first refresh token."""
    lifetime: float
    """Seconds until it ends unless it is used."""
    device: str | None = None
    address: str | None = None
    user_agent: str | None = None


class Login(Struct, frozen=True):
    """A device that logged in: a family of refresh tokens, each the successor of the one before."""

    id: str
    user_id: str
    username: str
    device: str | None
    address: str | None
    user_agent: str | None
    created_at: int
    last_used_at: int
    expires_at: int
    salt: bytes
    generation: int
    """How many refresh tokens there have been."""
    token_hash: bytes
    previous_hash: bytes | None
    rotated_ago: float | None
    """Seconds since the previous refresh token was replaced."""
    alive: bool
    """Neither ended nor expired."""


class EndedLogin(Struct, frozen=True):
    """A login whose tokens count no longer."""

    login: str
    username: str
    at: int


class Factor(Struct, frozen=True):
    """A user's TOTP secret, as it is stored."""

    secret: bytes
    """Encrypted."""
    confirmed: bool
    last_step: int
    """The last time step whose code was accepted; 0 for none."""


class Attempt(Struct, frozen=True):
    """Leave to try one code, or how long to wait for it."""

    wait: float = 0.0
    """Seconds; above 0 nothing may be tried."""
    factor: Factor | None = None
    """None: the user has none, or has to wait."""


class ServiceClient(Struct, frozen=True):
    """A program with an identity of its own."""

    id: str
    name: str
    secret_hash: bytes
    scopes: tuple[str, ...]
    created_at: int = 0


class SigningKey(Struct, frozen=True):
    """A key for access tokens, as it is stored."""

    kid: str
    algorithm: Algorithm
    secret: bytes
    """Encrypted."""
    created_at: int
    active_from: int
    retires_at: int | None
    """When what it signed counts no longer; None while nothing has followed it."""


class Answer(Struct, frozen=True):
    """What a request was answered."""

    status: int
    body: bytes


class Claim(Struct, frozen=True):
    """What is known of a request's Idempotency-Key."""

    state: Literal["mine", "answered", "in_progress", "conflict"]
    """`mine`: do it, then `finish` or `abandon`. `conflict`: the key was used otherwise."""
    answer: Answer | None = None


# --- errors ---------------------------------------------------------------------------------------


class ClientTaken(StorageError):
    """A service client of that id or name exists."""


# --- ports ----------------------------------------------------------------------------------------


class Audit(Protocol):
    """The audit log. It is only ever added to, and forgets by age."""

    async def note(
        self, act: Act, subject: str | None, actor: Actor, details: Mapping[str, Detail]
    ) -> None:
        """Tell of an act that changes nothing else, such as a refusal."""
        ...

    async def entries(
        self, subject: str | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """The latest entries (about `subject`) with an id below `before`, latest first."""
        ...

    async def trim(self, keep: float) -> int:
        """Remove entries older than `keep` seconds, a bounded number at once; how many."""
        ...


class Profiles(Protocol):
    """What is known of users beside their names."""

    async def profile(self, user_id: str) -> Profile | None:
        """None when there is no such user (any more)."""
        ...

    async def change(self, user_id: str, changes: Mapping[str, str | None], actor: Actor) -> bool:
        """Set `email` or `display_name`; False when there is no such user."""
        ...

    async def change_password(
        self, user_id: str, former: bytes, password_hash: bytes, keep: str | None, actor: Actor
    ) -> list[EndedLogin] | None:
        """Replace the hash `former`, and end all logins of the user but `keep`.

        None when `former` is not the user's hash (any more): nothing has changed.
        """
        ...

    async def erase(self, user_id: str, pseudonym: str, actor: Actor) -> list[EndedLogin] | None:
        """Remove a user with everything that belongs to the account; tokens count no longer.

        An `Erasure` begins with it: the name is free when that is finished. None when
        there is no such user (any more).
        """
        ...


class Logins(Protocol):
    """The devices that have logged in."""

    async def open(
        self, login: NewLogin, password_hash: bytes, most: int, actor: Actor
    ) -> list[EndedLogin] | None:
        """Add a login of a user whose password hash still is this.

        Beyond `most` logins of the user those that were not used for longest end: they are what is
        returned. None when the user is gone, or has another password by now.
        """
        ...

    async def find(self, login: str) -> Login | None:
        """A login, alive or not."""
        ...

    async def rotate(
        self, login: str, token_hash: bytes, successor: bytes, lifetime: float, actor: Actor
    ) -> bool:
        """Replace the refresh token by its successor, if it still is the one that counts.

        Of any number of calls with the same token on any nodes, one returns True.
        """
        ...

    async def of(self, user_id: str) -> list[Login]:
        """Those of a user that are alive, last used first."""
        ...

    async def end(
        self,
        user_id: str,
        why: str,
        actor: Actor,
        *,
        only: str | None = None,
        keep: str | None = None,
        act: Act = "login.ended",
    ) -> list[EndedLogin]:
        """End logins of a user: the one called `only`, or all but `keep`; those that did end."""
        ...

    async def ended(self, since: int) -> list[EndedLogin]:
        """Those that ended after that time, and some before: see `ENDED_OVERLAP_MS`."""
        ...

    async def trim(self, keep: float) -> int:
        """Forget what ended or expired `keep` seconds ago, a bounded number at once."""
        ...


class Factors(Protocol):
    """Second factors: one TOTP secret a user, and recovery codes."""

    async def enrol(self, user_id: str, secret: bytes, actor: Actor) -> bool:
        """Set a secret that is to be confirmed; False when a confirmed one is there."""
        ...

    async def find(self, user_id: str) -> Factor | None:
        """The user's secret, confirmed or not."""
        ...

    async def attempt(self, user_id: str, limit: int, window: float) -> Attempt:
        """Count one try of a code, at most `limit` in any `window` seconds over all nodes."""
        ...

    async def confirm(
        self, user_id: str, secret: bytes, step: int, codes: Sequence[bytes], actor: Actor
    ) -> bool:
        """Let the secret count from now on, with these hashes of recovery codes.

        The step is used up, and the try not counted. False when this secret was confirmed before,
        or is gone.
        """
        ...

    async def accept(self, user_id: str, step: int) -> bool:
        """Use up the code of a time step; False when it, or a later one, was used before.

        A try that succeeds is not counted.
        """
        ...

    async def recover(self, user_id: str, code: bytes, actor: Actor) -> bool:
        """Use up the recovery code of this hash; False when there is none. As `accept`."""
        ...

    async def replace_codes(self, user_id: str, codes: Sequence[bytes], actor: Actor) -> bool:
        """Let only these recovery codes count; False without a confirmed secret."""
        ...

    async def disable(self, user_id: str, actor: Actor) -> bool:
        """Remove the secret and all recovery codes; False when there was none."""
        ...


class Clients(Protocol):
    """Service clients."""

    async def add(self, client: ServiceClient, actor: Actor) -> None:
        """Add a client.

        Raises:
            ClientTaken: its id or its name is in use.
        """
        ...

    async def find(self, client_id: str) -> ServiceClient | None:
        """The client with this id, unless it was removed."""
        ...

    async def all(self) -> list[ServiceClient]:
        """All that were not removed, by name."""
        ...

    async def remove(self, name: str, actor: Actor) -> bool:
        """Remove the client of that name; its tokens count no longer. False: there is none."""
        ...


class Keys(Protocol):
    """Keys that access tokens are signed with."""

    async def all(self) -> list[SigningKey]:
        """All keys whose tokens may still count, oldest first."""
        ...

    async def add(
        self,
        kid: str,
        algorithm: Algorithm,
        secret: bytes,
        actor: Actor,
        *,
        delay: float,
        keep: float,
        only_first: bool = False,
    ) -> bool:
        """Add a key that signs in `delay` seconds; the others of its algorithm retire then.

        What these have signed counts for another `keep` seconds. `only_first`: do nothing and
        return False when one of this algorithm is there.
        """
        ...


class Answers(Protocol):
    """What requests with an Idempotency-Key were answered."""

    async def claim(self, caller: str, key: str, digest: bytes, claim: str) -> Claim:
        """Ask whether this request is to be done, under a claim (a UUID) of its own.

        `digest` tells a repeated request from another one with the same key.
        """
        ...

    async def finish(self, caller: str, key: str, claim: str, answer: Answer) -> bool:
        """Keep the answer; False when the claim was another's by now, whose answer counts."""
        ...

    async def abandon(self, caller: str, key: str, claim: str) -> None:
        """Nothing was done: let the next one try."""
        ...

    async def trim(self) -> int:
        """Remove answers that are too old to be given again, a bounded number at once."""
        ...


class AccountStores(Struct, frozen=True):
    """All of these, of one directory."""

    audit: Audit
    profiles: Profiles
    logins: Logins
    factors: Factors
    clients: Clients
    keys: Keys
    answers: Answers
    erasures: Erasures
