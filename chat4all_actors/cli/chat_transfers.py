"""`/send` and `/save`: files that go and come while people chat."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from chat4all_client import ClientError, UploadNotes

from .chat_progress import Progress
from .chat_text import file_name_of, size_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from chat4all_client import FileBody, Files

    from .chat_view import View

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORD: Final = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|((?:\\.|[^\s\\])+))(?:\s+|$)""")


class Place(Struct, frozen=True):
    """Where files of a chat go to and come from."""

    open: Callable[[], AbstractAsyncContextManager[Files]]
    notes: UploadNotes


class Transfers:
    """The transfers of one chat."""

    def __init__(
        self,
        place: Place,
        conversation: str,
        view: View,
        *,
        send: Callable[[FileBody], None],
        notice: Callable[[str], None],
    ) -> None:
        """`send` sends a message, `notice` tells the user something."""
        self._place = place
        self._conversation = conversation
        self._view = view
        self._send = send
        self._notice = notice
        self._under_way: list[Progress] = []

    def lines(self) -> list[str]:
        """What is under way."""
        now = trio.current_time()
        return [progress.line(now) for progress in self._under_way]

    def names(self) -> list[str]:
        """What is under way, for who is leaving."""
        return [progress.name for progress in self._under_way]

    async def send(self, arguments: str) -> None:
        """Upload a file and send it: `PATH [caption]`."""
        path, caption = await trio.to_thread.run_sync(path_and_rest, arguments)
        if path is None:
            self._notice("which file? /send PATH [caption]; a path with blanks goes in quotes")
            return
        progress = self._begin("↑", path.name)
        try:
            async with self._place.open() as files:
                file = await files.upload(
                    path,
                    conversation=self._conversation,
                    progress=lambda done, total: progress.told(done, total, trio.current_time()),
                    notes=self._place.notes,
                )
        except (ClientError, OSError, ValueError) as error:
            self._notice(f"{path.name} was not sent: {_words(error)}")
        else:
            if file.state == "ready":
                self._send(file.body(caption or None))
            else:
                self._notice(f"{path.name} is held back until an operator has looked at it")
        finally:
            self._under_way.remove(progress)

    async def save(self, arguments: str) -> None:
        """Fetch a file: `[N|FILE_ID] [PATH|DIR]`."""
        wanted, rest = _first_word(arguments)
        if wanted.isdecimal() or _ID.fullmatch(wanted):
            body = self._view.file(wanted)
            name = wanted if body is None else file_name_of(body)
            id_ = wanted if body is None else body.file_id
            if wanted.isdecimal() and body is None:
                self._notice(f"there is no file {wanted} on this page; /history shows older ones")
                return
        else:
            body, rest = self._view.last_file, arguments
            if body is None:
                self._notice("there is no file on this page; /history shows older messages")
                return
            name, id_ = file_name_of(body), body.file_id
        path, directory = await trio.to_thread.run_sync(_target, rest)
        progress = self._begin("↓", name)
        try:
            async with self._place.open() as files:
                saved = await files.download(
                    id_,
                    path,
                    directory=directory,
                    progress=lambda done, total: progress.told(done, total, trio.current_time()),
                )
        except (ClientError, OSError) as error:
            self._notice(f"{name} was not saved: {_words(error)}")
        else:
            size = (await trio.to_thread.run_sync(os.stat, saved)).st_size
            self._notice(f"saved as {saved}, {size_of(size)}")
        finally:
            self._under_way.remove(progress)

    def _begin(self, sign: str, name: str) -> Progress:
        progress = Progress(sign, name, trio.current_time())
        self._under_way.append(progress)
        return progress


def path_and_rest(text: str) -> tuple[Path | None, str]:
    """The path that a text begins with, and what follows it. Looks at the disk.

    A path is a word, or in quotes; or the whole text, if there is such a file.
    """
    text = text.strip()
    whole = Path(text).expanduser()
    if text and whole.is_file():
        return whole, ""
    word, rest = _first_word(text)
    return (Path(word).expanduser() if word else None), rest


def _target(text: str) -> tuple[Path | None, Path]:
    """The path, or the directory, that a file is to be saved to."""
    text = text.strip()
    word, rest = _first_word(text)
    word = text if rest else word  # there is nothing else to come: blanks are the path's
    path = Path(word or ".").expanduser()
    if path.is_dir() or word.endswith("/"):
        path.mkdir(exist_ok=True)
        return None, path
    return path, Path()


def _first_word(text: str) -> tuple[str, str]:
    match = _WORD.match(text)
    if match is None:
        return "", text.strip()
    double, single, bare = match.groups()
    word = re.sub(r"\\(.)", r"\1", bare) if bare is not None else double or single or ""
    return word, text[match.end() :].strip()


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return getattr(error, "message", "") or str(error)


def state_file() -> Path:
    """Where this command notes uploads that are under way, so that they go on the next time."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "chat4all" / "uploads.json"
