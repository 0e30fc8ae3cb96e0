"""What an account sends stays within its rates, and is sent as soon as they let it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.channels.rates import SHARE, Rates
from chat4all_connectors.capabilities import Rate

FAST = Rate(per_second=1e6, burst=1_000_000)


def sent(rates: Rates, chat: str, count: int, now: float) -> list[float]:
    """When so many calls are made, each as soon as it may be."""
    times: list[float] = []
    for _ in range(count):
        now = rates.ready_at(chat, now)
        rates.take(chat, now)
        times.append(now)
    return times


def test_a_chat_takes_its_burst_at_once_and_its_rate_after_that() -> None:
    rates = Rates(FAST, Rate(per_second=0.5, burst=3))
    assert sent(rates, "ana", 5, 100.0) == pytest.approx([100, 100, 100, 102, 104])


def test_a_chat_has_no_part_in_what_another_has_used() -> None:
    rates = Rates(FAST, Rate(per_second=1, burst=1))
    assert sent(rates, "ana", 2, 0.0) == pytest.approx([0, 1])
    assert rates.ready_at("bob", 1.0) == 1.0


def test_all_chats_together_keep_to_the_rate_of_the_account() -> None:
    rates = Rates(Rate(per_second=2, burst=2), FAST)
    times = [sent(rates, chat, 1, 0.0)[0] for chat in ("ana", "bob", "cid", "dan")]
    assert times == pytest.approx([0, 0, 0.5, 1.0])


def test_looking_when_it_is_ready_uses_nothing() -> None:
    rates = Rates(Rate(1, 1), Rate(1, 1))
    assert [rates.ready_at("ana", 5.0) for _ in range(3)] == [5.0] * 3
    assert len(rates) == 0


def test_rest_gives_back_the_burst_but_never_more() -> None:
    rates = Rates(FAST, Rate(per_second=1, burst=2))
    sent(rates, "ana", 2, 0.0)
    assert sent(rates, "ana", 3, 1000.0) == pytest.approx([1000, 1000, 1001])


def test_a_chat_that_the_provider_holds_back_waits_and_others_do_not() -> None:
    rates = Rates(FAST, FAST)
    rates.hold("chat", "ana", 30.0, now=0.0)
    assert rates.ready_at("ana", 0.0) == 30.0
    assert rates.ready_at("bob", 0.0) == 0.0


def test_an_account_that_the_provider_holds_back_sends_to_nobody() -> None:
    rates = Rates(FAST, FAST)
    rates.hold("account", "ana", 30.0, now=0.0)
    assert rates.ready_at("bob", 0.0) == 30.0
    assert rates.ready_at("bob", 31.0) == 31.0


def test_of_two_holds_the_longer_one_counts() -> None:
    rates = Rates(FAST, FAST)
    rates.hold("chat", "ana", 30.0, now=0.0)
    rates.hold("chat", "ana", 10.0, now=1.0)
    assert rates.ready_at("ana", 2.0) == 30.0


def test_a_call_before_its_time_is_paid_by_the_next_one() -> None:
    rates = Rates(FAST, Rate(per_second=1, burst=1))
    for _ in range(3):
        rates.take("ana", 0.0)
    assert rates.ready_at("ana", 0.0) == pytest.approx(3.0)


def test_chats_at_rest_are_forgotten_for_new_ones_and_no_others_are() -> None:
    rates = Rates(FAST, Rate(per_second=1, burst=1), max_chats=10)
    rates.hold("chat", "held", 1e6, now=0.0)
    for number in range(1000):
        rates.take(f"chat {number}", float(number) * 2)
    assert len(rates) <= 10
    assert rates.ready_at("held", 2000.0) == 1e6


def test_when_no_chat_is_at_rest_those_that_would_soonest_be_are_forgotten() -> None:
    rates = Rates(FAST, FAST, max_chats=2 * SHARE)
    for number in range(2 * SHARE + 1):
        rates.hold("chat", f"chat {number:02}", 200.0 - number, now=0.0)
    assert len(rates) == 2 * SHARE - 1
    ready = [rates.ready_at(f"chat {number:02}", 0.0) for number in range(28, 33)]
    assert ready == [172.0, 171.0, 0.0, 0.0, 168.0]


def test_every_chat_at_rest_is_forgotten_at_once_when_there_is_no_room() -> None:
    rates = Rates(FAST, Rate(per_second=1, burst=1), max_chats=10)
    for number in range(10):
        rates.take(f"chat {number}", 0.0)
    rates.take("another", 1.0)
    assert len(rates) == 1


def test_one_chat_is_room_enough() -> None:
    rates = Rates(FAST, Rate(1, 1), max_chats=1)
    for chat in ("ana", "bob", "ana"):
        rates.take(chat, 0.0)
    assert len(rates) == 1


@pytest.mark.parametrize("rate", [Rate(0, 1), Rate(-1, 1), Rate(float("nan"), 1), Rate(1, 0)])
def test_a_rate_at_which_nothing_would_be_sent_is_refused(rate: Rate) -> None:
    with pytest.raises(ValueError, match="more than 0 per second"):
        Rates(rate, FAST)
    with pytest.raises(ValueError, match="more than 0 per second"):
        Rates(FAST, rate)


rate = st.builds(Rate, st.floats(0.1, 100), st.integers(1, 10))


def room(times: list[float], rate: Rate, at: float) -> bool:
    """Whether one more at that time stays within the rate, over any span that ends with it."""
    counted = enumerate(reversed(times), start=2)
    return all(
        count <= rate.burst + (at - start) * rate.per_second + 1e-6 for count, start in counted
    )


@given(rate, rate, st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=40))
def test_what_is_sent_when_it_is_ready_stays_within_both_rates_and_could_not_be_sent_sooner(
    account: Rate, chat: Rate, wishes: list[tuple[str, float]]
) -> None:
    rates, now = Rates(account, chat), 0.0
    everything: list[float] = []
    chats: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    for who, pause in wishes:
        wished = now + pause
        now = rates.ready_at(who, wished)
        assert room(everything, account, now)
        assert room(chats[who], chat, now)
        sooner = now - 0.001 * max(1 / account.per_second, 1 / chat.per_second)
        if sooner > wished:
            assert not (room(everything, account, sooner) and room(chats[who], chat, sooner))
        rates.take(who, now)
        everything.append(now)
        chats[who].append(now)
