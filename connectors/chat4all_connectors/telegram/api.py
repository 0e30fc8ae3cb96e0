"""The Bot API's calls: a method and its parameters go out, a typed result comes back."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec

from chat4all_connectors.errors import Transient, UnknownOutcome
from chat4all_connectors.http import Answer, Body, Bytes, Http
from chat4all_connectors.multipart import Multipart

from .refusals import Envelope, error_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from chat4all_connectors.outgoing import Upload

    from .settings import TelegramSettings

T = TypeVar("T")


class BotApi:
    """One bot. The token is part of every address, so none is ever told."""

    def __init__(self, settings: TelegramSettings, http: Http) -> None:
        base = settings.base_url.rstrip("/")
        self._methods = f"{base}/bot{settings.token}/"
        self._files = f"{base}/file/bot{settings.token}/"
        self._http = http

    async def call(
        self,
        type_: type[T],
        method: str,
        parameters: Mapping[str, Any],
        *,
        file: tuple[str, Upload] | None = None,
        sends: bool = False,
        read_seconds: float | None = None,
    ) -> T:
        """Call a method.

        Args:
            type_: Of its result.
            file: The name of a parameter, and the file that goes with the call as its value.
            sends: Whether people may see what it does, so that it must not be done twice.
            read_seconds: For the answer.

        Raises:
            SendError: it was refused, or is not known to have worked.
        """
        body: Body
        if file is None:
            body = Bytes(msgspec.json.encode(parameters))
        else:
            body = Multipart({key: _as_text(value) for key, value in parameters.items()}, *file)
        answer = await self._http.call(
            "POST", self._methods + method, body=body, sends=sends, read_seconds=read_seconds
        )
        chat = parameters.get("chat_id")
        return _result(type_, answer, chat=chat, sends=sends)

    @asynccontextmanager
    async def fetch(
        self, path: str, *, max_bytes: int
    ) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """The bytes of a file, by the path that `getFile` gave.

        Raises:
            SendError: it can't be had.
        """
        address = self._files + quote(path)
        async with self._http.download(address, max_bytes=max_bytes) as download:
            if not download.good:
                answer = await download.answer()
                error = error_of(answer, chat=None, sends=False)
                if answer.status == 404:  # the path has expired
                    raise Transient(error.message, code=error.code)
                raise error
            async with aclosing(download.pieces()) as pieces:
                yield pieces


def _as_text(value: Any) -> str:
    """A parameter in a form: what is no text, is JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _result(type_: type[T], answer: Answer, *, chat: str | None, sends: bool) -> T:
    try:
        envelope = msgspec.json.decode(answer.body, type=Envelope)
        if answer.good and envelope.ok:
            return msgspec.json.decode(envelope.result, type=type_)
    except (msgspec.DecodeError, RecursionError) as error:
        if answer.good:
            said = "the result of a call can't be read"
            raise (UnknownOutcome(said) if sends else Transient(said)) from error
    raise error_of(answer, chat=chat, sends=sends)
