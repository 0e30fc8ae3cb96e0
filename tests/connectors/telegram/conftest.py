from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.process import run_fake

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def fake() -> Iterator[str]:
    """The address of a fake Telegram whose waits are short; each test has a bot of its own."""
    with run_fake("telegram", "--pace", "0.01") as url:
        yield url
