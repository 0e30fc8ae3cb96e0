"""Where the store of a server is, as far as the flags tell that it was started with."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from .straight import Straight, StraightDirectory, StraightS3

if TYPE_CHECKING:
    from collections.abc import Sequence

_REGION = "us-east-1"


def straight_to(place: Sequence[str], flags: str, *, parts_at_once: int) -> Straight:
    """The store of a server that was started with these flags and has its data at `place`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--s3-endpoint", "--s3-bucket", "--s3-region", "--data-dir"):
        parser.add_argument(
            flag, default=os.environ.get(f"CHAT4ALL_{flag[2:].upper().replace('-', '_')}")
        )
    given = parser.parse_known_args([*shlex.split(flags), *place])[0]
    if given.s3_bucket is not None:
        region = given.s3_region or _REGION
        return StraightS3(given.s3_endpoint, given.s3_bucket, region, parts_at_once=parts_at_once)
    return StraightDirectory(Path(given.data_dir), parts_at_once=parts_at_once)
