"""The user's conversations, as far as the server told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chat4all_protocol.frames import Conv, ConvState, Msg, Ready, Receipt


class Conversation(Struct, frozen=True):
    """A conversation at one moment."""

    id: str
    type: str
    """`private` or `group`."""
    head: int
    """The last `seq` known to exist."""
    read: int = 0
    """Where the user has read up to, on any device."""
    unread: int = 0
    """Messages of others after `read`: exact when the server tells it, counted on from there."""
    title: str | None = None
    peer: str | None = None
    """The other member of a private conversation."""
    members: tuple[str, ...] = ()
    """Empty until the server told them: see `Client.info`."""
    last_ts: int | None = None
    """When the last event happened that this client saw, in ms since the epoch."""
    left: bool = False
    """The user is no member any more."""

    @property
    def name(self) -> str:
        """What to call it."""
        return self.title or self.peer or ", ".join(self.members) or self.id


class Conversations:
    """All of them by id."""

    def __init__(self) -> None:
        self._all: dict[str, Conversation] = {}
        self._counted: dict[str, int] = {}  # up to here `unread` counts what `ready` counted
        self.user = ""

    @property
    def all(self) -> Mapping[str, Conversation]:
        """A live view."""
        return self._all

    def __iter__(self) -> Iterator[Conversation]:
        return iter(self._all.values())

    def get(self, id_: str) -> Conversation | None:
        """The conversation, if it is known."""
        return self._all.get(id_)

    def ready(self, ready: Ready) -> None:
        """A new connection, and what the server lists."""
        self.user = ready.user
        for state in ready.convs:
            self._listed(state)
        if not ready.more:
            listed = {state.conv for state in ready.convs}
            for id_, known in self._all.items():
                if id_ not in listed and not known.left:
                    self._all[id_] = replace(known, left=True, members=(), unread=0)

    def _listed(self, state: ConvState) -> None:
        known = self._all.get(state.conv)
        self._counted[state.conv] = state.head
        self._all[state.conv] = Conversation(
            id=state.conv,
            type=state.type,
            head=state.head,
            read=state.read,
            unread=state.unread,
            title=state.title,
            peer=state.peer,
            members=known.members if known is not None else (),
            last_ts=known.last_ts if known is not None else None,
        )

    def changed(self, conv: Conv) -> None:
        """It was created or changed, or asked for."""
        known = self._all.get(conv.conv) or Conversation(conv.conv, conv.type, conv.head)
        if conv.left:
            self._all[conv.conv] = replace(known, left=True, members=(), unread=0)
            return
        peer = known.peer
        if conv.type == "private":
            peer = next((name for name in conv.members if name != self.user), peer)
        details = (conv.details or {}).get(self.user)
        self._all[conv.conv] = replace(
            known,
            head=max(known.head, conv.head),
            read=max(known.read, details.read) if details is not None else known.read,
            title=conv.title,
            peer=peer,
            members=tuple(conv.members),
            left=False,
        )

    def happened(self, event: Msg) -> None:
        """An event passed on, in order."""
        known = self._all.get(event.conv)
        if known is None:
            return
        changed = event.meta if event.kind == "change" and event.meta is not None else {}
        counts = event.kind == "message" and event.from_ != self.user
        new = counts and event.seq > max(known.read, self._counted.get(event.conv, 0))
        self._all[event.conv] = replace(
            known,
            head=max(known.head, event.seq),
            unread=known.unread + 1 if new else known.unread,
            last_ts=max(known.last_ts or 0, event.ts),
            title=changed.get("title", known.title),
        )

    def receipt(self, receipt: Receipt) -> None:
        """A member's watermarks moved."""
        if receipt.user == self.user:
            self.read(receipt.conv, receipt.read)

    def read(self, id_: str, seq: int) -> None:
        """The user has read up to `seq`."""
        known = self._all.get(id_)
        if known is None or seq <= known.read:
            return
        seq = min(seq, known.head)
        self._all[id_] = replace(known, read=seq, unread=min(known.unread, known.head - seq))
