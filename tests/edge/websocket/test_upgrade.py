from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request
from wsproto.extensions import PerMessageDeflate

from chat4all_actors.edge.http.answers import refusal
from chat4all_actors.edge.http.errors import Refused
from chat4all_actors.edge.http.origins import Origins
from chat4all_actors.edge.websocket.upgrade import upgraded
from tests.edge.heads import RFC_ACCEPT, RFC_KEY, answer, head_bytes, parse

if TYPE_CHECKING:
    from collections.abc import Collection


def decide(*lines: str, allowed: Collection[str] = (), **changes: Any) -> bytes:
    return upgraded(parse(head_bytes(*lines, **changes)), origins=Origins(allowed))


def accepted(*lines: str, **changes: Any) -> bool:
    return decide(*lines, **changes).startswith(b"HTTP/1.1 101 ")


def refused(*lines: str, **changes: Any) -> tuple[int, str, dict[str, str]]:
    """The status, the error code and the fields of a refusal."""
    with pytest.raises(Refused) as caught:
        decide(*lines, **changes)
    status, headers, body = answer(refusal(caught.value))
    return status, body["error"]["code"], headers


def test_the_handshake_of_the_rfc_is_accepted() -> None:
    assert decide() == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + RFC_ACCEPT + b"\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [([], None), (["chat4all.v1"], "chat4all.v1"), (["mqtt", "chat4all.v1"], "chat4all.v1")],
)
def test_a_wsproto_client_accepts_our_answer_without_any_extension(
    offered: list[str], chosen: str | None
) -> None:
    client = WSConnection(ConnectionType.CLIENT)
    request = Request(
        host="chat.example",
        target="/ws",
        subprotocols=offered,
        extensions=[PerMessageDeflate()],
    )
    client.receive_data(upgraded(parse(client.send(request)), origins=Origins(())))
    (event,) = client.events()
    assert isinstance(event, AcceptConnection)
    assert (event.subprotocol, event.extensions) == (chosen, [])


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "CONNECT", "get"])
def test_a_method_other_than_get_is_refused(method: str) -> None:
    status, code, headers = refused(method=method)
    assert (status, code, headers["allow"]) == (405, "METHOD_NOT_ALLOWED", "GET")


@pytest.mark.parametrize(
    "changes",
    [
        {"Upgrade": "WebSocket", "Connection": "upgrade"},
        {"Upgrade": "h2c, websocket", "Connection": "keep-alive, Upgrade"},
        {"Upgrade": "WEBSOCKET ,", "Connection": "UPGRADE ,close"},
    ],
)
def test_upgrade_tokens_are_found_in_lists_of_any_case(changes: dict[str, str]) -> None:
    assert accepted(**changes)


def test_upgrade_tokens_are_found_on_repeated_lines() -> None:
    lines = ("Connection: keep-alive", "Connection: Upgrade")
    assert accepted(*lines, Connection=None)


@pytest.mark.parametrize(
    "changes",
    [
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Upgrade": "websockets"},
        {"Upgrade": "web socket"},
        {"Connection": None},
        {"Connection": "keep-alive"},
        {"Connection": "upgraded"},
        {"version": "1.0"},
    ],
)
def test_a_request_that_asks_for_no_upgrade_is_told_to(changes: dict[str, Any]) -> None:
    status, code, headers = refused(**changes)
    assert (status, code) == (426, "UPGRADE_REQUIRED")
    assert headers["upgrade"] == "websocket"
    assert headers["connection"] == "Upgrade, close"


@pytest.mark.parametrize("version", [None, "8", "14", "13, 8", "013", ""])
def test_another_websocket_version_is_told_the_right_one(version: str | None) -> None:
    status, code, headers = refused(Sec_WebSocket_Version=version)
    assert (status, code) == (426, "UPGRADE_REQUIRED")
    assert headers["sec-websocket-version"] == "13"


def test_two_version_fields_are_refused() -> None:
    assert refused("Sec-WebSocket-Version: 13")[0] == 426


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "c2hvcnQ=",
        "AAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAA!AAAAAAAAAA==",
        "AAAAAAAAAAA AAAAAAAAAA==",
        "-_AAAAAAAAAAAAAAAAAAAA==",
        "AAAAAAAAAAAAAAAAAAAA====",
        "\xff" * 24,
    ],
)
def test_a_key_that_is_not_16_bytes_in_base64_is_refused(key: str | None) -> None:
    assert refused(Sec_WebSocket_Key=key)[:2] == (400, "INVALID_PAYLOAD")


