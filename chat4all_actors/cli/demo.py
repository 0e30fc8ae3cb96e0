"""`chat4all demo`: a server for once, a message through it, and what it does until Ctrl-C."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
from msgspec.structs import replace

from chat4all_client import open_client
from chat4all_protocol.frames import Msg

from ..accounts.passwords import Passwords
from ..accounts.service import Accounts
from ..accounts.tokens import Tokens
from ..config_loading import load
from ..logs import configure
from .announcing import announced
from .main import OK
from .opening import signing_key
from .serving import fit_to_limits, open_node

if TYPE_CHECKING:
    import argparse

    from ..config import Settings
    from ..node import Node
    from .serving import Running

USERS: Final = ("alice", "bob")
PASSWORD: Final = "demo-password"
CHANNELS: Final = {"loopback": {"inbox": [USERS[0]]}}
"""Beside those of the environment: somebody outside can be played, who writes to the first user."""
OUTSIDE: Final = "loopback:carla"
STATE_INTERVAL: Final = 1.0


def run(options: argparse.Namespace) -> int:
    """Run until Ctrl-C."""
    directory = tempfile.mkdtemp(prefix="chat4all-demo-")
    try:
        settings = load({"port": options.port, "data_dir": directory, "log_level": "warning"})
        settings = replace(settings, channels=CHANNELS | settings.channels)
        configure(settings.log_format, settings.log_level)
        trio.run(_demo, fit_to_limits(settings))
    finally:
        shutil.rmtree(directory, ignore_errors=True)  # the keeper has removed it, as a rule
    return OK


async def _demo(settings: Settings) -> None:
    print("starting PostgreSQL, Redis and the server …", file=sys.stderr)
    async with open_node(settings, throwaway=True) as running:
        accounts = Accounts(running.storage.directory, Passwords(settings.bcrypt_cost))
        async with trio.open_nursery() as nursery:
            for name in USERS:
                nursery.start_soon(accounts.add, name, PASSWORD)
        proof = await _prove(settings, running, accounts)
        with announced(settings, running.url):
            _introduce(settings, running.url, proof)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_show_state, running.node)
                with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                    async for _ in signals:
                        break
                nursery.cancel_scope.cancel()
            print("\nstopping …", file=sys.stderr)
            await running.node.drain()


async def _prove(settings: Settings, running: Running, accounts: Accounts) -> str:
    """Send a message from one user to the other, over real connections; how it went."""
    issuer = Tokens(signing_key(settings))
    tokens: list[str] = []
    for name in USERS:
        user = await accounts.find(name)
        assert user is not None  # added just now
        tokens.append(issuer.issue(user.id, user.username))
    async with (
        open_client(running.url, token=tokens[0], device="demo") as alice,
        open_client(running.url, token=tokens[1], device="demo") as bob,
    ):
        conversation = await alice.create("private", [USERS[1]])
        await alice.send(conversation.conv, "Is this on?")  # the first pays for opening everything
        started = time.perf_counter()
        sent = await alice.send(conversation.conv, "Hello Bob, this is the demo.")
        acknowledged = time.perf_counter() - started
        async for event in bob.events():
            if isinstance(event, Msg) and event.id == sent.id:
                break
        received = time.perf_counter() - started
        history = await bob.history(conversation.conv)
    stored = [item.seq for item in history if item.id == sent.id]
    if stored != [sent.seq]:
        raise RuntimeError(f"the message was acknowledged as {sent.seq} and is stored as {stored}")
    return (
        f"alice → bob: committed to PostgreSQL and acknowledged in {acknowledged * 1000:.1f} ms,"
        f" received in {received * 1000:.1f} ms, read back as number {sent.seq}"
    )


def _introduce(settings: Settings, url: str, proof: str) -> None:
    program = _program()
    place = f"--data-dir {settings.data_dir}"
    print(
        f"""
chat4all runs at {url}

  It works  {proof}

  Try it    in two terminals, as two people:
              {program} chat --as {USERS[0]} --with {USERS[1]} {place}
              {program} chat --as {USERS[1]} --with {USERS[0]} {place}
            and as somebody on another messenger, who writes to {USERS[0]}:
              {program} channels play {OUTSIDE} {place}

  Health    {url}/health/ready
  Data      {settings.data_dir}, removed when this ends (Ctrl-C)
""",
        flush=True,
    )


def _program() -> str:
    """How to call this program from a terminal."""
    called = Path(sys.argv[0])
    if called.name != "chat4all":
        return f"{sys.executable} -m chat4all_actors"
    found = shutil.which("chat4all")
    if found is not None and Path(found).resolve() == called.resolve():
        return "chat4all"
    return str(called)


async def _show_state(node: Node) -> None:
    """A line that is written over on a terminal, and a line for each change elsewhere."""
    on_terminal = sys.stdout.isatty()
    last = ""
    while True:
        now = node.statistics()
        line = (
            f"sessions {now.sessions} · conversations alive {now.conversations}"
            f" · events stored {now.stored}, in commits {now.commits}"
        )
        if line != last:
            last = line
            clock = time.strftime("%H:%M:%S")
            if on_terminal:
                print(f"\r\x1b[K  State     {clock}  {line}", end="", flush=True)
            else:
                print(f"  State     {clock}  {line}", flush=True)
        await trio.sleep(STATE_INTERVAL)
