"""The second factor: time-based one-time passwords (RFC 6238), and recovery codes.

Each time step counts once, the one before and the one after are accepted too, and all nodes
together allow a few tries in five minutes for an account: the directory decides each of these in
one statement.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import TYPE_CHECKING, Final, NoReturn

import pyotp
from msgspec import Struct

from chat4all_storage.ports.audit import user_subject

from .errors import CodeRefused, Throttled, WrongState
from .sealing import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_storage.ports.accounts import AccountStores
    from chat4all_storage.ports.audit import Actor
    from chat4all_storage.ports.factors import Factor

    from .sealing import Sealing

STEP: Final = 30
"""Seconds of a time step."""
AROUND: Final = (-1, 0, 1)
"""Steps that are accepted, from the current one: clocks differ, and people type slowly."""
DIGITS: Final = 6
RECOVERY_CODES: Final = 10
RECOVERY_BYTES: Final = 10
"""80 bits: too many to guess, even without the limit of tries."""
ISSUER: Final = "chat4all"


class Enrolment(Struct, frozen=True):
    """What an authenticator app has to be given."""

    secret: str
    """In base32."""
    uri: str
    """`otpauth://…`, to be shown as a QR code."""


class SecondFactors:
    """The second factors of all accounts."""

    def __init__(
        self,
        stores: AccountStores,
        sealing: Sealing,
        clock: Callable[[], float],
        *,
        attempts: int = 5,
        window: float = 300.0,
    ) -> None:
        """At most `attempts` codes may be tried in vain in any `window` seconds."""
        self._store = stores.factors
        self._audit = stores.audit
        self._sealing = sealing
        self._clock = clock
        self._attempts = attempts
        self._window = window

    async def required(self, user_id: str) -> bool:
        """Whether this user's password is not enough."""
        factor = await self._store.find(user_id)
        return factor is not None and factor.confirmed

    async def enrol(self, user_id: str, username: str, actor: Actor) -> Enrolment:
        """Make a secret, which counts when `confirm` has seen a code of it.

        Raises:
            WrongState: the account has a second factor.
        """
        secret = pyotp.random_base32()
        sealed = self._sealing.seal("second factors", user_id, secret.encode())
        if not await self._store.enrol(user_id, sealed, actor):
            raise WrongState("the account has a second factor: disable it first")
        uri = pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=ISSUER)
        return Enrolment(secret, uri)

    async def confirm(self, user_id: str, code: str, actor: Actor) -> list[str]:
        """Let the secret count from now on; the recovery codes, which are told only now.

        Raises:
            WrongState: nothing is to be confirmed.
            CodeRefused, Throttled: as `check`.
        """
        factor = await self._attempt(user_id)
        if factor is None or factor.confirmed:
            raise WrongState("no second factor waits for being confirmed")
        step = self._step_of(user_id, factor, code)
        if step is not None:
            codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
            hashes = [self._hash(user_id, each) for each in codes]
            if await self._store.confirm(user_id, factor.secret, step, hashes, actor):
                return codes
        await self._refuse(user_id, actor)

    async def check(self, user_id: str, code: str, actor: Actor) -> None:
        """Use up a code of the authenticator, or a recovery code.

        Raises:
            CodeRefused: it does not fit, or was used before.
            Throttled: too many were tried.
        """
        factor = await self._attempt(user_id)
        if factor is not None and factor.confirmed:
            step = self._step_of(user_id, factor, code)
            if step is not None:
                if await self._store.accept(user_id, step):
                    return
            elif await self._store.recover(user_id, self._hash(user_id, code), actor):
                return
        await self._refuse(user_id, actor)

    async def replace_codes(self, user_id: str, actor: Actor) -> list[str]:
        """New recovery codes in place of the former ones.

        Raises:
            WrongState: the account has no second factor.
        """
        codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
        hashes = [self._hash(user_id, each) for each in codes]
        if not await self._store.replace_codes(user_id, hashes, actor):
            raise WrongState("the account has no second factor")
        return codes

    async def disable(self, user_id: str, actor: Actor) -> None:
        """Let the password be enough again.

        Raises:
            WrongState: the account has no second factor.
        """
        if not await self._store.disable(user_id, actor):
            raise WrongState("the account has no second factor")

    async def _attempt(self, user_id: str) -> Factor | None:
        attempt = await self._store.attempt(user_id, self._attempts, self._window)
        if attempt.wait:
            raise Throttled(attempt.wait)
        return attempt.factor

    async def _refuse(self, user_id: str, actor: Actor) -> NoReturn:
        await self._audit.note("totp.refused", user_subject(user_id), actor, {})
        raise CodeRefused("the code does not fit, or was used before")

    def _step_of(self, user_id: str, factor: Factor, code: str) -> int | None:
        """The time step whose code this is, if it may be used now."""
        try:
            secret = self._sealing.unseal("second factors", user_id, factor.secret).decode()
        except Unreadable as error:
            raise WrongState(
                "the second factor was enrolled under another server key: use a recovery code"
            ) from error
        totp = pyotp.TOTP(secret, digits=DIGITS, interval=STEP)
        now = int(self._clock()) // STEP
        found = None
        for step in (now + offset for offset in AROUND):
            # All of them, always: the time tells nothing.
            fits = hmac.compare_digest(totp.generate_otp(step).encode(), code.encode())
            if fits and step > factor.last_step:
                found = step
        return found

    def _hash(self, user_id: str, code: str) -> bytes:
        plain = code.replace("-", "").replace(" ", "").upper()
        return self._sealing.mac("recovery codes", f"{user_id} {plain}".encode())


def _recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))
