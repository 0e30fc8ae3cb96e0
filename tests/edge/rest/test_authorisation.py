"""Who may call what: every operation of the document, called by everybody.

A new operation has no row in the table, and fails until it has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.accounts.logins import Device
from chat4all_actors.edge.rest import openapi
from chat4all_actors.edge.rest.api import GROUPS
from chat4all_actors.edge.rest.app import build
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.files import NewFile, Verdict
from tests.actors.harness import memory_with_users, running_node
from tests.edge.rest.harness import Api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from chat4all_actors.node import Node
    from tests.edge.rest.harness import Reply

# One group: `owner` made it, `admin` manages it, `member` takes part, `author` too and wrote the
# message and the file that are asked for, `former` was removed from it, `stranger` was never in it.
# `operator` is a service client with every scope but `act_as`; `agent` has that one too, and names
# nobody.
# The others hold tokens that count no longer: `expired`, of a login that was `ended`, of a user
# whose tokens were `revoked`, and of one who was `erased`. `nobody` has none.
TABLE: Final = """
                       nobody expired ended revoked erased stranger former member author admin owner operator agent
register               201    201     201   201     201    201      201    201    201    201   201   201      201
issue_token            200    200     200   200     200    200      200    200    200    200   200   200      200
read_jwks              200    200     200   200     200    200      200    200    200    200   200   200      200
logout                 401    401     401   401     401    204      204    204    204    204   204   403      403
change_password        401    401     401   401     401    204      204    204    204    204   204   403      403
list_sessions          401    401     401   401     401    200      200    200    200    200   200   403      403
end_session            401    401     401   401     401    404      404    404    204    404   404   403      403
read_profile           401    401     401   401     401    200      200    200    200    200   200   403      403
change_profile         401    401     401   401     401    200      200    200    200    200   200   403      403
enrol_totp             401    401     401   401     401    201      201    201    201    201   201   403      403
verify_totp            401    401     401   401     401    409      409    409    409    409   409   403      403
replace_recovery_codes 401    401     401   401     401    401      401    401    401    401   401   403      403
disable_totp           401    401     401   401     401    401      401    401    401    401   401   403      403
export_account         401    401     401   401     401    200      200    200    200    200   200   403      403
erase_account          401    401     401   401     401    202      202    202    202    202   202   403      403
list_links             401    401     401   401     401    200      200    200    200    200   200   403      403
link_channel           401    401     401   401     401    422      422    422    422    422   422   403      403
unlink_channel         401    401     401   401     401    404      404    404    404    404   404   403      403
create_conversation    401    401     401   401     401    201      201    201    201    201   201   201      201
list_conversations     401    401     401   401     401    200      200    200    200    200   200   400      400
read_conversation      401    401     401   401     401    404      404    200    200    200   200   400      400
change_conversation    401    401     401   401     401    404      404    403    403    200   200   400      400
read_history           401    401     401   401     401    404      404    200    200    200   200   400      400
add_member             401    401     401   401     401    404      404    403    403    201   201   400      400
change_role            401    401     401   401     401    404      404    403    403    403   200   400      400
remove_member          401    401     401   401     401    404      404    403    204    204   204   400      400
send_message           401    401     401   401     401    404      404    202    202    202   202   400      400
read_message           401    401     401   401     401    404      404    200    200    200   200   400      400
read_status            401    401     401   401     401    404      404    200    200    200   200   400      400
read_revisions         401    401     401   401     401    404      404    200    200    200   200   400      400
mark_read              401    401     401   401     401    404      404    204    204    204   204   400      400
edit_message           401    401     401   401     401    404      404    403    200    403   403   400      400
delete_message         401    401     401   401     401    404      404    403    204    204   204   400      400
react                  401    401     401   401     401    404      404    204    204    204   204   400      400
list_reactions         401    401     401   401     401    404      404    200    200    200   200   400      400
initiate_upload        401    401     401   401     401    201      201    201    201    201   201   400      400
read_upload            401    401     401   401     401    404      404    404    200    404   404   400      400
complete_upload        401    401     401   401     401    404      404    404    200    404   404   400      400
list_files             401    401     401   401     401    200      200    200    200    200   200   400      400
read_file              401    401     401   401     401    404      404    200    200    200   200   400      400
download_file          401    401     401   401     401    404      404    302    302    302   302   400      400
download_thumbnail     401    401     401   401     401    404      404    302    302    302   302   400      400
delete_file            401    401     401   401     401    404      404    404    204    404   404   400      400
read_presence          401    401     401   401     401    200      200    200    200    200   200   400      400
verify_callback        404    404     404   404     404    404      404    404    404    404   404   404      404
receive_callback       404    404     404   404     404    404      404    404    404    404   404   404      404
verify_further_callback 404    404     404   404     404    404      404    404    404    404   404   404      404
receive_further_callback 404    404     404   404     404    404      404    404    404    404   404   404      404
create_webhook         401    401     401   401     401    201      201    201    201    201   201   201      201
list_webhooks          401    401     401   401     401    200      200    200    200    200   200   200      200
read_webhook           401    401     401   401     401    404      404    404    200    404   404   404      404
delete_webhook         401    401     401   401     401    404      404    404    204    404   404   404      404
rotate_secret          401    401     401   401     401    404      404    404    200    404   404   404      404
resume_webhook         401    401     401   401     401    404      404    404    200    404   404   404      404
replay_webhook         401    401     401   401     401    404      404    404    202    404   404   404      404
read_events            401    401     401   401     401    200      200    200    200    200   200   200      200
"""  # noqa: E501 - a table

BODIES: Final[dict[str, dict[str, Any]]] = {
    "register": {"username": "newcomer", "password": "a password"},
    "issue_token": {"username": "author", "password": "a password"},
    "change_password": {"old_password": "a password", "new_password": "another password"},
    "change_profile": {"display_name": "Somebody"},
    "enrol_totp": {"password": "a password"},
    "verify_totp": {"code": "123456"},
    "replace_recovery_codes": {"password": "a password", "code": "123456"},
    "disable_totp": {"password": "a password", "code": "123456"},
    "erase_account": {"password": "a password"},
    "link_channel": {"address": "telegram:12345"},
    "create_conversation": {"type": "group", "members": ["ana", "bob"]},
    "change_conversation": {"title": "Another"},
    "add_member": {"username": "carla"},
    "change_role": {"role": "admin"},
    "send_message": {"payload": {"type": "text", "text": "hi"}},
    "initiate_upload": {"filename": "plan.pdf", "size": 9, "mime_type": "application/pdf"},
    "edit_message": {"payload": {"type": "text", "text": "ho"}},
    "react": {"emoji": "👍"},
    "create_webhook": {"url": "http://127.0.0.1:9/", "events": ["message.*"]},
    "replay_webhook": {"since": "2026-11-27T08:36:35Z"},
}
QUERIES: Final = {"read_presence": "?users=author"}
"""What an operation is sent that succeeds for whoever may call it."""

PEOPLE: Final = ("stranger", "former", "member", "author", "admin", "owner")
LOST: Final = ("expired", "ended", "revoked", "erased")
LIFETIME: Final = 3600.0
SHA256: Final = bytes(32)
DOCUMENT: Final = openapi.document(GROUPS, version="1")
OPERATIONS: Final = {
    described["operationId"]: (method.upper(), path, described)
    for path, methods in DOCUMENT["paths"].items()
    for method, described in methods.items()
}


def rows() -> dict[str, dict[str, int]]:
    """The table: by operation and caller, the status."""
    names, *lines = (line.split() for line in TABLE.strip().splitlines())
    return {
        operation: dict(zip(names, map(int, statuses), strict=True))
        for operation, *statuses in lines
    }


ROWS: Final = rows()


class House:
    """Everybody, and what they ask for."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._app = build(node, GROUPS, version="1")
        self.callers: dict[str, Api] = {"nobody": Api(self._app, node, None)}
        self.session = ""
        """The author's."""

    async def fill(self, clock: MockClock) -> None:
        """Let everybody in, and some out again."""
        desk, directory = self.node.desk, self.node.conversations.storage.directory
        hashed = await desk.passwords.hash("a password")
        for name in (*PEOPLE, *LOST):
            user = User(new_id(), name, hashed)
            await directory.add_user(user)
            if name == "expired":
                await self._log_in(name)
                clock.jump(LIFETIME)
        for name in (*PEOPLE, *LOST):
            if name != "expired":
                await self._log_in(name)
        scopes = {described.get("x-scope") for _, _, described in OPERATIONS.values()} - {None}
        for name, more in (("operator", set()), ("agent", {"act_as"})):
            token = self.node.tokens.issue_for_client(f"id of {name}", name, scopes | more)
            self.callers[name] = self._with(token)
        ended = await self.callers["ended"].ask("POST", "/v1/auth/logout")
        assert ended.status == 204
        await directory.revoke("revoked")
        erased = (await self.callers["erased"].ask("GET", "/v1/users/me")).json["user_id"]
        await desk.stores.profiles.erase(erased, f"erased-{new_id()}", SHELL)
        clock.jump(2)  # in which every node learns of it
        await wait_all_tasks_blocked()

    async def _log_in(self, name: str) -> None:
        grant = await self.node.desk.logins.login(name, "a password", None, Device(), SHELL)
        self.callers[name] = api = self._with(grant.access_token)
        if name == "author":
            listed = await api.ask("GET", "/v1/auth/sessions")
            (session,) = listed.json["sessions"]
            self.session = session["session_id"]

    def _with(self, token: str) -> Api:
        api = Api(self._app, self.node, None)
        api.headers["Authorization"] = f"Bearer {token}"
        return api

    async def things(self) -> dict[str, str]:
        """A new group with a message, and what its paths are filled with."""
        owner, author = self.callers["owner"], self.callers["author"]
        members = ["admin", "member", "author", "former"]
        made = await owner.ask("POST", "/v1/conversations", {"type": "group", "members": members})
        id_ = made.json["conversation_id"]
        path = f"/v1/conversations/{id_}/members"
        assert (await owner.ask("PATCH", f"{path}/admin", {"role": "admin"})).status == 200
        assert (await owner.ask("DELETE", f"{path}/former")).status == 204
        body = {"payload": {"type": "text", "text": "hi"}, "conversation_id": id_}
        sent = await author.ask("POST", "/v1/messages", body)
        file = await self._picture()
        body["payload"] = {"type": "file", "file_id": file}
        assert (await author.ask("POST", "/v1/messages", body)).status == 202
        return {
            "channel": "telegram",
            "account": "support",
            "file_id": file,
            "conversation_id": id_,
            "message_id": sent.json["message_id"],
            "username": "author",
            "session_id": self.session,
            "webhook_id": await self._webhook(),
        }

    async def _webhook(self) -> str:
        """An endpoint of the author's."""
        made = await self.callers["author"].ask("POST", "/v1/webhooks", BODIES["create_webhook"])
        assert made.status == 201, made.body
        id_: str = made.json["webhook_id"]
        return id_

    async def _picture(self) -> str:
        """A picture of the author's, with a thumbnail, as it stands in the catalogue."""
        files, id_ = self.node.conversations.storage.files, new_id()
        new = NewFile(id_, "author", "a.png", 9, "image/png", None, f"key-{id_}", 9)
        await files.add(new, lifetime=60, quota=0, max_uploads=0)
        await files.begun(id_, "upload")
        await files.begin_check(id_, SHA256, holder="here", lease=30)
        await files.note_thumbnail(id_, f"small-{id_}", holder="here")
        await files.finish(id_, Verdict("ready", thumbnail=f"small-{id_}"), holder="here")
        return id_

    async def ask(self, caller: str, operation: str, things: dict[str, str]) -> Reply:
        method, path, _ = OPERATIONS[operation]
        body = BODIES.get(operation)
        if operation == "send_message":
            assert body is not None
            body = body | {"conversation_id": things["conversation_id"]}
        if operation == "complete_upload":
            body = {"file_id": things["file_id"], "checksum": f"sha256:{SHA256.hex()}"}
        if operation == "register":
            body = {"username": f"newcomer-{caller}", "password": "a password"}
        filled = path.format_map(things) + QUERIES.get(operation, "")
        return await self.callers[caller].ask(method, filled, body)


