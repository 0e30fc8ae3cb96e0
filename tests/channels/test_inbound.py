"""What came in, as it is kept."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.channels.inbound import kept, read
from chat4all_connectors.incoming import (
    AccountNotice,
    ChatMoved,
    Contact,
    Deleted,
    Edited,
    Event,
    Media,
    Reachability,
    Reacted,
    Receipt,
    Received,
)

EVENTS = st.one_of(
    *(
        st.builds(kind)
        for kind in (
            AccountNotice,
            ChatMoved,
            Deleted,
            Edited,
            Reachability,
            Reacted,
            Receipt,
            Received,
        )
    )
)


@given(EVENTS)
def test_every_event_is_read_as_it_was_told(event: Event) -> None:
    (incoming,) = kept([event])
    assert incoming.key == event.key
    assert read(incoming.body) == event


def test_a_file_and_its_sender_are_kept() -> None:
    media = Media(ref="r", kind="image", mime="image/png", name="a.png", size=3)
    sender = Contact(id="7", name="Ana", handle="ana", aliases=("8",))
    said = Received(key="k", chat="7", sender=sender, message="m", at=1, media=media)
    assert read(kept([said])[0].body) == said


def test_what_another_version_wrote_may_not_be_readable() -> None:
    with pytest.raises(msgspec.DecodeError):
        read(b'{"event": "teleported"}')
