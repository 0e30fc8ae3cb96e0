"""Where a run takes place: a server, whoever calls it, and the conversations they have."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ..http import NoAnswer, Server
from ..targets.accounts import tokens
from ..targets.processes import server_process
from ..targets.target import SetupError
from .work import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..http import Answer

PAIRS: Final = 100
CLIENT: Final = ("test_client", "test_secret")
"""Id and secret of the service client, as the load test of the specification has them."""
SCOPES: Final = "act_as messages:write messages:read conversations:write conversations:read"
_UNLIMITED: Final = "1000000000"
"""A rate that nobody comes near to: the limits are counted, as they always are."""
ENVIRONMENT: Final = {
    "CHAT4ALL_BCRYPT_COST": "4",
    "CHAT4ALL_LOG_LEVEL": "warning",
    **{
        f"CHAT4ALL_RATE_{name}": _UNLIMITED
        for name in (
            "MESSAGES_PER_MINUTE",
            "BURST",
            "REQUESTS_PER_MINUTE",
            "REQUESTS_BURST",
            "CLIENT_REQUESTS_PER_MINUTE",
            "CLIENT_REQUESTS_BURST",
            "LOGINS_PER_MINUTE",
            "LOGINS_BURST",
            "LOGINS_PER_ADDRESS_PER_MINUTE",
            "LOGINS_PER_ADDRESS_BURST",
        )
    },
}


def names(count: int = PAIRS) -> list[tuple[str, str]]:
    """The users, pair by pair."""
    return [(f"user_{number}_a", f"user_{number}_b") for number in range(count)]


@contextmanager
def own_server(
    data_dir: str, env: dict[str, str], *arguments: str, program: Sequence[str] = ()
) -> Iterator[tuple[int, str]]:
    """Run a server with everything embedded; yields its pid and its address."""
    command = [*(program or ("-m", "chat4all_actors")), "serve", "--port", "0"]
    with server_process([*command, "--data-dir", data_dir, *arguments], env) as (pid, port):
        yield pid, f"http://127.0.0.1:{port}"


def add_client(data_dir: str, env: dict[str, str]) -> None:
    """Make the service client known to a server of ours.

    Raises:
        SetupError: that is not possible.
    """
    id_, secret = CLIENT
    command = [sys.executable, "-m", "chat4all_actors", "client", "add", "bench"]
    command += ["--scope", SCOPES, "--id", id_, "--secret", secret, "--data-dir", data_dir]
    done = subprocess.run(command, env=os.environ | env, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SetupError("the service client could not be added")


async def client_token(server: Server, client_id: str, secret: str) -> str:
    """Log a service client in.

    Raises:
        SetupError: the server refuses it, or does not answer.
    """
    body = {"client_id": client_id, "client_secret": secret}
    said = await _ask(server, "/auth/token", None, body)
    return str(said["access_token"])


async def client_pairs(server: Server, token: str, pairs: Sequence[tuple[str, str]]) -> list[Pair]:
    """Conversations made and used by a service client in the users' names.

    Raises:
        SetupError: the server refuses, or does not answer.
    """
    return [
        Pair(await _conversation(server, token, [one, other]), one, other, token, by_client=True)
        for one, other in pairs
    ]


async def user_pairs(
    server: Server, access: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> list[Pair]:
    """Conversations made and used by the users, with a token each.

    Raises:
        SetupError: the server refuses, or does not answer.
    """
    return [
        Pair(await _conversation(server, token, [other]), one, other, token)
        for (one, other), token in zip(pairs, access, strict=True)
    ]


def user_tokens(data_dir: str, env: dict[str, str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Add all users to a server of ours; a token for the first of each pair."""
    everybody = [name for pair in pairs for name in pair]
    return tokens(["--data-dir", data_dir], everybody, os.environ | env)[::2]


async def _conversation(server: Server, token: str, members: list[str]) -> str:
    body = {"type": "private", "members": members, "metadata": {}}
    said = await _ask(server, "/v1/conversations", token, body)
    return str(said["conversation_id"])


async def _ask(server: Server, path: str, token: str | None, body: object) -> dict[str, Any]:
    try:
        answer: Answer = await server.call("POST", path, token=token, body=body)
    except NoAnswer as error:
        raise SetupError(f"{server.name} does not answer: {error}") from error
    if answer.status not in (200, 201):
        said = answer.body[:300].decode(errors="replace")
        raise SetupError(f"POST {path} was answered with {answer.status}: {said}")
    found: dict[str, Any] = answer.json()
    return found
