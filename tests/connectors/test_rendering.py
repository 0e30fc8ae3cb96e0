"""Texts are split where people would do it, and lose nothing but blanks."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_connectors import rendering
from chat4all_connectors.capabilities import TextLimit, Unit
from chat4all_connectors.rendering import split_text

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
BRAZIL = "\U0001f1e7\U0001f1f7"
WAVE = "\U0001f44b\U0001f3fd"
ACCENT = "e\u0301"
UNITS: list[Unit] = ["characters", "utf16", "bytes"]

pieces = st.lists(
    st.sampled_from(
        ["a", "é", "世", "😀", ACCENT, FAMILY, BRAZIL, WAVE, " ", "\n", "\n\n", "\r\n", "\t"]
    ),
    max_size=60,
).map("".join)
texts = st.one_of(pieces, st.text(st.characters(exclude_categories=["Cs"])))
limits = st.builds(TextLimit, st.integers(4, 40), st.sampled_from(UNITS))


def without_blanks(text: str) -> str:
    return re.sub(r"\s", "", text)


@given(texts, limits)
def test_every_part_fits_and_nothing_but_blanks_is_lost(text: str, limit: TextLimit) -> None:
    parts = split_text(text, limit)
    assert all(limit.fits(part) for part in parts)
    assert without_blanks("".join(parts)) == without_blanks(text)


@given(texts, limits)
def test_no_part_is_empty_unless_the_text_was(text: str, limit: TextLimit) -> None:
    assert "" not in split_text(text, limit) or text == ""


@given(st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), max_size=80), limits)
def test_a_text_without_blanks_takes_as_few_parts_as_it_can_up_to_its_marks(
    text: str, limit: TextLimit
) -> None:
    assert "".join(split_text(text, limit)) == text


def test_a_text_that_fits_is_left_as_it_is() -> None:
    assert split_text("  as it is\n\n", TextLimit(40)) == ["  as it is\n\n"]


def test_it_is_split_between_paragraphs_first() -> None:
    assert split_text("one two\nthree\n\nfour five", TextLimit(20)) == [
        "one two\nthree",
        "four five",
    ]


def test_a_paragraph_ends_a_part_before_a_line_further_on_does() -> None:
    assert split_text("aaaa bbbb\n\ncc\ndddddd", TextLimit(16)) == ["aaaa bbbb", "cc\ndddddd"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("aaaa b c d", ["aaaa b c", "d"]),
        ("aaaaa aaa bb", ["aaaaa aaa", "bb"]),
        ("aaaaaaaaa bbbbbb cc dd", ["aaaaaaaaa", "bbbbbb", "cc dd"]),
    ],
)
def test_it_is_split_at_the_last_place_that_fits(text: str, parts: list[str]) -> None:
    assert split_text(text, TextLimit(9)) == parts


def test_blanks_at_the_beginning_stay() -> None:
    assert split_text("  aaa bbb ccc", TextLimit(9)) == ["  aaa bbb", "ccc"]


def test_a_line_end_of_two_characters_is_left_out_whole() -> None:
    assert split_text("aaaaaaaaaa\r\n  b", TextLimit(10)) == ["aaaaaaaaaa", "  b"]


def test_then_between_lines_and_then_between_words() -> None:
    assert split_text("one two\nthree four", TextLimit(12)) == ["one two", "three four"]
    assert split_text("one two three", TextLimit(10)) == ["one two", "three"]


def test_a_part_is_at_least_half_full_before_a_better_place_is_taken() -> None:
    assert split_text("a\n\nbcdefgh ijklmnop", TextLimit(12)) == ["a\n\nbcdefgh", "ijklmnop"]


def test_how_far_a_line_is_indented_stays() -> None:
    assert split_text("if this:\n    do that", TextLimit(12)) == ["if this:", "    do that"]


@pytest.mark.parametrize("whole", [FAMILY, BRAZIL, WAVE, ACCENT, "\U0001f3f4\U000e0067\U000e007f"])
def test_what_people_see_as_one_character_is_not_torn(whole: str) -> None:
    text = "x" * (10 - len(whole) + 1) + whole
    assert split_text(text, TextLimit(10)) == [text.removesuffix(whole), whole]


def test_flags_are_split_between_each_other() -> None:
    assert split_text(BRAZIL * 5, TextLimit(5)) == [BRAZIL * 2, BRAZIL * 2, BRAZIL]


def test_more_marks_than_fit_together_are_torn_all_the_same() -> None:
    text = "e" + "\u0301" * 30
    assert split_text(text, TextLimit(10)) == [text[:10], text[10:20], text[20:30], text[30:]]


@pytest.mark.parametrize(("unit", "fit"), [("characters", 8), ("utf16", 4), ("bytes", 2)])
def test_it_is_counted_in_the_unit_of_the_limit(unit: Unit, fit: int) -> None:
    assert len(split_text("😀" * 8, TextLimit(8, unit))) == 8 // fit


def test_nothing_is_left_of_blanks_that_do_not_fit() -> None:
    assert split_text(" " * 30, TextLimit(10)) == []


def test_a_limit_that_fits_no_character_still_comes_to_an_end() -> None:
    assert split_text("世界", TextLimit(1, "bytes")) == ["世", "界"]


def test_notes_are_words_for_people() -> None:
    assert rendering.location(-23.55041, -46.6339) == "a location: -23.5504, -46.6339"
    assert rendering.location(1, 2, "Sé", "Praça 1") == "a location: Sé, Praça 1 (1, 2)"
    assert rendering.contact("Ana", ["+55 11", "+55 12"]) == "a contact: Ana, +55 11, +55 12"
    assert rendering.poll("Where?", ["Here", "There"]) == "a poll: Where? 1. Here 2. There"
    assert rendering.poll("Where?", []) == "a poll: Where?"
    film = "film.mp4 (31.5 MB), which is too large to come here"
    assert rendering.too_large("film.mp4", 31_500_000) == film
    assert rendering.other("a story") == "a story, which can't be shown here"