@pytest.fixture
async def house(mock_clock: MockClock) -> AsyncIterator[House]:
    unlimited: dict[str, Any] = {
        "rate_requests_per_minute": 0,
        "rate_logins_per_minute": 0,
        "rate_logins_per_address_per_minute": 0,
        "rate_registrations_per_minute": 0,
        "webhook_allow_private": True,
        "max_webhooks_per_owner": 1000,
    }
    storage = await memory_with_users()
    async with running_node(storage, bcrypt_cost=4, **unlimited) as node:
        house = House(node)
        await house.fill(mock_clock)
        yield house


def about(operation: str) -> bool:
    """Whether it concerns a conversation, a message, a file or an endpoint that is there."""
    path = OPERATIONS[operation][1]
    named = any(name in path for name in ("conversation_id", "message_id", "file_id", "webhook_id"))
    return named or operation in ("send_message", "complete_upload")


def untraced(reply: Reply) -> tuple[int, Any]:
    """What an answer says, but for its trace id."""
    body = reply.json if reply.body else {}
    body.get("error", {}).pop("trace_id", None)
    return reply.status, body


def test_every_operation_of_the_document_has_its_row() -> None:
    assert set(ROWS) == set(OPERATIONS)


@pytest.mark.parametrize("operation", ROWS)
async def test_everybody_may_do_what_the_table_says(
    mock_clock: MockClock, house: House, operation: str
) -> None:
    things = await house.things()
    found: dict[str, int] = {}
    for caller in ROWS[operation]:
        reply = await house.ask(caller, operation, things)
        found[caller] = reply.status
        assert str(reply.status) in OPERATIONS[operation][2]["responses"]
        if reply.status < 300 and about(operation):
            things = await house.things()  # as it may have changed
    assert [f"{c} {s}" for c, s in found.items() if s != ROWS[operation][c]] == []


