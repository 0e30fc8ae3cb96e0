"""Accounts, tokens and sessions over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyotp
import pytest
import trio

from chat4all_actors.accounts.passwords import Passwords
from chat4all_actors.edge.rest.api import GROUPS
from chat4all_actors.edge.rest.app import build
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import Connect, Error
from chat4all_storage.ports.audit import SHELL
from tests.actors.harness import Person, running_node
from tests.edge.rest.harness import Api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trio.testing import MockClock

    from chat4all_actors.node import Node
    from tests.edge.rest.harness import Reply

PASSWORD = "a password"


class Office:
    """A node whose users have passwords."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.app = build(node, GROUPS, version="1")
        self.nobody = Api(self.app, node, None)

    async def register(self, name: str = "dora", **fields: Any) -> Reply:
        body = {"username": name, "password": PASSWORD, **fields}
        return await self.nobody.ask("POST", "/v1/auth/register", body)

    async def token(self, **fields: Any) -> Reply:
        return await self.nobody.ask("POST", "/v1/auth/token", fields)

    async def login(self, name: str = "dora", **fields: Any) -> Reply:
        fields = {"username": name, "password": PASSWORD} | fields
        return await self.token(**fields)

    def with_token(self, access_token: str) -> Api:
        api = Api(self.app, self.node, None)
        api.headers["Authorization"] = f"Bearer {access_token}"
        return api

    async def member(self, name: str = "dora", **fields: Any) -> Api:
        """Somebody who is logged in."""
        reply = await self.login(name, **fields)
        assert reply.status == 200, reply.body
        return self.with_token(reply.json["access_token"])

    async def client(self, *scopes: str) -> Api:
        added = await self.node.desk.clients.add("bot", scopes, SHELL)
        reply = await self.token(client_id=added.client.id, client_secret=added.secret)
        assert reply.status == 200, reply.body
        return self.with_token(reply.json["access_token"])


