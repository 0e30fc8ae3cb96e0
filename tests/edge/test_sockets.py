from __future__ import annotations

import errno
import socket

import pytest

from chat4all_actors.edge.sockets import open_listeners


def test_a_free_port_is_chosen_and_is_the_same_on_all_addresses() -> None:
    listeners = open_listeners("localhost", 0)
    try:
        assert len({listener.getsockname()[1] for listener in listeners}) == 1
        assert all(not listener.getblocking() for listener in listeners)
    finally:
        for listener in listeners:
            listener.close()


def test_a_port_in_use_is_told() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="in use"),
    ):
        open_listeners("127.0.0.1", taken.getsockname()[1])


def test_an_address_that_is_not_here_is_told() -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011
        open_listeners("192.0.2.1", 0)
    assert caught.value.errno == errno.EADDRNOTAVAIL
