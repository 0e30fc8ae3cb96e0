"""What users call their files, as it is shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.files.names import MAX_NAME, UNNAMED, clean_name, name_for


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("plan.png", "plan.png"),
        (" Café ☕ 漢字.txt ", "Café ☕ 漢字.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ana\\plan.png", "plan.png"),
        ("a/b\\c", "c"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\r\nSet-Cookie: b\0", "aSet-Cookie: b"),
        ("line\u2028break", "linebreak"),
        ("👩\u200d👧.jpg", "👩\u200d👧.jpg"),
        (".profile", ".profile"),
        ("x" * 300, "x" * MAX_NAME),
        *((nothing, UNNAMED) for nothing in ("", " ", "/", "a/", "..", ".", "\u202e", "\u200d")),
    ],
)
def test_a_name_is_what_can_be_seen_of_the_last_part(told: str, name: str) -> None:
    assert clean_name(told) == name


@given(st.text(max_size=MAX_NAME))
def test_whatever_it_is_called_the_name_is_no_path_and_can_be_seen(told: str) -> None:
    name = clean_name(told)
    assert 1 <= len(name) <= MAX_NAME
    assert not set(name) & set("/\\")
    assert name.strip(".")
    assert {unicodedata.category(char) for char in name if char not in "\u200c\u200d"}.isdisjoint(
        {"Cc", "Cf", "Cs", "Zl", "Zp"}
    )


@pytest.mark.parametrize(
    ("mime", "name"),
    [
        ("image/jpeg", "image.jpg"),
        ("video/mp4", "video.mp4"),
        ("audio/ogg", "audio.ogg"),
        ("audio/unheard", "audio"),
        ("application/pdf", "file.pdf"),
        ("text/plain", "file"),
        ("application/octet-stream", "file"),
    ],
)
def test_what_has_no_name_is_called_by_its_type(mime: str, name: str) -> None:
    assert name_for(mime) == name
