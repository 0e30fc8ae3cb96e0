"""`chat4all chat`: to which server and conversation, as whom; then a pipe or a terminal has it."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from chat4all_client import (
    ConnectError,
    ConnectionRefusedByServer,
    RequestRefused,
    UploadNotes,
    open_client,
    open_files,
)
from chat4all_client.transport import websocket_url
from chat4all_protocol.ids import new_id

from .arguments import DEFAULT_URL
from .flags import settings_of
from .main import OK, USAGE, CommandError, first_error

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from chat4all_client import Client

CONNECT_TIMEOUT: Final = 10.0
"""Seconds: somebody is waiting."""
TOKEN_REUSE: Final = 60.0
"""Seconds for which a minted token serves further connections; far less than it lives."""


def run(options: argparse.Namespace) -> int:
    """Chat until the user leaves or the input ends."""
    try:
        return trio.run(_chat, options)
    except* ConnectError as group:
        raise CommandError(
            str(first_error(group)), "is it running? chat4all serve starts one"
        ) from None
    except* ConnectionRefusedByServer as group:
        raise CommandError(str(first_error(group)), "check --as, --token and --url") from None
    except* RequestRefused as group:
        raise CommandError(str(first_error(group))) from None


async def _chat(options: argparse.Namespace) -> int:
    url = _url(options)
    token = _token(options)
    # A device of its own: several terminals of one user do not replace each other.
    device = f"terminal-{new_id()}"
    async with open_client(
        url, token=token, device=device, connect_timeout=CONNECT_TIMEOUT
    ) as client:
        if options.name is not None and options.name != client.user:
            raise CommandError(f"the token is {client.user}'s, not {options.name}'s", code=USAGE)
        return await _run(options, client, url, token)


async def _run(
    options: argparse.Namespace,
    client: Client,
    url: str,
    token: str | Callable[[], Awaitable[str]],
) -> int:
    conversation = await _conversation(options, client)
    if options.json or not on_terminal():
        from .chat_pipe import Pipe

        return await Pipe(client, conversation, json=options.json, follow=options.follow).run()
    from .chat_interactive import chat, choose
    from .chat_transfers import Place, state_file

    if conversation is None:
        conversation = await choose(client)
        if conversation is None:
            return OK
    notes = UploadNotes(state_file(), f"{client.user} {url}")
    await chat(client, conversation, Place(partial(open_files, url, token=token), notes))
    return OK


def on_terminal() -> bool:
    """Whether somebody is at a terminal that can show a screen."""
    capable = os.environ.get("TERM", "dumb") != "dumb"
    return capable and sys.stdin.isatty() and sys.stdout.isatty()


async def _conversation(options: argparse.Namespace, client: Client) -> str | None:
    """The conversation that was asked for.

    Raises:
        CommandError: there is none.
    """
    try:
        if options.peer is not None:
            return (await client.create("private", [options.peer])).conv
        if options.conversation is not None:
            return (await client.info(options.conversation)).conv
    except RequestRefused as error:
        raise CommandError(f"can't open the conversation: {error.message}") from error
    return None


def _url(options: argparse.Namespace) -> str:
    """Where the server is.

    Raises:
        CommandError: what was given is no address.
    """
    from .announcing import server_url

    given: str | None = options.url or os.environ.get("CHAT4ALL_URL")
    url = given or server_url(settings_of(options).data_dir) or DEFAULT_URL
    try:
        return websocket_url(url)
    except ValueError as error:
        raise CommandError(str(error), "check --url and CHAT4ALL_URL", code=USAGE) from error


def _token(options: argparse.Namespace) -> str | Callable[[], Awaitable[str]]:
    """The token that was given, or what makes one at each connect.

    Raises:
        CommandError: nobody said for whom.
    """
    given: str | None = options.token or os.environ.get("CHAT4ALL_TOKEN")
    if given:
        return given
    if options.name is None:
        raise CommandError("who are you?", "chat4all chat --as NAME --with NAME", code=USAGE)
    token = ""
    made_at = float("-inf")

    async def mint() -> str:
        nonlocal token, made_at
        if trio.current_time() - made_at > TOKEN_REUSE:
            from .access import token_for

            try:
                token = await token_for(options, options.name)
            except CommandError as error:
                if not token:
                    raise
                # The server's database may be away with the server: a matter of time.
                raise OSError(error.message) from error
            made_at = trio.current_time()
        return token

    return mint
