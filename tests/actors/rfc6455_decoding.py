"""Decoders under test, and what their events call for."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import pytest

from chat4all_actors import rfc6455
from tests.actors.rfc6455_cases import (
    MAX_MESSAGE,
    NO_CODE,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType


def without_speedups() -> ModuleType:
    """Return a second copy of the module, imported where `websockets` has no C extension."""
    assert rfc6455.__file__ is not None
    spec = importlib.util.spec_from_file_location("rfc6455_fallback", rfc6455.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "websockets.speedups", None)
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    return module


MODULES = {"speedups": rfc6455, "fallback": without_speedups()}


def chunks(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def decode(
    pieces: Iterable[bytes], module: ModuleType = rfc6455, max_message: int = MAX_MESSAGE
) -> list[Any]:
    decoder = module.FrameDecoder(max_message)
    return [event for piece in pieces for event in decoder.receive_data(piece)]


def outcome(events: list[Any]) -> tuple[list[bytes], list[bytes], int | None]:
    """Return the messages, the ping payloads and the close code that `events` call for."""
    close: int | None = None
    for event in events:
        assert close is None, "events after the end"
        match type(event).__name__:
            case "CloseReceived":
                close = NO_CODE if event.code is None else event.code
            case "Violation":
                close = event.code
    messages = [event for event in events if type(event) is bytes]
    pings = [event.payload for event in events if type(event).__name__ == "Ping"]
    return messages, pings, close
