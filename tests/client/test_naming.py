from __future__ import annotations

from itertools import islice

import pytest

from chat4all_client.naming import MAX_BYTES, alternatives, file_name


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("plan.pdf", "plan.pdf"),
        ("Größe 日本.txt", "Größe 日本.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ana\\plan.pdf", "plan.pdf"),
        ("/", "file"),
        ("..", "file"),
        ("", "file"),
        (".bashrc", "bashrc"),
        ("plan. . ", "plan"),
        ("a\x00b\x1b[31m\n.txt", "ab[31m.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ('what?*<>|:".txt', "what_______.txt"),
        ("con", "_con"),
        ("NUL.tar.gz", "_NUL.tar.gz"),
        ("com1.txt", "_com1.txt"),
        ("console.txt", "console.txt"),
        ("\udc80.txt", "txt"),
    ],
)
def test_a_name_for_the_disk_looks_like_theirs_and_leads_nowhere(theirs: str, ours: str) -> None:
    assert file_name(theirs) == ours


@pytest.mark.parametrize("name", ["x" * 300 + ".pdf", "é" * 200 + ".pdf", "日" * 300])
def test_a_long_name_is_cut_and_keeps_its_ending(name: str) -> None:
    cut = file_name(name)
    assert len(cut.encode()) <= MAX_BYTES
    assert cut.endswith(name[-4:])
    assert name.startswith(cut.removesuffix(".pdf"))


def test_an_ending_that_is_longer_than_a_name_is_cut_too() -> None:
    assert len(file_name("a." + "x" * 300).encode()) == MAX_BYTES


def test_there_are_always_further_names() -> None:
    names = ["plan.pdf", "plan (2).pdf", "plan (3).pdf"]
    assert list(islice(alternatives("plan.pdf"), 3)) == names
    assert list(islice(alternatives("plan"), 2)) == ["plan", "plan (2)"]
