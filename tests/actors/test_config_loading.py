from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chat4all_actors.config import Settings
from chat4all_actors.config_loading import ConfigError, load

if TYPE_CHECKING:
    from pathlib import Path

KEY = "0123456789abcdef0123456789abcdef"


def from_environment(**variables: str) -> Settings:
    """Settings with these variables, named without their prefix."""
    environment = {f"CHAT4ALL_{name.upper()}": text for name, text in variables.items()}
    return load({}, environment=environment)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chat4all.toml"


def refusal(flags: dict[str, Any], environment: dict[str, str], file: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(flags, environment=environment, file=file)
    return str(caught.value)


# Precedence


def test_without_any_source_the_defaults_hold() -> None:
    assert load({}, environment={}) == Settings()


def test_the_defaults_are_themselves_valid_and_safe() -> None:
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.bcrypt_cost == 12
    assert settings.token_lifetime == 3600
    assert settings.max_frame == 65_536
    assert settings.rate_messages_per_minute == 100


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(
    file: Path,
) -> None:
    file.write_text("port = 1\nmax_text = 1\nmailbox = 1\n")
    environment = {"CHAT4ALL_PORT": "2", "CHAT4ALL_MAX_TEXT": "2"}
    settings = load({"port": "3"}, environment=environment, file=file)
    assert (settings.port, settings.max_text, settings.mailbox) == (3, 2, 1)
    assert settings.max_members == Settings().max_members


def test_the_process_environment_is_read_when_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHAT4ALL_MAILBOX", "77")
    assert load({}).mailbox == 77


def test_variables_without_the_prefix_are_not_ours() -> None:
    assert load({}, environment={"PORT": "1", "chat4all_port": "2"}).port == 8000


def test_an_empty_variable_counts_as_not_set() -> None:
    assert from_environment(jwt_key="", port="") == Settings()


# Kinds of values


def test_lists_have_values_of_their_kind_between_spaces(file: Path) -> None:
    settings = from_environment(webhook_ports="443 9443", webhook_schedule="1 2.5 60")
    assert settings.webhook_ports == [443, 9443]
    assert settings.webhook_schedule == [1.0, 2.5, 60.0]
    file.write_text("webhook_ports = [443]\nwebhook_schedule = [1.0, 2]\n")
    settings = load({}, environment={}, file=file)
    assert (settings.webhook_ports, settings.webhook_schedule) == ([443], [1.0, 2.0])
    said = refusal({}, {"CHAT4ALL_WEBHOOK_PORTS": "443 https"})
    assert said == "CHAT4ALL_WEBHOOK_PORTS: '443 https' is not a valid value"
    assert "webhook_ports" in refusal({}, {"CHAT4ALL_WEBHOOK_PORTS": "65536"})


def test_a_file_of_certificates_has_to_be_there(tmp_path: Path) -> None:
    said = refusal({}, {"CHAT4ALL_WEBHOOK_CA": str(tmp_path / "none.pem")})
    assert said == f"webhook_ca: there is no file {tmp_path}/none.pem"


def test_each_kind_of_value_is_read_from_text() -> None:
    settings = from_environment(
        host="::1", port="443", admin_port="9", heartbeat="2.5", head_timeout="3", tls_cert="c.pem",
        tls_key="k.pem",
    )  # fmt: skip
    assert settings.host == "::1"
    assert (settings.port, settings.admin_port) == (443, 9)
    assert (settings.heartbeat, settings.head_timeout) == (2.5, 3.0)
    assert (settings.tls_cert, settings.tls_key) == ("c.pem", "k.pem")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("true", True), ("TRUE", True), ("0", False), ("false", False), ("False", False)],
)
def test_a_switch_is_one_or_zero_true_or_false(text: str, value: bool) -> None:
    assert from_environment(migrate=text).migrate is value


def test_lists_are_split_at_white_space() -> None:
    settings = from_environment(
        postgres=" postgresql://a/x  postgresql://b/y\n", allowed_origins=""
    )
    assert settings.postgres == ["postgresql://a/x", "postgresql://b/y"]
    assert settings.allowed_origins == []


def test_each_kind_of_value_is_read_from_a_file(file: Path) -> None:
    file.write_text('port = 1\nhost = "h"\nmigrate = false\nheartbeat = 5\npostgres = ["a", "b"]\n')
    settings = load({}, environment={}, file=file)
    assert (settings.port, settings.host, settings.migrate) == (1, "h", False)
    assert (settings.heartbeat, settings.postgres) == (5.0, ["a", "b"])


def test_flags_that_are_parsed_already_are_taken_as_they_are() -> None:
    settings = load({"migrate": False, "postgres": ["a b", "c"]}, environment={})
    assert (settings.migrate, settings.postgres) == (False, ["a b", "c"])


def test_settings_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]


# What does not fit


