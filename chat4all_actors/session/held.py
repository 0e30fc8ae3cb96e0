"""Events that wait until older ones of their conversation have been replayed."""

from __future__ import annotations

from msgspec import Struct

from chat4all_protocol.frames import Gap

from ..wire import framed


class _Hold(Struct):
    chunks: list[bytes]
    gap: tuple[int, int] | None = None


class Held:
    """Those of one session, bounded in bytes: beyond the bound they become a gap."""

    def __init__(self, conversations: list[str], max_bytes: int) -> None:
        self._holds: dict[str, _Hold] = {id_: _Hold([]) for id_ in conversations}
        self._room = max_bytes

    def take(self, conversation: str, first: int, last: int, data: bytes) -> bool:
        """Hold events `first`..`last` back; False if nothing of the conversation is held."""
        hold = self._holds.get(conversation)
        if hold is None:
            return False
        if hold.gap is not None:
            hold.gap = (hold.gap[0], last)
        elif len(data) > self._room:
            hold.gap = (first, last)
        else:
            self._room -= len(data)
            hold.chunks.append(data)
        return True

    def release(self, conversation: str) -> bytes:
        """Everything that was held of the conversation; from now on nothing is."""
        hold = self._holds.pop(conversation, None)
        if hold is None:
            return b""
        if hold.gap is not None:
            hold.chunks.append(framed(Gap(conv=conversation, from_=hold.gap[0], to=hold.gap[1])))
        return b"".join(hold.chunks)

    def drop(self, conversation: str) -> None:
        """The reader left the conversation."""
        self._holds.pop(conversation, None)

    def __contains__(self, conversation: str) -> bool:
        return conversation in self._holds
