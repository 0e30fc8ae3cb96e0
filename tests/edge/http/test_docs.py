from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from chat4all_actors.edge.http.docs import Docs
from tests.edge.apps import Client, Recorder, Reply, request
from tests.edge.house import house

if TYPE_CHECKING:
    from collections.abc import Sequence


async def fetch(*targets: str, method: str = "GET") -> Sequence[Reply]:
    async with house(app=Docs(Recorder(204))) as here:
        asking = Client(await here.connect())
        replies = []
        for target in targets:
            await asking.send(request(target, method=method))
            replies.append(await asking.reply(method))
        return replies


async def test_the_page_has_all_it_needs_from_this_server() -> None:
    (page,) = await fetch("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    links = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    links.remove("/openapi.json")  # for those who run no scripts
    assert len(links) == 3
    for link, reply in zip(links, await fetch(*links), strict=True):
        assert reply.status == 200
        assert reply.headers["content-type"].startswith(
            "text/css" if link.endswith(".css") else "text/javascript"
        )
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert len(reply.body) == int(reply.headers["content-length"]) > 100


async def test_the_page_may_run_scripts_of_this_server_only() -> None:
    (page,) = await fetch("/docs")
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    text = page.body.decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert "style=" not in text


async def test_the_viewer_asks_nobody_else() -> None:
    (script,) = await fetch("/docs/docs.js")
    assert b"validatorUrl: null" in script.body
    assert re.findall(rb"https?://", script.body) == []


@pytest.mark.parametrize("target", ["/docs/", "/docs/index.html", "/docs/swagger-ui.js", "/docsx"])
async def test_there_is_nothing_else(target: str) -> None:
    (reply,) = await fetch(target)
    assert reply.status == 204  # the application's


async def test_the_page_is_only_read() -> None:
    (reply,) = await fetch("/docs", method="POST")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")
    assert reply.error["code"] == "METHOD_NOT_ALLOWED"