@pytest.mark.parametrize(
    ("flags", "environment", "source", "setting"),
    [
        ({"port": "many"}, {}, "--port", "'many'"),
        ({"admin_port": "x"}, {}, "--admin-port", "'x'"),
        ({"port": "65536"}, {}, "command line", "port"),
        ({}, {"CHAT4ALL_PORT": "1.5"}, "CHAT4ALL_PORT", "'1.5'"),
        ({}, {"CHAT4ALL_MIGRATE": "perhaps"}, "CHAT4ALL_MIGRATE", "'perhaps'"),
        ({}, {"CHAT4ALL_HEAD_TIMEOUT": "soon"}, "CHAT4ALL_HEAD_TIMEOUT", "'soon'"),
        ({}, {"CHAT4ALL_HEAD_TIMEOUT": "0"}, "environment", "head_timeout"),
        ({}, {"CHAT4ALL_HEAD_TIMEOUT": "nan"}, "environment", "head_timeout"),
        ({}, {"CHAT4ALL_HEARTBEAT": "inf"}, "environment", "heartbeat"),
        ({}, {"CHAT4ALL_MAX_MEMBERS": "1001"}, "environment", "max_members"),
        ({}, {"CHAT4ALL_BCRYPT_COST": "15"}, "environment", "bcrypt_cost"),
        ({}, {"CHAT4ALL_TOKEN_LIFETIME": "86401"}, "environment", "token_lifetime"),
        ({}, {"CHAT4ALL_RATE_MESSAGES_PER_MINUTE": "-1"}, "environment", "rate_messages_per"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_source(
    flags: dict[str, Any], environment: dict[str, str], source: str, setting: str
) -> None:
    said = refusal(flags, environment)
    assert said.startswith(source)
    assert setting in said


def test_a_value_out_of_range_is_told_what_is_allowed() -> None:
    assert "<= 65535" in refusal({"port": "65536"}, {})


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("max_txt = 5\n", "max_txt"),
        ("max_text = 'five'\n", "max_text"),
        ("port = true\n", "port"),
        ("postgres = ['a', 5]\n", "postgres"),
        ("heartbeat = nan\n", "heartbeat"),
        ("[server]\nport = 1\n", "server"),
        ("this is no toml", "not valid TOML"),
        ("host = '\xff'\n", "not valid TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_the_file(
    file: Path, content: str, named: str
) -> None:
    file.write_bytes(content.encode("latin-1"))
    said = refusal({}, {}, file)
    assert said.startswith(f"{file}: ")
    assert named in said


def test_a_file_that_is_wrong_is_refused_even_where_a_flag_would_beat_it(file: Path) -> None:
    file.write_text("port = 70000\n")
    assert str(file) in refusal({"port": "1"}, {}, file)


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    assert refusal({}, {}, tmp_path / "missing.toml") == (
        f"{tmp_path / 'missing.toml'}: No such file or directory"
    )
    assert str(tmp_path) in refusal({}, {}, tmp_path)


@pytest.mark.parametrize("given", ["tls_cert", "tls_key"])
def test_a_certificate_and_its_key_belong_together(given: str) -> None:
    said = refusal({given: "file.pem"}, {})
    assert "tls_cert" in said
    assert "tls_key" in said


def test_a_signing_key_has_at_least_32_bytes() -> None:
    assert load({}, environment={"CHAT4ALL_JWT_KEY": KEY}).jwt_key == KEY
    assert "jwt_key is too short" in refusal({}, {"CHAT4ALL_JWT_KEY": KEY[1:]})
    assert KEY[1:] not in refusal({}, {"CHAT4ALL_JWT_KEY": KEY[1:]})


@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ("log_format", ("console", "json")),
        ("log_level", ("debug", "info", "warning", "error")),
        ("access_log", ("info", "debug", "off")),
        ("proxy_header", ("x-forwarded-for", "forwarded")),
        ("jwt_algorithm", ("HS256", "RS256", "EdDSA")),
    ],
)
def test_the_words_that_a_setting_may_have_are_listed(
    setting: str, allowed: tuple[str, ...]
) -> None:
    for word in allowed:
        assert getattr(load({setting: word}, environment={}), setting) == word
    said = refusal({setting: "other"}, {})
    for word in (setting, *allowed):
        assert word in said


def test_redis_is_named_by_an_address() -> None:
    assert load({"redis": "redis://127.0.0.1/0"}, environment={}).redis == "redis://127.0.0.1/0"
    with pytest.raises(ConfigError, match="redis is an address that begins with redis://"):
        load({"redis": "localhost:6379"}, environment={})


@pytest.mark.parametrize("count", ["0", "65"])
def test_workers_are_a_bounded_number(count: str) -> None:
    assert load({"workers": "2"}, environment={}).workers == 2
    with pytest.raises(ConfigError, match="workers: expected `int`"):
        load({}, environment={"CHAT4ALL_WORKERS": count})


def test_trusted_proxies_are_networks_or_addresses() -> None:
    told = {"CHAT4ALL_TRUSTED_PROXIES": "10.0.0.0/8 ::1"}
    assert load({}, environment=told).trusted_proxies == ["10.0.0.0/8", "::1"]
    with pytest.raises(ConfigError, match="trusted_proxies: 'proxy' is no network"):
        load({"trusted_proxies": "proxy"}, environment={})


@pytest.mark.parametrize("setting", ["s3_endpoint", "s3_public_endpoint", "public_url"])
def test_addresses_of_servers_have_a_host_and_no_path(setting: str) -> None:
    for url in ("http://127.0.0.1:9000", "https://files.example.org/"):
        assert getattr(load({setting: url}, environment={}), setting) == url
    for url in ("files.example.org", "ftp://a", "http://a/path", "http://a?b"):
        with pytest.raises(ConfigError, match=f"{setting} is http:// or https://"):
            load({setting: url}, environment={})


def test_s3_joins_so_many_parts_and_no_more() -> None:
    largest = {"file_max_size": 50_000 * 2**20, "file_chunk_size": 5 * 2**20}
    assert load(largest | {"s3_bucket": "files"}, environment={}).s3_bucket == "files"
    largest["file_max_size"] += 1
    load(largest, environment={})
    with pytest.raises(ConfigError, match="file_chunk_size is at least 5242881"):
        load(largest | {"s3_bucket": "files"}, environment={})


def test_file_types_are_named_one_by_one_or_by_their_beginning() -> None:
    assert from_environment(file_types="image/png audio/* */*").file_types[1:] == ["audio/*", "*/*"]
    for pattern in ("png", "/png", "*/png", "IMAGE/PNG"):
        with pytest.raises(ConfigError, match="file_types: "):
            from_environment(file_types=pattern)


# Channels


def test_of_a_channel_the_environment_beats_the_file_value_by_value(file: Path) -> None:
    file.write_text(
        '[channels.telegram]\ntoken = "1:file"\nmode = "polling"\nhttp = { read_seconds = 5 }\n'
        '[channels."telegram:support"]\ntoken = "2:file"\nmode = "polling"\n'
    )
    environment = {
        "CHAT4ALL_CHANNELS__TELEGRAM__TOKEN": "1:variable",
        "CHAT4ALL_CHANNELS__TELEGRAM__HTTP__WRITE_SECONDS": "6",
        "CHAT4ALL_CHANNELS__LOOPBACK__INBOX": "ana bob",
    }
    assert load({}, environment=environment, file=file).channels == {
        "telegram": {
            "token": "1:variable",
            "mode": "polling",
            "http": {"read_seconds": 5, "write_seconds": "6"},
        },
        "telegram:support": {"token": "2:file", "mode": "polling"},
        "loopback": {"inbox": ["ana", "bob"]},
    }


def test_an_account_that_can_not_be_set_up_is_told_at_once(file: Path) -> None:
    file.write_text('[channels.telegram]\nmode = "polling"\n')
    assert refusal({}, {}, file) == "channels.telegram.token is required"
    load({}, environment={"CHAT4ALL_CHANNELS__TELEGRAM__TOKEN": "1:a"}, file=file)
    assert "there is no channel `sms`" in refusal({}, {"CHAT4ALL_CHANNELS__SMS__TOKEN": "x"})


def test_who_uses_no_account_is_not_kept_up_by_one_that_is_not_whole() -> None:
    environment = {"CHAT4ALL_CHANNELS__TELEGRAM__TOKEN": "1:a"}  # the rest is in the server's file
    assert "secret_token is needed" in refusal({}, environment)
    settings = load({}, environment=environment, accounts=False)
    assert settings.channels == {"telegram": {"token": "1:a"}}


@pytest.mark.parametrize("content", ["channels = 5\n", "[channels]\ntelegram = 5\n"])
def test_channels_are_tables_of_tables(file: Path, content: str) -> None:
    file.write_text(content)
    environment = {"CHAT4ALL_CHANNELS__TELEGRAM__TOKEN": "1:a"}
    assert refusal({}, environment, file).startswith(f"{file}: channels")


def test_the_text_of_settings_has_no_secret_in_it() -> None:
    environment = {
        "CHAT4ALL_CHANNELS__TELEGRAM__TOKEN": "1:s3cr3t",
        "CHAT4ALL_CHANNELS__TELEGRAM__MODE": "polling",
        "CHAT4ALL_JWT_KEY": f"s3cr3t{KEY}",
        "CHAT4ALL_POSTGRES": "postgresql://chat:s3cr3t@db/chat",
        "CHAT4ALL_REDIS": "redis://:s3cr3t@cache",
        "CHAT4ALL_PORT": "1",
    }
    said = repr(load({}, environment=environment))
    assert said == "Settings(port=1, postgres=…, redis=…, jwt_key=…, channels=…)"
