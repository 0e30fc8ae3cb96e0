"""`chat4all channels play`: whom, on which server; then a pipe or a terminal has it."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec
import trio

from chat4all_connectors.loopback import cues
from chat4all_connectors.loopback.playing import lines_of, reachable

from ..channels.addresses import AddressError, parse
from ..channels.kinds import stage_path
from .chat import on_terminal
from .flags import settings_of
from .main import UNREACHABLE, USAGE, CommandError, first_error

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..channels.addresses import Address
    from ..config import Settings

LONGEST: Final = 1024 * 1024 * 1024
"""Bytes of a line of the server's: it sends no file that does not fit in its memory."""


class Play:
    """A person on a stage, as whoever plays her has her."""

    def __init__(self, stream: trio.SocketStream, see: Callable[[cues.Sight], None]) -> None:
        """`see` is called with all that she sees."""
        self._stream = stream
        self._see = see
        self._acting = trio.Lock()
        self._answer: cues.Answer | None = None
        self._answered = trio.Event()

    async def run(self) -> NoReturn:
        """Take what comes.

        Raises:
            CommandError: the server has gone, or the account is worked on elsewhere.
        """
        with suppress(trio.BrokenResourceError):  # as at its end
            async with aclosing(lines_of(self._stream, LONGEST)) as lines:
                async for line in lines:
                    cue = cues.decode_sight(line)
                    if isinstance(cue, cues.Done | cues.Content | cues.Refused):
                        self._answer = cue
                        self._answered.set()
                    else:
                        self._see(cue)
        raise CommandError(
            "the server has gone, or another node works on the account",
            "the same command goes on when it is there",
        )

    async def act(self, act: cues.Act) -> cues.Answer:
        """Do something; what the stage says to it. Ends with `run` if the server goes."""
        async with self._acting:
            self._answered = trio.Event()
            with suppress(trio.BrokenResourceError):  # `run` tells
                await self._stream.send_all(cues.encode(act))
            await self._answered.wait()
            assert self._answer is not None
            return self._answer


def play(options: argparse.Namespace) -> int:
    """Play until the player leaves or the input ends."""
    settings = settings_of(options)
    address = _address(options.address)
    try:
        return trio.run(_play, options, address, settings)
    except* msgspec.DecodeError as group:
        raise CommandError(f"no stage is there: {first_error(group)}") from None


async def _play(options: argparse.Namespace, address: Address, settings: Settings) -> int:
    stream = await _open(address.account, settings)
    async with stream:
        enter = cues.Enter(person=address.identity, name=options.name)
        if options.json or not on_terminal():
            from .channel_play_pipe import Pipe

            return await Pipe(
                stream,
                enter,
                address.account,
                json=options.json,
                follow=options.follow,
                reads=options.read,
            ).run()
        from .channel_play_screen import Screenplay

        return await Screenplay(stream, enter, address, reads=options.read).run()


def _address(text: str) -> Address:
    """Who is to be played.

    Raises:
        CommandError: nobody can be by this name.
    """
    try:
        address = parse(text)
    except AddressError as error:
        raise CommandError(f"{text}: {error}", code=USAGE) from error
    if address.channel != "loopback":
        raise CommandError(
            f"{text} is a person on {address.channel}: only those on loopback can be played",
            "chat4all channels play loopback:ana",
            code=USAGE,
        )
    return address


async def _open(account: str, settings: Settings) -> trio.SocketStream:
    """A connection to the stage.

    Raises:
        CommandError: there is none.
    """
    path = stage_path(account, settings)
    try:
        with reachable(path) as address:
            return await trio.open_unix_socket(address)
    except OSError as error:
        table = "channels.loopback" if account == "loopback" else f'channels."{account}"'
        raise CommandError(
            f"no server works on {account} here: {path}: {error.strerror}",
            f"run one with [{table}] in its --config, and name its --data-dir",
            code=UNREACHABLE,
        ) from error
