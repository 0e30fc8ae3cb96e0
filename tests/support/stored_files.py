"""What is really there of files, in the directory and in the store: seen past every server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.s3_server import BUCKET
from tests.support.storage_servers import execute, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.s3_server import S3Server


def s3_settings(s3: S3Server | None, bucket: str = BUCKET) -> dict[str, str]:
    """What a server has in its environment to use it; None: the directory is its store."""
    if s3 is None:
        return {}
    return {
        **s3.environment,
        "CHAT4ALL_S3_ENDPOINT": s3.endpoint,
        "CHAT4ALL_S3_BUCKET": bucket,
    }


class Stored:
    """What the directory and the store have of files, seen past the server."""

    def __init__(self, dsn: str, data_dir: Path, s3: S3Server | None, bucket: str = BUCKET) -> None:
        self._bucket = bucket
        self.dsn = dsn
        self.directory = data_dir / "files"
        self._client = None if s3 is None else s3.client()

    def rows(self) -> list[dict[str, Any]]:
        """All that the directory knows."""
        return [dict(row) for row in fetch(self.dsn, "SELECT * FROM files ORDER BY id")]

    def uses(self) -> set[tuple[str, str]]:
        """File and event of each use."""
        return {
            (str(row["file"]), str(row["event"]))
            for row in fetch(self.dsn, "SELECT file, event FROM file_uses")
        }

    def objects(self) -> set[str]:
        """The keys of all objects."""
        if self._client is None:
            return {path.name for path in self.directory.glob("objects/*/*")}
        found = self._client.list_objects_v2(Bucket=self._bucket)
        assert not found["IsTruncated"]
        return {each["Key"] for each in found.get("Contents", ())}

    def uploads(self) -> dict[str, set[int]]:
        """The parts of each upload that is not over, by key."""
        found: dict[str, set[int]] = {}
        if self._client is None:
            for path in self.directory.glob("uploads/*/*/*"):
                marks = [mark.name.split("-") for mark in path.glob("part-*")]
                found.setdefault(path.parent.name, set()).update(int(mark[1]) for mark in marks)
            return found
        listed = self._client.list_multipart_uploads(Bucket=self._bucket).get("Uploads", ())
        for each in listed:
            key, upload = each["Key"], each["UploadId"]
            try:
                parts = self._client.list_parts(Bucket=self._bucket, Key=key, UploadId=upload)
            except self._client.exceptions.NoSuchUpload:
                continue  # it has just been removed
            numbers = {part["PartNumber"] for part in parts.get("Parts", ())}
            found.setdefault(key, set()).update(numbers)
        return found

    def everything(self) -> tuple[Any, ...]:
        """To be compared with what is there later."""
        return self.rows(), self.uses(), self.objects(), self.uploads()

    def later(self, hours: float) -> None:
        """Let time pass for the files, as the directory sees it."""
        past = f"interval '{hours} hours'"
        times = ("created_at", "expires_at", "completed_at", "held_until", "looked_at")
        moved = ", ".join(f"{time} = {time} - {past}" for time in (*times, "unused_since"))
        execute(self.dsn, f"UPDATE files SET {moved}")
        execute(self.dsn, f"UPDATE file_uses SET noted_at = noted_at - {past}")