@pytest.mark.parametrize("caller", ["stranger", "former"])
async def test_what_somebody_may_not_see_looks_as_if_it_was_not_there(
    mock_clock: MockClock, house: House, caller: str
) -> None:
    things = await house.things()
    missing = things | {name: new_id() for name in things if name.endswith("_id")}
    for operation in filter(about, ROWS):
        hidden = await house.ask(caller, operation, things)
        absent = await house.ask(caller, operation, missing)
        assert untraced(hidden) == untraced(absent), operation
        assert hidden.status == 404


async def test_a_client_that_acts_for_a_user_may_do_what_the_user_may(
    mock_clock: MockClock, house: House
) -> None:
    agent = house.callers["agent"]
    for name in ("stranger", "former", "member", "author", "admin", "owner"):
        agent.headers["X-On-Behalf-Of"] = name
        for operation in filter(about, ROWS):
            reply = await house.ask("agent", operation, await house.things())
            assert reply.status == ROWS[operation][name], (name, operation)


async def test_a_client_without_a_scope_may_nothing_of_it(
    mock_clock: MockClock, house: House
) -> None:
    things = await house.things()
    house.callers["client"] = house._with(house.node.tokens.issue_for_client("id", "client", []))
    for operation, (_, _, described) in OPERATIONS.items():
        if "x-scope" in described:
            assert (await house.ask("client", operation, things)).status == 403


@pytest.mark.parametrize("caller", ["stranger", "owner", "operator"])
async def test_nobody_acts_in_another_name_without_being_allowed(house: House, caller: str) -> None:
    things = await house.things()
    house.callers[caller].headers["X-On-Behalf-Of"] = "author"
    for operation, (_, _, described) in OPERATIONS.items():
        if described["security"]:
            assert (await house.ask(caller, operation, things)).status == 403, operation
