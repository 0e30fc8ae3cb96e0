from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from chat4all_actors.channels.calling import Template
from chat4all_actors.channels.configuring import AccountError, accounts_of, check
from chat4all_actors.channels.kinds import KINDS, callback_path, callback_url
from chat4all_actors.config import Settings
from chat4all_connectors.telegram.connector import Telegram
from chat4all_connectors.whatsapp import WhatsApp

SECRET = "s3cr3t"
META = {"access_token": SECRET, "app_secret": SECRET, "verify_token": SECRET}
TABLES: dict[str, dict[str, Any]] = {
    "instagram": {**META, "account_id": "1"},
    "loopback": {},
    "messenger": {**META, "page_id": "1"},
    "telegram": {"token": f"1:{SECRET}", "mode": "polling"},
    "whatsapp": {**META, "phone_number_id": "1"},
}
"""What is enough for an account of each channel."""
WEBHOOKS = {"token": f"1:{SECRET}", "mode": "webhook", "secret_token": SECRET}


def of(**channels: dict[str, Any]) -> Settings:
    return Settings(channels=channels)


def refusal(account: str, **values: Any) -> str:
    """What is wrong with it; surely without a secret."""
    with pytest.raises(AccountError) as caught:
        check(Settings(channels={account: values}))
    assert SECRET not in str(caught.value)
    return str(caught.value)


def told(settings: Settings) -> str:
    """What is wrong with them, if something is."""
    try:
        check(settings)
    except AccountError as error:
        return str(error)
    return ""


# What accounts are made


def test_without_channels_there_are_no_accounts() -> None:
    assert accounts_of(Settings()) == []


def test_there_is_an_example_of_each_channel() -> None:
    assert sorted(TABLES) == sorted(KINDS)


@pytest.mark.parametrize("channel", KINDS)
async def test_an_account_has_the_connector_of_its_channel(channel: str) -> None:
    (account,) = accounts_of(of(**{channel: TABLES[channel]}))
    assert (account.name, account.inbox, account.template) == (channel, (), None)
    assert account.connector.channel == channel
    await account.connector.disconnect()


@pytest.mark.parametrize("channel", KINDS)
async def test_whether_a_channel_has_templates_is_known_without_its_connector(channel: str) -> None:
    (account,) = accounts_of(of(**{channel: TABLES[channel]}))
    assert KINDS[channel]().templates is account.connector.capabilities.templates
    await account.connector.disconnect()


async def test_further_accounts_of_a_channel_have_settings_of_their_own() -> None:
    further = {"telegram:support": TABLES["telegram"] | {"text_limit": 100}}
    first, second = accounts_of(of(telegram=TABLES["telegram"], **further))
    assert (first.name, second.name) == ("telegram", "telegram:support")
    assert isinstance(second.connector, Telegram)
    assert second.connector.capabilities.text.most == 100
    assert first.connector.capabilities.text.most == 4096
    for account in (first, second):
        await account.connector.disconnect()


async def test_beside_its_connector_s_an_account_has_the_server_s_settings() -> None:
    own = {"inbox": ["ana", "bob"], "template": {"name": "hello", "language": "pt_BR"}}
    (account,) = accounts_of(of(whatsapp=TABLES["whatsapp"] | own))
    assert account.inbox == ("ana", "bob")
    assert account.template == Template("hello", "pt_BR")
    assert isinstance(account.connector, WhatsApp)
    await account.connector.disconnect()


def test_settings_hold_for_tables_that_went_to_a_worker() -> None:
    settings = of(**TABLES | {"whatsapp": TABLES["whatsapp"] | {"inbox": ["ana"]}})
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings


# Where providers call back


