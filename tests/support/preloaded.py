"""A process that has imported the server and forks what tests start: most of a start is imports.

`python -m tests.support.preloaded FD` reads orders from a socket, each with the descriptors that
the new process gets as its standard streams, and one on which its pid and, at its end, its status
are told. What is forked runs a module as `python -m` would, in a process of its own; `forked` is
the other side. It ends with the socket.
"""

from __future__ import annotations

import gc
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct

IMPORTED: Final = (
    "chat4all_actors.cli.chat",
    "chat4all_actors.cli.main",
    "chat4all_actors.cli.serving",
    "chat4all_actors.cli.shards",
    "chat4all_actors.cli.user",
    "chat4all_actors.cli.worker",
    "chat4all_actors.cli.workers",
    "chat4all_actors.edge.rest.app",
)
"""What commands import when they are called for, with all that it imports."""

MAX_ORDER: Final = 128 * 1024
"""Bytes; the environment is most of it."""


class Order(Struct, frozen=True):
    """What is to be run."""

    arguments: list[str]
    """A module and its arguments, as after `python -m`."""
    environment: dict[str, str]
    directory: str


def serve(orders: socket.socket) -> Order:
    """Fork for each order; returns in the new process, with what that is to run."""
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    woken.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # those who started it are told by a terminal, too
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    running: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(orders, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                woken.recv(4096)
                _tell_ended(running)
            if orders not in ready:
                continue
            data, descriptors, _, _ = socket.recv_fds(orders, MAX_ORDER, 4)
            if not data:
                sys.exit()
            *streams, telling = descriptors
            teller = socket.socket(fileno=telling)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                for each in (orders, woken, waker, teller, *running.values()):
                    each.close()
                _take(streams)
                return msgspec.json.decode(data, type=Order)
            for stream in streams:
                os.close(stream)
            running[pid] = teller
            _tell(teller, pid)


def _tell_ended(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as teller:
            _tell(teller, os.waitstatus_to_exitcode(status))


def _tell(teller: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError):  # nobody waits for it
        teller.send(b"%d\n" % number)


def _take(streams: list[int]) -> None:
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)


def main() -> None:
    """Import, fork, and in each new process run what was ordered."""
    for name in IMPORTED:
        __import__(name)
    gc.freeze()
    assert threading.active_count() == 1, threading.enumerate()
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        order = serve(orders)
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.directory)
    sys.argv = list(order.arguments)
    # The last thing of the process: how it ends is told by the interpreter as always.
    runpy.run_module(order.arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
