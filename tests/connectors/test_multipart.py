"""A form with a file is what a server's own parser reads, and is never held whole."""

from __future__ import annotations

from contextlib import aclosing
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from chat4all_connectors.multipart import Multipart
from chat4all_connectors.testing.uploads import MemoryUpload


async def read(form: Multipart) -> list[bytes]:
    async with aclosing(form.pieces()) as pieces:
        return [piece async for piece in pieces]


def parts_of(form: Multipart, content: bytes) -> list[tuple[Any, ...]]:
    """Name, file name, type and content of each part, by the parser of the standard library."""
    head = f"Content-Type: {form.content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + content)
    found = []
    for part in message.iter_parts():
        disposition = part["Content-Disposition"]
        found.append(
            (
                disposition.params["name"],
                disposition.params.get("filename"),
                part.get_content_type(),
                part.get_payload(decode=True),
            )
        )
    return found


async def test_fields_come_first_and_then_the_file() -> None:
    form = Multipart(
        {"chat_id": "7", "caption": "Olá"},
        "document",
        MemoryUpload(b"\x00\x01\r\n--x", name="a b.bin", mime="application/x-thing"),
    )
    content = b"".join(await read(form))
    assert parts_of(form, content) == [
        ("chat_id", None, "text/plain", b"7"),
        ("caption", None, "text/plain", "Olá".encode()),
        ("document", "a b.bin", "application/x-thing", b"\x00\x01\r\n--x"),
    ]


async def test_what_is_between_the_parts_can_not_be_guessed() -> None:
    first, second = (Multipart({}, "file", MemoryUpload(b"")).content_type for _ in range(2))
    assert first != second


async def test_a_name_that_is_no_text_does_no_harm() -> None:
    form = Multipart({}, "file", MemoryUpload(b"1", name="\udc80.txt"))
    [(_, filename, _, _)] = parts_of(form, b"".join(await read(form)))
    assert filename == "?.txt"


async def test_its_size_is_known_before_it_is_read() -> None:
    form = Multipart({"a": "é"}, "file", MemoryUpload(b"12345", name="é.txt"))
    assert form.size == len(b"".join(await read(form)))


async def test_it_can_be_read_again() -> None:
    form = Multipart({}, "file", MemoryUpload(b"12345"))
    assert await read(form) == await read(form)


async def test_a_file_comes_in_the_pieces_it_is_read_in() -> None:
    form = Multipart({}, "file", MemoryUpload(b"12345", piece=2))
    assert (await read(form))[1:-1] == [b"12", b"34", b"5"]


async def test_names_and_types_can_not_end_the_headers_of_their_part() -> None:
    upload = MemoryUpload(b"", name='a"\r\nX: 1\r\n\r\nb', mime="text/plain\r\n\r\nmore")
    form = Multipart({}, "file", upload)
    [(name, filename, mime, content)] = parts_of(form, b"".join(await read(form)))
    assert (name, filename, mime, content) == (
        "file",
        "a%22%0D%0AX: 1%0D%0A%0D%0Ab",
        "application/octet-stream",
        b"",
    )
