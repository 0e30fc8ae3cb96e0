from __future__ import annotations

import socket

import pytest

from chat4all_actors.cli.listening import check_names, open_doors, tls_context, url_of
from chat4all_actors.cli.main import UNREACHABLE, USAGE, CommandError
from chat4all_actors.config import Settings


def port_of(listener: socket.socket) -> int:
    port = listener.getsockname()[1]
    assert isinstance(port, int)
    return port


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return port_of(sock)


def test_workers_have_sockets_of_their_own_on_one_free_port() -> None:
    doors = open_doors(Settings(port=0, workers=3))
    try:
        listeners = [listener for each in doors for listener in each.public]
        assert len({listener.fileno() for listener in listeners}) == 3
        assert len({port_of(listener) for listener in listeners}) == 1
        # Whoever connects is in the queue of exactly one of them.
        with socket.create_connection(("127.0.0.1", port_of(listeners[0]))) as client:
            found = []
            for listener in listeners:
                try:
                    sock, address = listener.accept()
                except BlockingIOError:
                    continue
                found.append(address)
                sock.close()
            assert found == [client.getsockname()]
    finally:
        for each in doors:
            each.close()


def test_workers_share_the_admin_port() -> None:
    doors = open_doors(Settings(port=0, admin_port=0, workers=2))
    try:
        assert len(doors[0].admin) == 1
        assert doors[0].admin == doors[1].admin
    finally:
        for each in doors:
            each.close()
    assert all(listener.fileno() < 0 for listener in (*doors[0].public, *doors[0].admin))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("others", [1, 2])
def test_a_port_that_another_server_uses_is_told(workers: int, others: int) -> None:
    port = free_port()
    other = open_doors(Settings(port=port, workers=others))
    try:
        with pytest.raises(CommandError, match=str(port)) as caught:
            open_doors(Settings(port=port, workers=workers))
    finally:
        for each in other:
            each.close()
    assert "--port" in caught.value.mend
    assert caught.value.code == UNREACHABLE


@pytest.mark.parametrize("workers", [1, 2])
def test_an_admin_port_in_use_is_told_and_the_main_port_is_given_back(workers: int) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = Settings(port=port, admin_port=port_of(other), workers=workers)
        with pytest.raises(CommandError, match="127") as caught:
            open_doors(settings)
    assert "--admin-port" in caught.value.mend
    socket.create_server(("127.0.0.1", port)).close()


def test_a_system_that_can_not_share_a_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(CommandError, match="share a port"):
        open_doors(Settings(port=0, workers=2))
    (doors,) = open_doors(Settings(port=0))
    doors.close()


def test_the_url_names_the_scheme_the_host_and_the_port() -> None:
    (doors,) = open_doors(Settings(port=0))
    try:
        port = port_of(doors.public[0])
        assert url_of(Settings(), doors) == f"http://127.0.0.1:{port}"
        assert url_of(Settings(host="::1"), doors) == f"http://[::1]:{port}"
        assert url_of(Settings(tls_cert="c", tls_key="k"), doors) == f"https://127.0.0.1:{port}"
    finally:
        doors.close()


def test_what_is_no_certificate_origin_or_host_is_told() -> None:
    assert tls_context(Settings()) is None
    with pytest.raises(CommandError, match="certificate") as caught:
        tls_context(Settings(tls_cert="missing", tls_key="missing"))
    assert caught.value.code == USAGE
    check_names(Settings(allowed_origins=["https://chat.example.org"]))
    with pytest.raises(CommandError, match=r"chat\.example\.org") as caught:
        check_names(Settings(allowed_origins=["chat.example.org"]))
    assert caught.value.code == USAGE
    check_names(Settings(allowed_hosts=["chat.example.org:8443", "[::1]"]))
    with pytest.raises(CommandError, match="is no host"):
        check_names(Settings(allowed_hosts=["https://chat.example.org"]))