@pytest.mark.parametrize(
    ("account", "path"),
    [
        ("telegram", "/v1/channels/telegram/webhook"),
        ("telegram:support", "/v1/channels/telegram/support/webhook"),
    ],
)
def test_each_account_is_called_back_at_a_path_of_its_own(account: str, path: str) -> None:
    assert callback_path(account) == path
    for public in ("https://chat.example.org", "https://chat.example.org/"):
        url = callback_url(account, Settings(public_url=public))
        assert url == f"https://chat.example.org{path}"
    assert callback_url(account, Settings()) is None


def test_telegram_calls_back_only_where_it_is_known_how_we_are_reached() -> None:
    assert refusal("telegram", **WEBHOOKS) == (
        "channels.telegram.mode: webhooks need public_url, the address at which the provider"
        ' reaches this server; or set mode = "polling"'
    )
    check(Settings(public_url="https://chat.example.org", channels={"telegram": WEBHOOKS}))


# What does not fit


@pytest.mark.parametrize(
    ("account", "values", "said"),
    [
        ("telegram", {"mode": "polling"}, "channels.telegram.token is required"),
        ("telegram", {"token": 5}, "channels.telegram.token: expected `str`, got `int`"),
        (
            "telegram",
            {"token": "1:a", "mode": SECRET},
            "channels.telegram.mode: it is one of `polling`, `webhook`",
        ),
        (
            "telegram",
            {"token": "1:a"},
            'channels.telegram: secret_token is needed with mode = "webhook"',
        ),
        (
            "telegram",
            {"tokn": "1:a"},
            "channels.telegram.tokn: there is no such setting; did you mean `token`?",
        ),
        (
            "telegram:support",
            {"token": "1:a", "http": {"read_second": 1}},
            'channels."telegram:support".http.read_second: there is no such setting;'
            " did you mean `read_seconds`?",
        ),
        (
            "whatsapp",
            TABLES["whatsapp"] | {"template": {"name": "hello"}},
            "channels.whatsapp.template.language is required",
        ),
        (
            "whatsapp",
            TABLES["whatsapp"] | {"inbox": ["ana", "-bob"]},
            "channels.whatsapp.inbox[1]: expected a user name of 1 to 64 letters, digits,"
            " '.', '_' or '-'",
        ),
        (
            "telegram",
            TABLES["telegram"] | {"template": {"name": "hello", "language": "en"}},
            "channels.telegram.template: only loopback and whatsapp have templates",
        ),
        (
            "sms",
            {},
            "channels.sms: there is no channel `sms`; there are instagram, loopback, messenger,"
            " telegram and whatsapp",
        ),
        (
            "telegram:a b",
            {},
            'channels."telegram:a b": a further account is named telegram:NAME, of at most 64'
            " letters, digits, '.', '_' and '-'",
        ),
    ],
)
def test_what_does_not_fit_is_named_as_in_the_file_with_what_is_allowed(
    account: str, values: dict[str, Any], said: str
) -> None:
    assert refusal(account, **values) == said


def test_an_unknown_setting_that_is_like_no_other_is_answered_with_all() -> None:
    said = refusal("loopback", zzzzzz=1)
    assert said.startswith("channels.loopback.zzzzzz: there is no such setting; there are ")
    assert "inbox" in said
    assert "text_limit" in said


@pytest.mark.parametrize("wrong", [f" {SECRET}\x00", [SECRET], {"a": SECRET}, 5, None])
@pytest.mark.parametrize("channel", KINDS)
def test_no_secret_is_told_whatever_is_wrong(channel: str, wrong: object) -> None:
    for name in (*TABLES[channel], "inbox", "http"):
        assert SECRET not in told(of(**{channel: {**TABLES[channel], name: wrong}}))


# What comes with them


def test_a_server_without_channels_does_not_import_what_they_need() -> None:
    program = """
import sys
from chat4all_actors.channels.configuring import accounts_of
from chat4all_actors.config import Settings
from chat4all_actors.config_loading import load
load({}, environment={"CHAT4ALL_CHANNELS__LOOPBACK__NAME": "demo"})
accounts_of(Settings())
print("httpx2" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("False\n", "")