def test_two_keys_are_refused() -> None:
    assert refused(f"Sec-WebSocket-Key: {RFC_KEY}")[:2] == (400, "INVALID_PAYLOAD")


@pytest.mark.parametrize("field", ["Content-Length: 1", "Transfer-Encoding: chunked"])
def test_a_request_with_a_body_is_refused(field: str) -> None:
    assert refused(field)[:2] == (400, "INVALID_PAYLOAD")


def test_a_content_length_of_zero_is_no_body() -> None:
    assert accepted("Content-Length: 0")


@pytest.mark.parametrize(
    "query", ["token=sesame", "a=1&access_token=sesame", "Token=sesame", "to%6ben=sesame", "token"]
)
def test_a_token_in_the_url_is_refused_with_its_right_place(query: str) -> None:
    with pytest.raises(Refused) as caught:
        decide(target=f"/ws?{query}")
    assert caught.value.status == 400
    assert b"connect frame" in refusal(caught.value)
    assert b"sesame" not in refusal(caught.value)


def test_other_query_parameters_are_allowed() -> None:
    assert accepted(target="/ws?v=1&mytoken=2#token=3")


@pytest.mark.parametrize(
    "offered", [["chat4all.v1"], ["mqtt, chat4all.v1,soap"], ["mqtt", "chat4all.v1"]]
)
def test_our_subprotocol_is_chosen_when_offered(offered: list[str]) -> None:
    response = decide(*(f"Sec-WebSocket-Protocol: {value}" for value in offered))
    assert response.endswith(b"\r\nSec-WebSocket-Protocol: chat4all.v1\r\n\r\n")


@pytest.mark.parametrize("offered", ["mqtt", "chat4all.v2, chat4all", "CHAT4ALL.V1"])
def test_a_client_that_offers_only_other_subprotocols_is_refused(offered: str) -> None:
    assert refused(Sec_WebSocket_Protocol=offered)[:2] == (400, "INVALID_PAYLOAD")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("chat.example", "https://chat.example"),
        ("chat.example", "http://chat.example"),
        ("Chat.Example", "https://chat.EXAMPLE"),
        ("chat.example:443", "https://chat.example"),
        ("chat.example", "http://chat.example:80"),
        ("localhost:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_own_origin_is_always_allowed(host: str, origin: str) -> None:
    assert accepted(Host=host, Origin=origin)


ALLOWED = ("https://App.example", "http://localhost:3000", "capacitor://localhost")


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example",
        "HTTPS://APP.EXAMPLE",
        "https://app.example:443",
        "http://localhost:3000",
        "capacitor://localhost",
    ],
)
def test_a_listed_origin_is_allowed(origin: str) -> None:
    assert accepted(Origin=origin, allowed=ALLOWED)


@pytest.mark.parametrize(
    "origin",
    [
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evil-app.example",
        "https://x.app.example",
        "https://app.example/",
        "https://app.example#",
        "https://app.example@evil.example",
        "https://app.example:443:443",
        "https://app.example:",
        "https://app.example.",
        "https://app.example, https://evil.example",
        "https://app.example https://evil.example",
        "https://\xe1pp.example",
        "//app.example",
        "app.example",
        "capacitor://chat.example",
        "https://chat.example:80",
        "*",
        "null",
        "",
    ],
)
def test_any_other_origin_is_refused(origin: str) -> None:
    assert refused(Origin=origin, allowed=ALLOWED)[:2] == (403, "FORBIDDEN")


def test_the_opaque_origin_is_allowed_only_when_listed() -> None:
    assert refused(Origin="null")[0] == 403
    assert accepted(Origin="null", allowed=["null"])


def test_a_wildcard_allows_nothing() -> None:
    allowed = ["*", "https://*", "https://*.example", ""]
    assert refused(Origin="https://evil.example", allowed=allowed)[0] == 403


def test_several_origins_are_refused_even_when_each_is_allowed() -> None:
    twice = refused("Origin: https://app.example", Origin="https://app.example", allowed=ALLOWED)
    assert twice[:2] == (403, "FORBIDDEN")


def test_a_client_without_an_origin_is_served() -> None:
    assert accepted(Origin=None, allowed=ALLOWED)
