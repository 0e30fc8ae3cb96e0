"""A server with accounts on the made-up provider, and the conversations with its people."""

from __future__ import annotations

import os
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from ..rest.place import ENVIRONMENT, own_server
from ..targets.accounts import tokens
from ..targets.processes import server_process

if TYPE_CHECKING:
    from collections.abc import Iterator

USER: Final = "ana"
HEALTHY: Final = "telegram"
HANGING: Final = "telegram:hanging"
TOKENS: Final = {HEALTHY: "1:answers", HANGING: "2:hangs"}
_FAST: Final = "1000000"


class Came(Struct, frozen=True):
    """What came of an account's at the provider; times are in microseconds."""

    delays: list[int]
    at: list[int]
    numbers: list[int]
    hung: int
    """Calls that were taken, and not answered."""


class Place(Struct, frozen=True):
    """Where it is measured."""

    pid: int
    """The server's."""
    url: str
    provider: str
    token: str
    """The user's."""

    def came(self, account: str) -> Came:
        """What the provider has of an account."""
        with urllib.request.urlopen(f"{self.provider}/came/{TOKENS[account]}") as answer:
            return msgspec.json.decode(answer.read(), type=Came)

    def let_people_write(self) -> None:
        """Have everybody say hello."""
        for token in TOKENS.values():
            urllib.request.urlopen(f"{self.provider}/write/{token}").close()

    def conversations(self) -> dict[str, list[str]]:
        """Of the user with people, by account."""
        found: dict[str, list[str]] = {account: [] for account in TOKENS}
        cursor = ""
        while True:
            page = self._get(f"/v1/conversations?limit=100{cursor}")
            for each in page["conversations"]:
                for member in each["members"]:
                    account = member.rpartition(":")[0]
                    if account in found:
                        found[account].append(each["conversation_id"])
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def _get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request) as answer:
            return msgspec.json.decode(answer.read())


@contextmanager
def opened(data_dir: str, people: int) -> Iterator[Place]:
    """Everything runs; the people are about to write."""
    program = ["-m", "chat4all_bench.channels.provider", str(people)]
    with server_process(program) as (_, port):
        provider = f"http://127.0.0.1:{port}"
        env = ENVIRONMENT | _accounts(provider)
        with own_server(data_dir, env) as (pid, url):
            (token,) = tokens(["--data-dir", data_dir], [USER], os.environ | env)
            yield Place(pid, url, provider, token)


def _accounts(provider: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for account, token in TOKENS.items():
        prefix = f"CHAT4ALL_CHANNELS__{account.replace(':', '__').upper()}__"
        found |= {
            f"{prefix}TOKEN": token,
            f"{prefix}BASE_URL": provider,
            f"{prefix}MODE": "polling",
            f"{prefix}INBOX": USER,
            f"{prefix}ACCOUNT_PER_SECOND": _FAST,
            f"{prefix}CHAT_PER_SECOND": _FAST,
            f"{prefix}CHAT_BURST": _FAST,
        }
    return found
