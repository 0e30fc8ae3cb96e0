"""Calls of the Graph API: with the token of one account, and answers as values or as errors.

A time-out or an answer that can't be read leaves unknown whether something was sent, and none of
Meta's APIs takes a key that would let it be sent again safely; so a call says whether it `sends`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from ..errors import Misconfigured, Refused, Transient, UnknownOutcome
from ..http import Bytes, Http
from ..multipart import Multipart
from .faults import fault_in, rule_for, to_error
from .signature import proof
from .usage import usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    import httpx2

    from ..errors import SendError
    from ..http import Answer, Body
    from ..outgoing import Upload
    from .faults import Rules
    from .settings import GraphSettings
    from .usage import Usage

T = TypeVar("T")


class Graph:
    """The Graph API as one account sees it. To be closed."""

    def __init__(
        self,
        settings: GraphSettings,
        rules: Rules,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`rules` are the codes of the product; `transport` stands in for the network."""
        self._settings = settings
        self._rules = rules
        self._http = Http(settings.http, transport=transport)
        self._root = f"{settings.base_url.rstrip('/')}/{settings.version}"
        self._home = urlsplit(settings.base_url)
        self._authorisation = {"authorization": f"Bearer {settings.access_token}"}
        self._params = (
            {"appsecret_proof": proof(settings.app_secret, settings.access_token)}
            if settings.appsecret_proof
            else {}
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    # --- calls

    async def get(self, path: str, answer: type[T], **params: str) -> T:
        """Ask for something.

        Raises:
            SendError: by the code of Graph's error; `Transient` if there is no answer.
        """
        value, _ = await self.ask(path, answer, **params)
        return value

    async def ask(self, path: str, answer: type[T], **params: str) -> tuple[T, Usage]:
        """As `get`, with how much of the limits was used."""
        got = await self._call("GET", path, params, None, sends=False)
        return self._read(got, answer, sends=False), usage(got.headers)

    async def post(
        self, path: str, content: Mapping[str, object], answer: type[T], *, sends: bool
    ) -> T:
        """Do something; `sends` says that it must not be done twice.

        Raises:
            SendError: by the code of Graph's error; if it sends, `UnknownOutcome` if there is
                no answer.
        """
        body = Bytes(msgspec.json.encode(content))
        got = await self._call("POST", path, {}, body, sends=sends)
        return self._read(got, answer, sends=sends)

    async def upload(
        self, path: str, fields: Mapping[str, str], field: str, file: Upload, answer: type[T]
    ) -> T:
        """Store a file there, read piece by piece: nobody sees it yet.

        Raises:
            SendError: by the code of Graph's error; `Transient` if there is no answer.
        """
        body = Multipart(fields, field, file)
        got = await self._call("POST", path, {}, body, sends=False)
        return self._read(got, answer, sends=False)

    @asynccontextmanager
    async def fetch(
        self, url: str, *, with_token: bool
    ) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """A file's bytes, from an address that Meta told.

        Raises:
            Refused: the address is not one of Meta's, the file is too large, or gone for good.
            SendError: it can't be had now.
        """
        if not self._is_metas(url):
            raise Refused("a file lies where no file of Meta's should; see `media_hosts`")
        headers = self._authorisation if with_token else {}
        limit = self._settings.download_max_bytes
        async with self._http.download(url, headers=headers, max_bytes=limit) as download:
            if not download.good:
                raise self._withheld(await download.answer())
            yield download.pieces()

    # --- how

    async def _call(
        self, method: str, path: str, params: dict[str, str], body: Body | None, *, sends: bool
    ) -> Answer:
        return await self._http.call(
            method,
            f"{self._root}/{'/'.join(quote(part, safe='') for part in path.split('/'))}",
            params={**params, **self._params} or None,
            headers=self._authorisation,
            body=body,
            sends=sends,
        )

    def _read(self, got: Answer, answer: type[T], *, sends: bool) -> T:
        if not got.good:
            raise self._failed(got, sends=sends)
        try:
            return msgspec.json.decode(got.body, type=answer)
        except (msgspec.MsgspecError, RecursionError) as error:
            what = "Meta's answer can't be read"
            raise (UnknownOutcome(what) if sends else Transient(what)) from error

    def _failed(self, got: Answer, *, sends: bool) -> SendError:
        fault = fault_in(got.body)
        if fault is not None:
            rule = rule_for(fault, self._rules, status=got.status)
            return to_error(rule, fault, regain=usage(got.headers).regain)
        code = str(got.status)
        if got.status in (500, 502, 504):
            # It comes from something in front of Graph, which may have handed the call on.
            what = "something in front of Meta's API fails"
            return (UnknownOutcome if sends else Transient)(what, code=code)
        if got.status in (408, 425, 429) or got.status >= 500:
            return Transient("Meta takes no calls now", code=code)
        if got.status < 400:
            return Misconfigured("what answers at this address is no Graph API", code=code)
        return Refused("it is refused without a reason", code=code)

    def _withheld(self, got: Answer) -> SendError:
        """Why a file is not handed over: of no matter to anything else."""
        code = str(got.status)
        if got.status in (408, 425, 429) or got.status >= 500:
            return Transient("Meta hands no files over now", code=code)
        return Refused("Meta does not hand this file over", code=code)

    def _is_metas(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        if (parts.scheme, parts.hostname, port) == (
            self._home.scheme,
            self._home.hostname,
            self._home.port,
        ):
            return True
        return (
            parts.scheme == "https"
            and port in (None, 443)
            and parts.username is None
            and any(fnmatchcase(parts.hostname or "", host) for host in self._settings.media_hosts)
        )