@pytest.fixture(autouse=True)
def _no_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that jumps does not wait for threads: there hashes are computed at once."""

    async def at_once(passwords: Passwords, fn: Callable[[], Any]) -> Any:
        await trio.lowlevel.checkpoint()
        return fn()

    if "autojump_clock" in request.fixturenames:
        monkeypatch.setattr(Passwords, "_in_thread", at_once)


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    async with running_node(
        bcrypt_cost=4,
        rate_logins_per_minute=0,
        rate_logins_per_address_per_minute=0,
        rate_registrations_per_minute=0,
    ) as node:
        yield Office(node)


async def test_who_registers_can_log_in(office: Office) -> None:
    made = await office.register("Dora", email="dora@example.org")
    assert made.status == 201
    assert made.json["username"] == "Dora"
    tokens = await office.login("dora", device="phone")
    assert tokens.status == 200
    assert set(tokens.json) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (tokens.json["token_type"], tokens.json["expires_in"]) == ("Bearer", 3600)
    dora = office.with_token(tokens.json["access_token"])
    profile = (await dora.ask("GET", "/v1/users/me")).json
    assert profile["user_id"] == made.json["user_id"]
    assert (profile["username"], profile["email"]) == ("Dora", "dora@example.org")
    assert not profile["totp"]
    alias = await office.nobody.ask(
        "POST", "/auth/token", {"username": "dora", "password": PASSWORD}
    )
    assert alias.status == 200


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"name": "ANA"}, 409, "username"),
        ({"name": "a b"}, 400, "username"),
        ({"password": "short"}, 400, "password"),
        ({"password": "x" * 73}, 400, "password"),
        ({"password": "eight\0888"}, 400, "password"),
        ({"email": "nobody"}, 400, "email"),
        ({"email": 5}, 400, "email"),
    ],
)
async def test_what_can_not_be_an_account_is_refused_by_its_field(
    office: Office, fields: dict[str, Any], status: int, field: str
) -> None:
    refused = await office.register(**fields)
    assert (refused.status, refused.field) == (status, field)


async def test_a_registration_that_is_sent_again_is_answered_again(office: Office) -> None:
    office.nobody.headers["Idempotency-Key"] = "one"
    first = await office.register()
    again = await office.register()
    assert (again.status, again.json) == (201, first.json)
    other = await office.register(email="dora@example.org")
    assert (other.status, other.field) == (409, "Idempotency-Key")
    del office.nobody.headers["Idempotency-Key"]
    assert (await office.register()).status == 409


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "dora"},
        {"password": PASSWORD},
        {"client_id": "x"},
        {"username": "dora", "password": PASSWORD, "refresh_token": "x"},
    ],
)
async def test_a_request_for_tokens_shows_one_thing_whole(
    office: Office, body: dict[str, str]
) -> None:
    assert (await office.token(**body)).status == 400


async def test_wrong_credentials_are_refused_alike(office: Office) -> None:
    await office.register()
    answers = [
        await office.login(password="another password"),
        await office.login("nobody"),
        await office.token(refresh_token="c4r_x"),
        await office.token(client_id="x", client_secret="y"),
    ]
    assert {answer.status for answer in answers} == {401}
    assert {answer.code for answer in answers} == {"UNAUTHENTICATED"}
    assert answers[0].json["error"]["message"] == answers[1].json["error"]["message"]


async def test_too_many_checks_at_once_are_told_when_to_come_back(office: Office) -> None:
    await office.register()
    answers: list[Reply] = []

    async def login() -> None:
        answers.append(await office.login())

    async with trio.open_nursery() as nursery:
        for _ in range(60):
            nursery.start_soon(login)
    assert {answer.status for answer in answers} == {200, 503}
    refused = [answer for answer in answers if answer.status == 503]
    assert {answer.headers["retry-after"] for answer in refused} == {"2"}


async def test_logging_in_is_limited_for_an_account(autojump_clock: MockClock) -> None:
    async with running_node(bcrypt_cost=4) as node:
        office = Office(node)
        await office.register()
        answers = [await office.login(password="wrong password") for _ in range(8)]
        limited = answers[-1]
        assert (limited.status, limited.code) == (429, "RATE_LIMITED")
        assert int(limited.headers["retry-after"]) >= 1


async def test_tokens_are_refreshed_and_a_replay_ends_the_session(
    autojump_clock: MockClock, office: Office
) -> None:
    await office.register()
    first = (await office.login()).json
    second = await office.token(refresh_token=first["refresh_token"])
    again = await office.token(refresh_token=first["refresh_token"])
    assert second.json["refresh_token"] == again.json["refresh_token"]
    await trio.sleep(31)
    assert (await office.token(refresh_token=first["refresh_token"])).status == 401
    assert (await office.token(refresh_token=second.json["refresh_token"])).status == 401
    dora = office.with_token(second.json["access_token"])
    assert (await dora.ask("GET", "/v1/users/me")).status == 401


async def test_logging_out_ends_the_session_and_its_sockets_at_once(office: Office) -> None:
    await office.register()
    tokens = (await office.login()).json
    other = await office.member()
    person = Person(office.node)
    await person.say(Connect(token=tokens["access_token"], device="d"))
    dora = office.with_token(tokens["access_token"])
    assert (await dora.ask("POST", "/v1/auth/logout")).status == 204
    assert person.outlet.closed is not None
    assert person.outlet.closed[0] == CloseCode.REVOKED
    assert (await dora.ask("GET", "/v1/users/me")).status == 401
    assert (await office.token(refresh_token=tokens["refresh_token"])).status == 401
    late = Person(office.node)
    await late.say(Connect(token=tokens["access_token"], device="d"))
    assert late.outlet.of(Error)[0].code == "UNAUTHENTICATED"
    assert (await other.ask("GET", "/v1/users/me")).status == 200
    assert (await other.ask("POST", "/v1/auth/logout?everywhere=true")).status == 204
    assert (await other.ask("GET", "/v1/users/me")).status == 401


async def test_a_token_from_the_command_line_has_no_session_to_end(office: Office) -> None:
    made = await office.register()
    token = office.node.tokens.issue(made.json["user_id"], "dora")
    refused = await office.with_token(token).ask("POST", "/v1/auth/logout")
    assert (refused.status, refused.code) == (409, "CONFLICT")


async def test_sessions_are_listed_and_ended_one_by_one(office: Office) -> None:
    await office.register()
    await office.register("eve")
    phone, laptop = await office.member(device="phone"), await office.member(device="laptop")
    sessions = (await phone.ask("GET", "/v1/auth/sessions")).json["sessions"]
    by_device = {session["device"]: session for session in sessions}
    assert set(by_device) == {"phone", "laptop"}
    assert by_device["phone"]["current"]
    assert not by_device["laptop"]["current"]
    path = f"/v1/auth/sessions/{by_device['laptop']['session_id']}"
    eve = await office.member("eve")
    assert (await eve.ask("DELETE", path)).status == 404
    assert (await phone.ask("DELETE", path)).status == 204
    assert (await phone.ask("DELETE", path)).status == 404
    assert (await laptop.ask("GET", "/v1/users/me")).status == 401
    assert (await phone.ask("DELETE", "/v1/auth/sessions/nonsense")).status == 404


async def test_a_password_is_changed_by_who_knows_the_former_one(office: Office) -> None:
    await office.register()
    mine, other = await office.member(), await office.member()
    change = {"old_password": PASSWORD, "new_password": "another password"}
    wrong = await mine.ask("POST", "/v1/auth/password", change | {"old_password": "not it at all"})
    assert wrong.status == 401
    short = await mine.ask("POST", "/v1/auth/password", change | {"new_password": "short"})
    assert (short.status, short.field) == (400, "new_password")
    for _ in range(2):
        done = await mine.ask("POST", "/v1/auth/password", change, Idempotency_Key="one")
        assert (done.status, done.body) == (204, b"")
    assert (await mine.ask("GET", "/v1/users/me")).status == 200
    assert (await other.ask("GET", "/v1/users/me")).status == 401
    assert (await office.login()).status == 401
    assert (await office.login(password="another password")).status == 200


async def test_a_second_factor_is_enrolled_used_and_disabled(
    autojump_clock: MockClock, office: Office
) -> None:
    await office.register()
    dora = await office.member()

    def code() -> str:
        return pyotp.TOTP(made["secret"]).at(int(office.node.wall_clock()))

    refused = await dora.ask("POST", "/v1/auth/totp", {"password": "not it at all"})
    assert refused.status == 401
    made = (await dora.ask("POST", "/v1/auth/totp", {"password": PASSWORD})).json
    assert made["otpauth_uri"].startswith("otpauth://totp/chat4all:dora?")
    verified = await dora.ask("POST", "/v1/auth/totp/verify", {"code": code()})
    assert verified.status == 200
    codes = verified.json["recovery_codes"]
    assert len(codes) == 10
    assert (await dora.ask("POST", "/v1/auth/totp", {"password": PASSWORD})).status == 409

    needed = await office.login()
    assert (needed.status, needed.json["error"]["details"]) == (401, {"totp": "required"})
    used = await office.login(totp=code())
    assert (used.status, used.json["error"]["details"]) == (401, {"totp": "refused"})
    await trio.sleep(30)
    assert (await office.login(totp=code())).status == 200
    assert (await office.login(totp=codes[0])).status == 200
    for _ in range(5):
        await office.login(totp="wrong-code")
    limited = await office.login(totp=codes[1])
    assert limited.status == 429
    await trio.sleep(int(limited.headers["retry-after"]))
    both = {"password": PASSWORD, "code": codes[1]}
    fresh = await dora.ask("POST", "/v1/auth/totp/recovery-codes", both)
    assert len(fresh.json["recovery_codes"]) == 10
    both["code"] = fresh.json["recovery_codes"][0]
    assert (await dora.ask("POST", "/v1/auth/totp/disable", both)).status == 204
    assert (await office.login()).status == 200


async def test_a_profile_is_changed_field_by_field(office: Office) -> None:
    await office.register(email="dora@example.org")
    dora = await office.member()
    changed = await dora.ask("PATCH", "/v1/users/me", {"display_name": "Dora Díaz"})
    assert (changed.status, changed.json["display_name"]) == (200, "Dora Díaz")
    assert changed.json["email"] == "dora@example.org"
    changed = await dora.ask("PATCH", "/v1/users/me", {"email": None})
    assert (changed.json["email"], changed.json["display_name"]) == (None, "Dora Díaz")
    for body, field in (({"email": "x@y"}, "email"), ({"display_name": "\0"}, "display_name")):
        refused = await dora.ask("PATCH", "/v1/users/me", body)
        assert (refused.status, refused.field) == (400, field)


async def test_an_erased_user_s_token_is_refused(autojump_clock: MockClock, office: Office) -> None:
    made = await office.register()
    dora = await office.member()
    await office.node.desk.stores.profiles.erase(made.json["user_id"], "erased:1", SHELL)
    assert (await dora.ask("GET", "/v1/users/me")).status == 401
    await trio.sleep(2)
    assert (await dora.ask("GET", "/v1/conversations")).status == 401
    assert (await office.login()).status == 401


async def test_a_client_has_its_scopes_and_no_account(office: Office) -> None:
    bot = await office.client("conversations:read", "act_as")
    bot.headers["X-On-Behalf-Of"] = "ana"
    assert (await bot.ask("GET", "/v1/conversations")).status == 200
    refused = await bot.ask("GET", "/v1/presence?users=bob")
    assert (refused.status, refused.code) == (403, "FORBIDDEN")
    for method, path in (
        ("GET", "/v1/users/me"),
        ("GET", "/v1/auth/sessions"),
        ("POST", "/v1/auth/logout"),
    ):
        assert (await bot.ask(method, path)).status == 403
    person = Person(office.node)
    token = bot.headers["Authorization"].removeprefix("Bearer ")
    await person.say(Connect(token=token, device="d"))
    assert person.outlet.closed is not None
    assert person.outlet.closed[0] == CloseCode.BAD_TOKEN


async def test_a_client_that_was_removed_is_refused_within_two_seconds(
    autojump_clock: MockClock, office: Office
) -> None:
    bot = await office.client("presence:read", "act_as")
    bot.headers["X-On-Behalf-Of"] = "ana"
    assert (await bot.ask("GET", "/v1/presence?users=bob")).status == 200
    await office.node.desk.stores.clients.remove("bot", SHELL)
    await trio.sleep(2)
    assert (await bot.ask("GET", "/v1/presence?users=bob")).status == 401


async def test_what_is_public_of_the_keys_is_published() -> None:
    async with running_node(jwt_algorithm="EdDSA", bcrypt_cost=4) as node:
        office = Office(node)
        (key,) = (await office.nobody.ask("GET", "/.well-known/jwks.json")).json["keys"]
        assert (key["alg"], key["kty"], key["crv"]) == ("EdDSA", "OKP", "Ed25519")
        await office.register()
        dora = await office.member()
        assert (await dora.ask("GET", "/v1/users/me")).status == 200


async def test_every_act_is_in_the_audit_log_with_its_trace(office: Office) -> None:
    made = await office.register()
    dora = await office.member()
    await dora.ask("POST", "/v1/auth/logout")
    entries = await office.node.desk.stores.audit.entries(f"user:{made.json['user_id']}")
    assert [entry.act for entry in reversed(entries)] == [
        "user.added",
        "login.opened",
        "login.ended",
    ]
    assert all(entry.trace is not None and len(entry.trace) == 16 for entry in entries)
    assert [entry.actor for entry in reversed(entries)] == [
        "anonymous",
        f"user:{made.json['user_id']}",
        f"user:{made.json['user_id']}",
    ]
