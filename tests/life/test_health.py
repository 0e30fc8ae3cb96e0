"""Health over plain HTTP, on the main port and on the admin port."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.life.processes import serving
from tests.life.raw_sockets import RawSocket, Response, parse_response, request

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("test_health")  # a server for all of them
CHECKS = ["/health/live", "/health/ready", "/health/startup"]
NOTHING = ["/", "/health", "/health/other", "/health/live/", "/v1/nothing", "/wss"]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        assert isinstance(port, int)
        return port


@contextmanager
def _ports(
    workers: int, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, int]]:
    """The main and the admin port of one server."""
    admin = free_port()
    directory = tmp_path_factory.mktemp("health")
    flags = ["--admin-port", str(admin), "--workers", str(workers)]
    with serving(directory, "--postgres", database, *flags) as server:
        yield {"main": server.port, "admin": admin}


@pytest.fixture(scope="module")
def of_one_worker(
    life_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, int]]:
    with _ports(1, life_database, tmp_path_factory) as ports:
        yield ports


@pytest.fixture(scope="module")
def of_two_workers(
    life_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, int]]:
    with _ports(2, life_database, tmp_path_factory) as ports:
        yield ports


@pytest.fixture(params=["of_one_worker", "of_two_workers"])
def ports(request: pytest.FixtureRequest) -> dict[str, int]:
    """Each of the servers stays, in whatever order tests come."""
    found: dict[str, int] = request.getfixturevalue(request.param)
    return found


def ask(port: int, path: str, method: str = "GET") -> Response:
    with RawSocket(port) as connection:
        connection.send(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        return parse_response(connection.rest())


@pytest.mark.parametrize("port", ["main", "admin"])
@pytest.mark.parametrize("path", CHECKS)
def test_a_server_that_listens_is_healthy(ports: dict[str, int], port: str, path: str) -> None:
    response = ask(ports[port], path)
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert response.body == b'{"status":"ok"}'
    assert ask(ports[port], path + "?verbose=1").status == 200


@pytest.mark.parametrize("port", ["main", "admin"])
@pytest.mark.parametrize("path", NOTHING)
def test_elsewhere_there_is_nothing_in_the_error_format(
    ports: dict[str, int], port: str, path: str
) -> None:
    response = ask(ports[port], path)
    assert response.status == 404
    assert response.error["code"] == "NOT_FOUND"
    assert response.error["message"]
    assert response.error["trace_id"]


@pytest.mark.parametrize("path", [CHECKS[1], NOTHING[0], "/ws"])
def test_head_gets_the_head_of_the_answer_alone(ports: dict[str, int], path: str) -> None:
    response, whole = ask(ports["main"], path, "HEAD"), ask(ports["main"], path)
    assert response.body == b""
    assert int(response.headers["content-length"]) > 0
    if path != "/ws":  # where HEAD is another method than the one that is allowed
        assert response.status == whole.status
        assert response.headers["content-length"] == whole.headers["content-length"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_health_is_only_read(ports: dict[str, int], method: str) -> None:
    response = ask(ports["main"], CHECKS[0], method)
    assert response.status == 405
    assert response.headers["allow"] == "GET"


def test_health_may_be_asked_by_http_1_0_without_a_host(ports: dict[str, int]) -> None:
    with RawSocket(ports["main"]) as connection:
        connection.send(b"GET /health/ready HTTP/1.0\r\n\r\n")
        assert parse_response(connection.rest()).status == 200


def test_health_is_told_while_clients_are_connected(ports: dict[str, int]) -> None:
    with RawSocket(ports["main"]) as client:
        client.upgrade(request())
        assert ask(ports["main"], CHECKS[1]).status == 200
        assert ask(ports["admin"], CHECKS[1]).status == 200
