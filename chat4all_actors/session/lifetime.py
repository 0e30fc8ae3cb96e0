"""Whose a session is, whether anybody is there, and what ends it.

| what | close code |
|---|---|
| no `connect` in time | 3502 |
| the client takes too little for too long | 3008 |
| the token has ended; it was revoked, or its login has ended | 3005, 3507 |
| nothing came, not even an answer to a ping | 3012 |
| the same device connected again; it did so as this node told it to | 3504, 3001 |
| a fault of ours | 3004 |

A client that does not close in its turn is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_protocol.codes import CloseCode

from ..limits.limits import MESSAGES
from .delivery import Delivery

if TYPE_CHECKING:
    from ..accounts.tokens import Identity
    from .outlet import Outlet
    from .services import Services


class Lifetime(Delivery):
    """A session from its greeting to its end; the `Pulse` of its time-outs."""

    __slots__ = (
        "_acted",
        "_closing",
        "_deadline",
        "_idle",
        "_moving",
        "_seen",
        "_unanswered",
        "background",
        "birth",
        "conversations",
        "device",
        "expires_at",
        "issued_at",
        "login",
        "user",
        "user_id",
    )

    def __init__(self, services: Services, outlet: Outlet) -> None:
        super().__init__(services, outlet)
        self.user = ""
        self.user_id = ""
        self.device = ""
        self.birth = 0
        """See `messages.Reader`."""
        self.conversations: list[str] = []
        """Those it has entered, perhaps left since."""
        self.expires_at = float("inf")
        """When the token ends, in seconds since the epoch."""
        self.issued_at = 0
        """When the token was made, likewise."""
        self.login: str | None = None
        """The login that the token belongs to."""
        self.background = False
        """Nobody is in front of the device, as the client says."""
        self._seen = services.heartbeat.now
        self._unanswered = 0
        """1 since a ping was sent, 2 since its answer was due; 0 when something came."""
        self._acted = self._seen
        """When the user last did anything."""
        self._idle = False
        self._moving: int | None = None
        """The client was told to connect elsewhere, in so many milliseconds."""
        self._closing = False
        self._deadline: float | None = self._seen + services.settings.connect_timeout
        """For `connect` to come or, when closing, for the other side to close."""

    # --- whose it is --------------------------------------------------------------------------

    def identify(self, identity: Identity, device: str) -> None:
        """The client has shown who it is."""
        self.user = identity.username
        self.user_id = identity.user_id
        self.device = device
        self.show(identity)
        self.services.limits.watch(MESSAGES, self.user)

    def show(self, identity: Identity) -> None:
        """The client has shown a token that counts."""
        self.expires_at = identity.expires_at
        self.issued_at = identity.issued_at
        self.login = identity.login

    # --- whether anybody is there -------------------------------------------------------------

    def touched(self) -> None:
        """Something came from the client."""
        self._seen = self.services.heartbeat.now
        self._unanswered = 0

    def acted(self) -> None:
        """The client sent something that shows that its user is there."""
        self._acted = self.services.heartbeat.now
        if self._idle:
            self._turn(idle=False)

    def put_in_background(self, background: bool) -> None:
        """Whether nobody is in front of the device, as the client says."""
        self.background = background
        self._turn(idle=self._idle)

    def _turn(self, *, idle: bool) -> None:
        self._idle = idle
        self.services.presence.turn(self, away=idle or self.background)

    def deliver_presence(self, data: bytes) -> bool:
        """See `watching.Watcher`."""
        return self._closing or self.pass_on(data)

    # --- what ends it -------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether it is closing, or closed."""
        return self._closing

    def close(self, code: CloseCode, reason: str, *, discard: bool = False) -> None:
        """End the connection; the client learns the code if it still listens."""
        if self._closing:
            return
        self._stop()
        self._deadline = self.services.heartbeat.now + self.services.settings.close_timeout
        self.services.heartbeat.hurry(self)
        self.outlet.close(code, reason, discard=discard)

    def _stop(self) -> None:
        """Nothing more is for the client, who is gone or being closed."""
        self._closing = True
        self.hears = False

    def close_internal(self) -> None:
        """See `messages.Reader`."""
        self.close(CloseCode.INTERNAL, "please connect again")

    def replaced(self) -> None:
        """See `messages.Reader`."""
        if self._moving is not None:
            self.close(CloseCode.DRAINING, "moved")  # as it was told to
        else:
            self.close(CloseCode.REPLACED, "the same device connected again")

    def revoked(self, valid_from: int) -> None:
        """See `messages.Reader`."""
        if self.issued_at < valid_from:
            self.close(CloseCode.REVOKED, "the token was revoked")

    def logged_out(self, login: str) -> None:
        """See `messages.Reader`."""
        if self.login == login:
            self.close(CloseCode.REVOKED, "the login has ended")

    def beat(self, now: float) -> None:
        """See `heartbeat.Pulse`."""
        settings = self.services.settings
        if self._deadline is not None and now >= self._deadline:
            if self._closing:
                self.outlet.abort()
            else:
                self.close(CloseCode.NO_CONNECT, "no connect in time")
        elif self._closing:
            return
        elif self.behind(now):
            self.close(CloseCode.TOO_SLOW, "too slow", discard=True)
        elif self.services.wall_clock() >= self.expires_at:
            self.close(CloseCode.TOKEN_EXPIRED, "the token has expired")
        elif now - self._acted >= settings.away_after and not self._idle:
            self._turn(idle=True)
        elif now - self._seen >= settings.heartbeat:
            # Visits may come late: nobody is given up who was not asked before. On a busy node the
            # answer may lie in the socket when it is due: it has until the next visit to be read.
            if not self._unanswered:
                self._unanswered = 1
                self.outlet.ping()
            elif now - self._seen >= settings.heartbeat + settings.heartbeat_grace:
                if self._unanswered == 1:
                    self._unanswered = 2
                else:
                    self.close(CloseCode.NO_HEARTBEAT, "no sign of life")
