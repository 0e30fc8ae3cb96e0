from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.cli.chat_text import (
    clock,
    day,
    event_line,
    json_line,
    safe,
    safe_line,
    size_of,
    text_of,
)
from chat4all_protocol import frames as f

CONV = "00000000-0000-4000-8000-000000000000"
AT = 1_772_450_100_000  # 2026-03-02 11:15 UTC


def message(body: f.Body | None, *, kind: f.Kind = "message", deleted: bool = False) -> f.Msg:
    return f.Msg(CONV, 1, CONV, "bob", AT, body, kind, deleted=deleted)


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", "␛[31mred"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("a\x9b31mb", "a\ufffd31mb"),
        ("back\x08\x7f", "back␈␡"),
        ("tab\there", "tab    here"),
        ("one\r\ntwo\nthree\rfour", "one\ntwo\nthree␍four"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("a\u2028b", "a\nb"),
        ("Olá 👩‍👩‍👧 漢字 ç", "Olá 👩‍👩‍👧 漢字 ç"),
        ("zero\u200bwidth", "zerowidth"),
    ],
)
def test_nothing_that_a_terminal_acts_on_gets_through(given_: str, shown: str) -> None:
    assert safe(given_) == shown


@given(st.text())
def test_whatever_comes_only_line_breaks_are_left_of_the_controls(text: str) -> None:
    shown = safe(text)
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown if char != "\n")
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert "\n" not in safe_line(text)


def test_an_event_is_one_line() -> None:
    assert event_line(message(f.TextBody("a\nb"))) == "11:15 bob: a↵b"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (message(f.FileBody(CONV)), f"[file: {CONV}]"),
        (message(f.FileBody(CONV, "look")), f"[file: {CONV}] look"),
        (
            message(f.FileBody(CONV, "look", "a\u202egpj.exe\n", 1500)),
            "[file: agpj.exe↵, 1.5 kB] look",
        ),
        (
            message(f.FileBody(CONV, None, "a.png", 999, "image/png", 800, 600)),
            "[file: a.png, 999 B, image 800\u00d7600]",
        ),
        (
            message(f.FileBody(CONV, None, "a.mp3", 10, "audio/mpeg")),
            "[file: a.mp3, 10 B, audio]",
        ),
        (message(None, deleted=True), "(deleted)"),
        (message(f.MemberBody("eve"), kind="join"), "eve joined"),
        (message(f.MemberBody("eve"), kind="leave"), "eve left"),
        (message(None, kind="change"), ""),
    ],
)
def test_every_kind_of_event_has_a_text_of_its_own(event: f.Msg, text: str) -> None:
    assert text_of(event) == text


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (2 * 1024**3, "2.1 GB"),
        (f.MAX_INTEGER, "9,223,372.0 TB"),
    ],
)
def test_a_size_is_short(count: int, shown: str) -> None:
    assert size_of(count) == shown


def test_times_are_local() -> None:
    assert (clock(AT), day(AT)) == ("11:15", "Monday, 2 March 2026")


def test_json_lines_are_ascii_and_whole() -> None:
    line = json_line(message(f.TextBody("\x9b é\n")))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {
        "t": "msg",
        "conv": CONV,
        "seq": 1,
        "id": CONV,
        "from": "bob",
        "ts": AT,
        "body": {"type": "text", "text": "\x9b é\n"},
    }
