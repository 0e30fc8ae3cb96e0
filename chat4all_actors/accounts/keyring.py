"""Keys for access tokens that are kept in the directory, and change without anybody noticing.

A key that is added signs after a delay, when every node has learned it; the one before verifies
until all it signed has expired. `kid` is looked up in a dictionary and nothing else; each key has
one algorithm. Without any (HS256 by default), tokens are signed with the server's own key.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Final, NoReturn

import trio
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm
from msgspec import Struct

from chat4all_storage.ports.audit import NODE
from chat4all_storage.ports.errors import StorageError

from .rotation import DELAY, EVERY, KEPT
from .sealing import KEY_BYTES, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_storage.ports.audit import Actor
    from chat4all_storage.ports.keys import Algorithm, Keys, SigningKey

    from .sealing import Sealing

logger = logging.getLogger(__name__)

RSA_BITS: Final = 2048


class Key(Struct, frozen=True):
    """A key that is ready for use."""

    kid: str
    algorithm: Algorithm
    private: Any
    public: Any
    """The same as `private` for HS256."""
    active_from: float
    """Seconds since the epoch."""


class Keyring:
    """The keys of one node."""

    def __init__(
        self,
        store: Keys,
        sealing: Sealing,
        algorithm: Algorithm,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._sealing = sealing
        self._algorithm = algorithm
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._unreadable: set[str] = set()
        self._failing = False

    def signing(self) -> Key | None:
        """The latest key that is to sign by now; None: the server's own."""
        now = self._clock()
        found = [
            key
            for key in self._keys.values()
            if key.algorithm == self._algorithm and key.active_from <= now
        ]
        return max(found, key=lambda key: (key.active_from, key.kid), default=None)

    def get(self, kid: str) -> Key | None:
        """The key of that id, unless all it signed has expired."""
        return self._keys.get(kid)

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public keys as a JSON Web Key Set; what HS256 signs nobody else can verify."""
        return {"keys": [_jwk(key) for key in self._keys.values() if key.algorithm != "HS256"]}

    async def load(self) -> None:
        """Read the keys; makes the first one if the algorithm needs it.

        Raises:
            StorageError: the directory failed.
        """
        stored = await self._store.all()
        if self._algorithm != "HS256" and all(k.algorithm != self._algorithm for k in stored):
            # Nobody could sign otherwise, so it counts at once.
            await add_key(
                self._store, self._sealing, self._algorithm, NODE, delay=0.0, only_first=True
            )
            stored = await self._store.all()
        self._keys = {
            each.kid: key for each in stored if (key := self._known(each) or self._open(each))
        }

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Keep up with the directory until cancelled; ready when keys are known."""
        ready = False
        while True:
            if await self._try() and not ready:
                ready = True
                task_status.started()
            await trio.sleep(EVERY)

    async def _try(self) -> bool:
        try:
            await self.load()
        except StorageError as error:
            if not self._failing:
                logger.warning("the signing keys can't be read: %s", error)
            self._failing = True
            return False
        self._failing = False
        return True

    def _known(self, stored: SigningKey) -> Key | None:
        return self._keys.get(stored.kid)

    def _open(self, stored: SigningKey) -> Key | None:
        try:
            plain = self._sealing.unseal("signing keys", stored.kid, stored.secret)
        except Unreadable:
            if stored.kid not in self._unreadable:
                self._unreadable.add(stored.kid)
                logger.error("signing key %s was sealed with another server's key", stored.kid)
            return None
        private: Any = plain
        public: Any = plain
        if stored.algorithm != "HS256":
            private = load_der_private_key(plain, None)
            public = private.public_key()
        active_from = stored.active_from / 1000
        return Key(stored.kid, stored.algorithm, private, public, active_from)


def _jwk(key: Key) -> dict[str, Any]:
    algorithm = RSAAlgorithm if key.algorithm == "RS256" else OKPAlgorithm
    found: dict[str, Any] = algorithm.to_jwk(key.public, as_dict=True)
    found.pop("key_ops", None)  # `use` says it, and both are not to be given together
    return found | {"kid": key.kid, "alg": key.algorithm, "use": "sig"}


async def add_key(
    store: Keys,
    sealing: Sealing,
    algorithm: Algorithm,
    actor: Actor,
    *,
    delay: float = DELAY,
    only_first: bool = False,
) -> str | None:
    """Add a key that signs in `delay` seconds; its id, or None if `only_first` and it is not.

    Raises:
        StorageError: the directory failed.
    """
    kid = secrets.token_hex(8)
    plain = await trio.to_thread.run_sync(_make, algorithm)  # RSA takes a moment
    sealed = sealing.seal("signing keys", kid, plain)
    added = await store.add(
        kid, algorithm, sealed, actor, delay=delay, keep=KEPT, only_first=only_first
    )
    return kid if added else None


def _make(algorithm: Algorithm) -> bytes:
    if algorithm == "HS256":
        return secrets.token_bytes(KEY_BYTES)
    private = (
        rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        if algorithm == "RS256"
        else ed25519.Ed25519PrivateKey.generate()
    )
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
