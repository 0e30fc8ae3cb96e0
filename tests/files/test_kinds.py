from __future__ import annotations

import io
import re
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.file_types import DEFAULT_FILE_TYPES
from chat4all_actors.files.kinds import HEAD, MIME_PATTERN, Kinds, sniff

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40)
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(40)
PDF = b"%PDF-1.7\n" + bytes(40)
MP4 = b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(40)
OGG = b"OggS" + bytes(40)
MATROSKA = b"\x1aE\xdf\xa3" + bytes(40)
PROGRAM = b"MZ" + bytes(100)
NOISE = bytes(range(256)) * 4

DEFAULT = Kinds(DEFAULT_FILE_TYPES)


def a_zip(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), "content")  # of no time: ids are made of it
    return made.getvalue()


DOCX = a_zip("[Content_Types].xml", "word/document.xml")


@pytest.mark.parametrize(
    ("mime", "allowed"),
    [
        ("image/png", True),
        ("video/quicktime", True),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", True),
        ("text/html", False),
        ("image/svg+xml", False),
        ("application/x-msdownload", False),
        ("application/javascript", False),
    ],
)
def test_what_browsers_or_computers_would_run_is_not_taken_by_default(
    mime: str, allowed: bool
) -> None:
    assert DEFAULT.allows(mime) is allowed


def test_a_list_of_everything_takes_everything() -> None:
    everything = Kinds(["*/*"])
    assert everything.allows("application/x-msdownload")
    assert everything.judge(PROGRAM, "application/octet-stream") == "application/x-msdownload"


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (PDF, "application/pdf"),
        (MP4, "video/mp4"),
        (OGG, "audio/ogg"),
        (MATROSKA, "video/webm"),
        (DOCX, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (a_zip("a.txt"), "application/zip"),
        (b"Hello, \xc3\xa4 world\n", "text/plain"),
        (b"a,b\n1,2\n", "text/csv"),
        (b'{"a": 1}', "application/json"),
        (NOISE, "application/octet-stream"),
    ],
)
def test_a_file_that_is_what_was_told_is_that(head: bytes, told: str) -> None:
    assert DEFAULT.judge(head, told) == told


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (PDF, "image/png"),  # another family
        (b"not an image", "image/png"),  # text, where a signature is due
        (NOISE, "image/png"),  # nothing known, where a signature is due
        (b"GIF", "application/pdf"),
        (NOISE, "text/plain"),
        (NOISE, "application/json"),
        (PNG, "text/plain"),
    ],
)
def test_a_file_that_is_not_what_was_told_is_refused(head: bytes, told: str) -> None:
    assert DEFAULT.judge(head, told) is None


@pytest.mark.parametrize("told", ["application/octet-stream", "image/png", "application/pdf"])
def test_a_program_is_refused_whatever_it_is_called(told: str) -> None:
    assert DEFAULT.judge(PROGRAM, told) is None


def test_within_a_family_the_bytes_decide() -> None:
    assert DEFAULT.judge(JPEG, "image/png") == "image/jpeg"
    assert DEFAULT.judge(PNG, "application/octet-stream") == "image/png"


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (MP4, "audio/mp4"),
        (OGG, "video/ogg"),
        (MATROSKA, "audio/webm"),
        (a_zip("mimetype", "content.xml"), "application/epub+zip"),
    ],
)
def test_what_is_in_a_container_is_for_the_client_to_tell(head: bytes, told: str) -> None:
    assert DEFAULT.judge(head, told) == told


def test_other_names_of_a_type_are_the_same_type() -> None:
    assert DEFAULT.judge(JPEG, "image/jpg") == "image/jpeg"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1", "utf-16"])
def test_text_may_be_in_any_encoding(encoding: str) -> None:
    words = "amanha" if encoding == "ascii" else "amanhã"
    assert sniff(words.encode(encoding)) == "text/plain"


@pytest.mark.parametrize("byte", [b"\0", b"\x01", b"\x7f\x02"])
def test_what_has_control_characters_is_no_text(byte: bytes) -> None:
    assert sniff(b"words and " + byte + b" words") is None


def test_without_any_bytes_there_is_no_signature() -> None:
    assert DEFAULT.judge(b"", "image/png") is None


# What comes from elsewhere


HEADS = st.sampled_from([PNG, JPEG, PDF, MP4, OGG, MATROSKA, PROGRAM, NOISE, DOCX, b"a text"])


@pytest.mark.parametrize(
    ("head", "told", "settled"),
    [
        (PNG, "image/png", "image/png"),
        (PNG, "image/jpeg", "image/png"),
        (PNG, "video/mp4", "image/png"),
        (PDF, "text/plain", "application/pdf"),
        (b"a text", "image/png", "text/plain"),
        (b"<html>", "text/html", "text/plain"),
        (b"a,b", "text/csv", "text/csv"),
        (OGG, "Audio/Ogg; codecs=opus", "audio/ogg"),
        (OGG, "audio/x\r\nSet-Cookie: a", "audio/ogg"),
        (PNG, None, "image/png"),
        (NOISE, "image/png", "application/octet-stream"),
        (PROGRAM, "image/png", None),
        (PROGRAM, "application/octet-stream", None),
    ],
)
def test_where_nobody_can_be_asked_again_the_bytes_alone_decide(
    head: bytes, told: str | None, settled: str | None
) -> None:
    assert DEFAULT.settle(head, told) == settled


def test_what_the_bytes_are_has_to_be_allowed() -> None:
    pictures = Kinds(["image/*"])
    assert pictures.settle(PNG, "application/pdf") == "image/png"
    for head in (PDF, NOISE, b"a text"):
        assert pictures.settle(head, "image/png") is None


@given(
    head=HEADS | st.binary(max_size=HEAD),
    told=st.sampled_from(["image/png", "video/mp4", "text/html", "text/csv", "audio/ogg"])
    | st.text(max_size=20),
    allowed=st.sampled_from([DEFAULT_FILE_TYPES, ["*/*"], ["image/*", "text/plain"]]),
)
def test_what_is_settled_is_allowed_and_stands_when_it_is_judged_again(
    head: bytes, told: str, allowed: list[str]
) -> None:
    kinds = Kinds(allowed)
    settled = kinds.settle(head, told)
    if settled is None:
        assert kinds.judge(head, told) is None or not re.fullmatch(MIME_PATTERN, told)
    else:
        assert kinds.allows(settled)
        assert re.fullmatch(MIME_PATTERN, settled)
        assert kinds.judge(head, settled) == settled
