"""How commands come to the bucket for files, and what `doctor` finds of it."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from chat4all_actors.cli import doctor
from chat4all_actors.cli.main import CommandError
from chat4all_actors.cli.opening import open_bucket, open_storage
from chat4all_actors.config import Settings
from tests.storage.ports.object_places import new_key
from tests.support.s3_server import BUCKET, S3Server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("s3")


@pytest.fixture
def settings(s3_server: S3Server) -> Settings:
    return Settings(s3_bucket=BUCKET, s3_endpoint=s3_server.endpoint)


@pytest.fixture
def missing(s3_server: S3Server) -> Settings:
    return Settings(s3_bucket="missing", s3_endpoint=s3_server.endpoint)


async def test_files_are_kept_in_the_bucket_that_is_named(
    s3_server: S3Server, database: str, tmp_path: Path
) -> None:
    settings = Settings(
        s3_bucket=BUCKET,
        s3_endpoint=s3_server.endpoint,
        postgres=[database],
        data_dir=str(tmp_path),
    )
    async with open_storage(settings) as opened:
        assert opened.storage.objects.name == f"S3, bucket {BUCKET} at {s3_server.endpoint}"
        key = new_key()
        await opened.storage.objects.put(key, b"data", "text/plain")
        await opened.storage.objects.remove(key)
    assert not (tmp_path / "files").exists()


async def test_a_missing_bucket_is_told_with_the_command_that_makes_it(
    missing: Settings, s3_server: S3Server
) -> None:
    with pytest.raises(CommandError) as caught:
        async with open_bucket(missing):
            pass
    assert caught.value.message == f"there is no bucket missing at {s3_server.endpoint}"
    assert caught.value.mend == (
        f"aws s3 mb s3://missing --endpoint-url {s3_server.endpoint} --region us-east-1"
    )


async def test_wrong_credentials_are_told_at_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(CommandError, match="can't be used") as caught:
        async with open_bucket(settings):
            pass
    assert "AWS_SECRET_ACCESS_KEY" in caught.value.mend


async def test_a_store_that_is_away_at_the_start_is_used_when_it_is_back(
    settings: Settings, s3_server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), s3_server.outage():
        opening = open_bucket(settings)
        objects = await opening.__aenter__()
    assert "starting without bucket files" in caplog.text
    await objects.put(new_key(), b"data", "text/plain")
    await opening.__aexit__(None, None, None)


@pytest.mark.parametrize("module", ["chat4all_actors.cli.serving", "chat4all_actors.cli.doctor"])
def test_who_has_no_bucket_does_not_wait_for_the_import_of_what_speaks_s3(module: str) -> None:
    code = f"import sys, {module}; sys.exit('aiobotocore' in sys.modules or 'boto3' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_the_doctor_puts_reads_and_removes_an_object(
    settings: Settings, s3_server: S3Server
) -> None:
    (check,) = await doctor._files(settings)
    assert (check.name, check.status) == ("files", "ok")
    listed = s3_server.client().list_objects_v2(Bucket=BUCKET, Prefix="doctor-")
    assert listed["KeyCount"] == 0


async def test_the_doctor_tells_what_mends_each_finding(
    settings: Settings,
    missing: Settings,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (check,) = await doctor._files(missing)
    assert check.status == "error"
    assert check.mend.startswith("aws s3 mb s3://missing")
    with s3_server.outage():
        (check,) = await doctor._files(settings)
    assert (check.status, check.mend) == ("error", "check --s3-endpoint")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    (check,) = await doctor._files(settings)
    assert check.status == "error"
    assert "AWS_SECRET_ACCESS_KEY" in check.mend


async def test_the_doctor_says_nothing_of_a_bucket_where_there_is_none() -> None:
    assert await doctor._files(Settings()) == []
