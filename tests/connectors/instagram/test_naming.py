from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat4all_connectors.instagram.naming import Plain, plain_name
from chat4all_connectors.testing.uploads import MemoryUpload


@pytest.mark.parametrize(
    ("name", "plain"),
    [("a.pdf", "a.pdf"), ("Prüfung é.pdf", "Prufung e.pdf"), ("世界.png", "__.png")],
)
def test_names_are_in_ascii(name: str, plain: str) -> None:
    assert plain_name(name) == plain


@settings(max_examples=50, deadline=None)
@given(name=st.text())
def test_there_always_is_one(name: str) -> None:
    assert plain_name(name).isascii()
    assert plain_name(name)


async def test_the_file_is_the_same() -> None:
    file = Plain(MemoryUpload(b"bytes", name="ü", mime="image/png"))
    assert (file.name, file.mime, file.size) == ("u", "image/png", 5)
    async with file.open() as pieces:
        assert b"".join([piece async for piece in pieces]) == b"bytes"
