"""Users for a run: by the command line, over REST, or out of a file of tokens."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ..http import NoAnswer, Server
from .target import Person, SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..http import Answer

PASSWORD: Final = "bench-password"
BATCH: Final = 500
"""Users of one command: enough to be quick, few enough for a command line."""
AT_ONCE: Final = 2
"""Commands, or requests that hash a password."""
ROOMS_AT_ONCE: Final = 8


def tokens(place: list[str], names: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Make sure that these users exist in the directory that is at `place`; a token for each.

    `place` are the arguments that name it to a command.

    Raises:
        SetupError: a command failed.
    """
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]

    def make(batch: Sequence[str]) -> list[str]:
        _command(["user", "add", *batch, "--password", PASSWORD, *place], env)
        return _command(["token", *batch, *place], env).split()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return [token for made in threads.map(make, batches) for token in made]


def _command(arguments: list[str], env: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "chat4all_actors", *arguments]
    done = subprocess.run(command, env=dict(env), capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip()[-300:]
        raise SetupError(f"`chat4all {' '.join(arguments[:2])} …` ended with an error: {said}")
    return done.stdout


def register(url: str, names: Sequence[str]) -> list[Person]:
    """Register users over REST, and log them in.

    Raises:
        SetupError: the server refuses, or does not answer.
    """

    async def make() -> list[Person]:
        server = Server(url)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> Person:
            account = {"username": name, "password": PASSWORD}
            async with gate:
                await ask(server, "/v1/auth/register", None, account)
                said = await ask(server, "/v1/auth/token", None, account)
            return Person(name, str(said["access_token"]))

        try:
            return list(await asyncio.gather(*map(one, names)))
        finally:
            server.close()

    return asyncio.run(make())


def version_of(url: str) -> str:
    """The version of a server of ours, by its description of the API; `unknown` if it has none.

    Raises:
        SetupError: it does not answer.
    """

    async def get() -> Answer:
        server = Server(url)
        try:
            return await server.call("GET", "/openapi.json")
        except NoAnswer as error:
            raise SetupError(f"{server.name} does not answer: {error}") from error
        finally:
            server.close()

    try:
        return msgspec.json.decode(asyncio.run(get()).body, type=_Description).info.version
    except msgspec.DecodeError:
        return "unknown"


def conversations(url: str, rooms: Sequence[Sequence[Person]]) -> list[str]:
    """Open conversations over REST, each by its first member; their ids.

    Raises:
        SetupError: the server refuses, or does not answer.
    """

    async def make() -> list[str]:
        server = Server(url)
        gate = asyncio.Semaphore(ROOMS_AT_ONCE)

        async def one(members: Sequence[Person]) -> str:
            body = {
                "type": "private" if len(members) == 2 else "group",
                "members": [person.name for person in members[1:]],
            }
            async with gate:
                said = await ask(server, "/v1/conversations", members[0].token, body)
            return str(said["conversation_id"])

        try:
            return list(await asyncio.gather(*map(one, rooms)))
        finally:
            server.close()

    return asyncio.run(make())


async def ask(server: Server, path: str, token: str | None, body: object) -> dict[str, object]:
    """Post this; the answer.

    Raises:
        SetupError: the server refuses, or does not answer.
    """
    try:
        answer = await server.call("POST", path, token=token, body=body)
    except NoAnswer as error:
        raise SetupError(f"{server.name} does not answer: {error}") from error
    if answer.status not in (200, 201):
        said = answer.body[:300].decode(errors="replace")
        raise SetupError(f"POST {path} was answered with {answer.status}: {said}")
    try:
        found: dict[str, object] = msgspec.json.decode(answer.body, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise SetupError(f"POST {path} was not answered with JSON: {error}") from error
    return found


def read_tokens(path: str) -> list[Person]:
    """Read users from a file: a token a line, as `chat4all token` prints them, with --json or not.

    Raises:
        UsageError: it can't be read, or a line is no token.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--tokens: {path} can't be read: {error}") from None
    found: list[Person] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            token = line.strip()
            if token.startswith("{"):
                token = msgspec.json.decode(token, type=dict[str, str])["access_token"]
            found.append(Person(_name_in(token), token))
        except (ValueError, KeyError, msgspec.MsgspecError):
            raise UsageError(
                f"--tokens: line {number} of {path} is no token such as `chat4all token` prints"
            ) from None
    return found


class _Info(msgspec.Struct):
    version: str


class _Description(msgspec.Struct):
    info: _Info


class _Claims(msgspec.Struct):
    name: str


def _name_in(token: str) -> str:
    """Whom a token names; the server will check it."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    data = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    return msgspec.json.decode(data, type=_Claims).name
