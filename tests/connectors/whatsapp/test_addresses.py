from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat4all_connectors.whatsapp.addresses import ids, kind_of, normal, recipient

PHONES = st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True)
USERS = st.from_regex(r"[A-Z]{2}\.[A-Za-z0-9]{1,128}", fullmatch=True)
GROUP = "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAzNjM0MDQ2OTQyMzM4MjAZD"


@settings(max_examples=25, deadline=None)
@given(phone=PHONES)
def test_a_number_has_a_plus(phone: str) -> None:
    assert normal(phone) == normal(f"+{phone}") == f"+{phone}"
    assert recipient(phone) == {"recipient_type": "individual", "to": f"+{phone}"}


@settings(max_examples=25, deadline=None)
@given(user=USERS)
def test_a_user_id_goes_in_a_field_of_its_own(user: str) -> None:
    assert normal(user) == user
    assert recipient(user) == {"recipient_type": "individual", "recipient": user}


def test_everything_else_is_a_group() -> None:
    assert kind_of(GROUP) == "group"
    assert recipient(GROUP) == {"recipient_type": "group", "to": GROUP}


@settings(max_examples=25, deadline=None)
@given(phone=PHONES, user=USERS)
def test_a_number_goes_before_a_user_id(phone: str, user: str) -> None:
    assert ids(user, phone) == ids(phone, user) == (f"+{phone}", user)


@pytest.mark.parametrize(
    ("addresses", "known"),
    [
        ((None, None), ()),
        (("", "US.1349"), ("US.1349",)),
        (("US.1349", "US.1349"), ("US.1349",)),
        (("5511999", "+5511999"), ("+5511999",)),
    ],
)
def test_what_is_missing_or_told_twice_does_not_count(
    addresses: tuple[str | None, ...], known: tuple[str, ...]
) -> None:
    assert ids(*addresses) == known
