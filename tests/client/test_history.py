from __future__ import annotations

from chat4all_client.conversations import Conversations
from chat4all_client.cursors import Cursors
from chat4all_client.history import MAX_FETCHES, History
from chat4all_protocol import frames as f
from tests.client.model import CONV, ME, OTHER, conversation_id


def a_history(kept: Cursors | None = None) -> History:
    conversations = Conversations()
    conversations.user = ME
    return History(conversations, kept, event_buffer=200)


def ready(*states: f.ConvState, more: bool = False) -> f.Ready:
    return f.Ready("s", ME, 0, list(states), more)


def state(conv: str, head: int, *, recv: int = 0, type_: str = "private") -> f.ConvState:
    return f.ConvState(conv, type_, head, read=0, recv=recv, unread=0)


def event(conv: str, seq: int) -> f.Msg:
    return f.Msg(conv, seq, conversation_id(seq), OTHER, 0, f.TextBody(str(seq)))


def test_a_client_without_cursors_begins_at_the_heads_and_keeps_them() -> None:
    history = a_history()
    history.connected(ready(state(CONV, 7)), {})
    assert history.take(0) is None
    assert history.save() == Cursors({CONV: 7}, complete=True)


def test_a_new_private_conversation_begins_at_its_first_event() -> None:
    history = a_history(Cursors({}, complete=True))
    history.changed(f.Conv(CONV, "private", [ME, OTHER], head=3))
    fetch = history.take(0)
    assert fetch is not None
    assert (fetch.after, fetch.before) == (0, None)


def test_a_group_begins_where_the_user_joined_and_is_kept_so() -> None:
    history = a_history(Cursors({}, complete=True))
    history.changed(f.Conv(CONV, "group", [ME, OTHER], head=3))
    assert history.cursors() == {}
    fetch = history.take(0)
    assert fetch is not None
    assert (fetch.after, fetch.before) == (None, None)
    joined = f.Msg(CONV, 3, conversation_id(3), OTHER, 0, f.MemberBody(ME), kind="join")
    history.page(fetch, f.Page(1, CONV, [event(CONV, 2), joined], more=True), 0)
    assert history.save().positions == {CONV: 2}
    assert history.cursors() == {CONV: 2}


def test_with_more_conversations_than_were_listed_unknown_ones_begin_where_they_are() -> None:
    history = a_history()
    history.connected(ready(more=True), {})
    history.changed(f.Conv(CONV, "private", [ME, OTHER], head=30))
    assert history.take(0) is None
    other = conversation_id(1)
    history.connected(ready(state(other, 9, recv=6), more=True), {CONV: 30})
    fetch = history.take(0)
    assert fetch is not None
    assert (fetch.conv, fetch.after) == (other, 6)


def test_with_more_conversations_than_are_listed_those_without_a_cursor_are_asked_for() -> None:
    positions = {conversation_id(number): 1 for number in range(1001)}
    history = a_history(Cursors(positions, complete=True))
    sent = history.cursors()
    assert len(sent) == 1000
    history.connected(ready(more=True), sent)
    fetch = history.take(0)
    assert fetch is not None
    assert (fetch.conv, fetch.after) == (conversation_id(0), 1)
    assert history.take(0) is None


def test_the_latest_activity_comes_first_in_the_cursors() -> None:
    history = a_history(Cursors({conversation_id(number): 0 for number in range(3)}))
    history.receive(event(conversation_id(0), 1))
    assert list(history.cursors()) == [conversation_id(number) for number in (0, 2, 1)]


def test_few_fetches_are_made_at_once() -> None:
    history = a_history(Cursors({conversation_id(number): 0 for number in range(9)}))
    for number in range(9):
        history.announce(conversation_id(number), 1, 5)
    fetches = [fetch for _ in range(9) if (fetch := history.take(0)) is not None]
    assert len(fetches) == MAX_FETCHES
    history.unanswered(fetches[0])
    again = history.take(0)
    assert again is not None


def test_a_fetch_that_brings_nothing_is_repeated_ever_more_rarely() -> None:
    history = a_history(Cursors({CONV: 0}))
    history.announce(CONV, 1, 5)
    now, waits = 0.0, []
    for _ in range(7):
        fetch = history.take(now)
        assert fetch is not None
        history.page(fetch, f.Page(1, CONV, [], more=False), now)
        waits.append(history.next_time() - now)
        now = history.next_time()
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_a_fetch_refused_for_a_time_is_made_later_and_one_refused_for_good_never() -> None:
    history = a_history(Cursors({CONV: 0}))
    history.announce(CONV, 1, 5)
    fetch = history.take(0)
    assert fetch is not None
    history.refused(fetch, f.Error("UNAVAILABLE", "", temporary=True, retry_after_ms=2000), 0)
    assert history.take(1.9) is None
    fetch = history.take(2)
    assert fetch is not None
    assert history.catching_up == 1
    history.refused(fetch, f.Error("NOT_FOUND", "", temporary=False), 2)
    assert history.take(100) is None
    assert history.catching_up == 0
