"""What all answers of the application have in common."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_actors import tracing
from chat4all_actors.config import Settings
from chat4all_actors.edge.http.front import GRACE, Front
from tests.edge.apps import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
OURS = "https://chat.example"


class Answer:
    def __init__(self, events: list[Any]) -> None:
        start, *bodies = events
        self.status: int = start["status"]
        self.fields: list[tuple[bytes, bytes]] = start["headers"]
        self.headers = {name.decode(): value.decode() for name, value in self.fields}
        self.body = b"".join(event["body"] for event in bodies)

    @property
    def error(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        assert int(self.headers["content-length"]) == len(self.body)
        error = json.loads(self.body)["error"]
        assert error["trace_id"] == self.headers["x-trace-id"]
        return error


async def ask(
    app: Any,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    *,
    scheme: str = "http",
    path: str = "/v1/messages",
    **settings: Any,
) -> Answer:
    events: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: Any) -> None:
        events.append(event)

    fields = {"host": "chat.example"} | {k.replace("_", "-"): v for k, v in (headers or {}).items()}
    scope: Any = {
        "type": "http",
        "method": method,
        "scheme": scheme,
        "raw_path": path.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        "client": ("192.0.2.1", 5),
        "state": {},
    }
    await Front(app, Settings(**settings))(scope, receive, send)
    return Answer(events)


# Traces


async def test_the_trace_of_a_caller_goes_on_and_its_id_is_told() -> None:
    found: list[str | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(tracing.current_trace_id())
        await Recorder()(scope, receive, send)

    answer = await ask(app, headers={"traceparent": TRACEPARENT})
    assert answer.headers["x-trace-id"] == TRACE_ID
    assert found == [TRACE_ID]
    assert tracing.current_trace_id() is None


async def test_without_one_every_request_is_a_trace_of_its_own() -> None:
    first, second = await ask(Recorder()), await ask(Recorder())
    assert first.headers["x-trace-id"] != second.headers["x-trace-id"]


# Fields


async def test_answers_keep_browsers_from_doing_more_than_reading() -> None:
    answer = await ask(Recorder())
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "strict-transport-security" not in answer.headers
    assert len(answer.headers) == len(answer.fields)


async def test_an_application_may_say_otherwise() -> None:
    page = Recorder(headers=[(b"Content-Security-Policy", b"own"), (b"content-type", b"text/html")])
    answer = await ask(page)
    assert answer.headers["Content-Security-Policy"] == "own"
    assert "content-security-policy" not in answer.headers


async def test_under_tls_browsers_are_told_to_stay_there() -> None:
    assert "strict-transport-security" in (await ask(Recorder(), scheme="https")).headers


# Errors


async def test_an_error_of_the_application_is_passed_on_as_it_is() -> None:
    answer = await ask(Recorder(409, b'{"error":{}}'))
    assert (answer.status, answer.body) == (409, b'{"error":{}}')


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "NOT_FOUND"), (405, "METHOD_NOT_ALLOWED"), (413, "TOO_LARGE"), (500, "INTERNAL")],
)
@pytest.mark.parametrize("headers", [[], [(b"Content-Type", b"text/html; charset=utf-8")]])
async def test_an_error_in_another_format_is_told_in_ours(
    status: int, code: str, headers: list[tuple[bytes, bytes]]
) -> None:
    fields = [*headers, (b"Allow", b"GET, HEAD"), (b"set-cookie", b"a=b")]
    answer = await ask(Recorder(status, b"<h1>oh no</h1>", fields))
    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.headers["allow"] == "GET, HEAD"
    assert "set-cookie" not in answer.headers
    assert b"oh no" not in answer.body


@pytest.mark.parametrize("group", [False, True])
async def test_a_fault_is_told_without_its_details(
    caplog: pytest.LogCaptureFixture, group: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        error = RuntimeError("a secret")
        raise ExceptionGroup("many", [error]) if group else error

    answer = await ask(app)
    assert (answer.status, answer.error["code"]) == (500, "INTERNAL")
    assert b"secret" not in answer.body
    assert "a secret" in caplog.text


# Origins


async def test_an_allowed_page_reads_answers() -> None:
    answer = await ask(
        Recorder(), "POST", {"origin": OURS + ":8443"}, allowed_origins=[OURS + ":8443"]
    )
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == OURS + ":8443"
    assert "x-trace-id" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in answer.headers


async def test_an_allowed_page_reads_errors_too() -> None:
    answer = await ask(
        Recorder(404, headers=[]), "GET", {"origin": "null"}, allowed_origins=["null"]
    )
    assert answer.status == 404
    assert answer.headers["access-control-allow-origin"] == "null"


@pytest.mark.parametrize("origin", [OURS, "http://chat.example"])
async def test_the_own_page_needs_no_leave(origin: str) -> None:
    answer = await ask(Recorder(), "POST", {"origin": origin})
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", OURS + ".evil.example", OURS + ":8443", OURS + "/", "x", ""],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_foreign_page_changes_nothing(origin: str, method: str) -> None:
    app = Recorder()
    answer = await ask(app, method, {"origin": origin}, allowed_origins=["https://ours.example"])
    assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "origin"
    assert app.scopes == []


async def test_what_a_foreign_page_only_reads_no_browser_shows_it() -> None:
    answer = await ask(Recorder(), "GET", {"origin": "https://evil.example"})
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


async def test_an_allowed_page_is_told_what_it_may_ask() -> None:
    app = Recorder()
    preflight = {"origin": "https://ours.example", "access-control-request-method": "PUT"}
    answer = await ask(app, "OPTIONS", preflight, allowed_origins=["https://ours.example"])
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers
    assert answer.headers["access-control-allow-origin"] == "https://ours.example"
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "idempotency-key" in answer.headers["access-control-allow-headers"]
    assert "access-control-request-method" in answer.headers["vary"]
    assert app.scopes == []


async def test_a_foreign_page_is_told_that_it_may_not() -> None:
    preflight = {"origin": "https://evil.example", "access-control-request-method": "PUT"}
    answer = await ask(Recorder(), "OPTIONS", preflight)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_options_without_a_page_are_the_applications() -> None:
    assert (await ask(app := Recorder(), "OPTIONS")).status == 200
    assert len(app.scopes) == 1


# Time


async def test_an_answer_has_its_time_unless_the_application_asks_for_more(
    autojump_clock: MockClock,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["raw_path"] == b"/slow":
            scope["state"]["extend"](90)
            scope["state"]["extend"](1)  # never less
        await trio.sleep(89)
        await Recorder()(scope, receive, send)

    assert (await ask(app, path="/slow", request_timeout=15)).status == 200
    assert trio.current_time() == 89
    assert (await ask(app, request_timeout=15)).status == 504
    assert trio.current_time() == 89 + 15 + GRACE


# The access log


async def test_each_request_has_a_line_without_its_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["route"] = "/v1/{thing}"
        await Recorder()(scope, receive, send)

    with caplog.at_level(logging.INFO):
        await ask(app, headers={"authorization": "Bearer abc"}, access_log="info")
        await ask(Recorder(), path="/v1/" + "x" * 500, access_log="info")
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("GET /v1/{thing} 200 4 bytes ")
    assert first.endswith(" ms from 192.0.2.1")
    assert "abc" not in first
    assert len(second) < 300


@pytest.mark.parametrize("access_log", ["debug", "off"])
async def test_without_it_only_faults_are_noted(
    access_log: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await ask(Recorder(404), access_log=access_log)
        assert caplog.records == []
        await ask(Recorder(503), access_log=access_log)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_what_is_no_http_is_handed_on() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.lowlevel.checkpoint()
        seen.append(scope["type"])

    scope: Any = {"type": "lifespan"}
    nobody: Any = None
    await Front(app, Settings())(scope, nobody, nobody)
    assert seen == ["lifespan"]
