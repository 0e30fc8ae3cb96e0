"""A call's parameters, however they came: query, form, JSON or multipart."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

import msgspec


class Bad(Exception):
    """An error of the Bot API."""

    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters


@dataclass
class Sent:
    """A file that came with a call."""

    name: str
    mime: str
    content: bytes


@dataclass
class Parameters:
    """Of one call; whatever nobody has asked for is an error in the end."""

    values: dict[str, Any]
    files: dict[str, Sent] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """A string."""
        value = self.values.pop(name, None)
        if value is not None and not isinstance(value, str):
            raise Bad(400, f"Bad Request: {name} must be a string")
        return value

    def chat(self) -> int:
        """`chat_id`, which is a number, also as text."""
        value = self.values.pop("chat_id", "")
        if value == "":
            raise Bad(400, "Bad Request: chat_id is empty")
        return self._integer("chat_id", value)

    def integer(self, name: str, default: int | None = None) -> int:
        """A number, also as text."""
        value = self.values.pop(name, default)
        if value is None:
            raise Bad(400, f"Bad Request: {name} isn't specified")
        return self._integer(name, value)

    def json(self, name: str, type_: Any, default: Any) -> Any:
        """Anything nested; as text it is JSON."""
        value = self.values.pop(name, None)
        if value is None:
            return default
        try:
            if isinstance(value, str):
                return msgspec.json.decode(value, type=type_)
            return msgspec.convert(value, type=type_)
        except msgspec.MsgspecError as error:
            raise Bad(400, f"Bad Request: can't parse {name} JSON object") from error

    def file(self, name: str) -> Sent:
        """One that came in a part of its own."""
        sent = self.files.pop(name, None)
        if sent is None:
            kind = name.replace("_", " ")
            raise Bad(400, f"Bad Request: there is no {kind} in the request")
        return sent

    def done(self) -> None:
        """See that nothing is left: the real one ignores it, and a misspelt name with it."""
        left = sorted({*self.values, *self.files})
        if left:
            raise Bad(400, f"Bad Request: the fake knows no parameter {', '.join(left)}")

    def _integer(self, name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise Bad(400, f"Bad Request: {name} must be an integer")
        try:
            return int(value)
        except ValueError:
            raise Bad(400, "Bad Request: chat not found") from None


def parse(query: dict[str, str], content_type: str, body: bytes) -> Parameters:
    """All of them."""
    values: dict[str, Any] = dict(query)
    media_type = content_type.partition(";")[0].strip().lower()
    if not body:
        return Parameters(values)
    if media_type == "application/json":
        try:
            return Parameters({**values, **msgspec.json.decode(body, type=dict[str, Any])})
        except msgspec.MsgspecError as error:
            raise Bad(400, "Bad Request: can't parse JSON") from error
    if media_type == "application/x-www-form-urlencoded":
        return Parameters({**values, **dict(parse_qsl(body.decode(), keep_blank_values=True))})
    if media_type == "multipart/form-data":
        return _parse_form(values, content_type, body)
    raise Bad(400, "Bad Request: unsupported content type")


def _parse_form(values: dict[str, Any], content_type: str, body: bytes) -> Parameters:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    files = {}
    form = BytesParser(policy=HTTP).parsebytes(head + body)
    if not form.is_multipart():
        raise Bad(400, "Bad Request: can't parse the form")
    for part in form.iter_parts():
        disposition = part["Content-Disposition"]
        name = disposition.params["name"]
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        filename = disposition.params.get("filename")
        if filename is None:
            values[name] = content.decode()
        else:
            files[name] = Sent(filename, part.get_content_type(), content)
    return Parameters(values, files)
