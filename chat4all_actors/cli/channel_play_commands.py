"""What a player types, as what she does: a text, or a command with `/`."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from chat4all_connectors.loopback import cues

from .channel_play_view import NoSuchMessage
from .chat_text import safe_line
from .chat_transfers import path_and_rest

if TYPE_CHECKING:
    from chat4all_connectors.capabilities import MediaKind

    from .channel_play import Play
    from .channel_play_view import PlayView

HELP: Final = """\
Enter sends, Alt+Enter begins a new line, PageUp and PageDown scroll. N is a message's number.
/reply N TEXT         answer a message
/edit N TEXT          replace an own text
/delete N             take an own message back
/react N [EMOJI]      react to a message, or take that back
/file PATH [CAPTION]  send a file
/save N [PATH]        keep the file of a message
/read                 read everything that has come
/block, /unblock      take nothing any more, or again
/help                 this
/quit                 leave (so do Ctrl-C and Ctrl-D)
//text                sends a text that begins with /"""
_USAGE: Final = {line.split()[0]: line for line in HELP.splitlines()[1:]}


class CannotDo(Exception):
    """What was typed can't be done; the text says why."""


class Leave(Exception):
    """The player wants to leave."""


class Helped(Struct, frozen=True):
    """What she was told."""

    text: str = ""


async def do(line: str, play: Play, view: PlayView) -> Helped:
    """Do what was typed.

    Raises:
        CannotDo: that is not possible.
        Leave: she wants to leave.
    """
    if not line.startswith("/") or line.startswith("//"):
        return await _act(play, _said(line.removeprefix("/") if line.startswith("//") else line))
    command, _, rest = line[1:].strip().partition(" ")
    rest = rest.strip()
    if command in ("quit", "q", "exit"):
        raise Leave
    if command == "help":
        return Helped(HELP)
    try:
        match command:
            case "file":
                return await _act(play, await trio.to_thread.run_sync(_file, rest))
            case "save":
                return await _save(play, view, rest)
            case _:
                return await _act(play, _command(command, rest, view))
    except NoSuchMessage as error:
        raise CannotDo(str(error)) from None


def _said(text: str) -> cues.Say:
    if not text.strip():
        raise CannotDo("there is nothing to say")
    return cues.Say(text=text)


def _command(command: str, rest: str, view: PlayView) -> cues.Act:
    name, _, text = rest.partition(" ")
    text = text.strip()
    match command:
        case "read":
            return cues.Read()
        case "block" | "unblock":
            return cues.Block(blocked=command == "block")
        case "reply" if text:
            return cues.Say(text=text, reply_to=view.named(name).id)
        case "edit" if text:
            return cues.Edit(message=_own(name, view), text=text)
        case "delete" if name:
            return cues.Delete(message=_own(name, view))
        case "react" if name:
            return cues.React(message=view.named(name).id, emoji=text or None)
    if f"/{command}" in _USAGE:
        raise CannotDo(_USAGE[f"/{command}"])
    raise CannotDo(f"there is no command /{safe_line(command)}; /help lists them")


def _own(name: str, view: PlayView) -> str:
    message = view.named(name)
    if message.sender != view.person:
        raise CannotDo(f"message {name} is not yours")
    return message.id


async def _act(play: Play, act: cues.Act) -> Helped:
    answer = await play.act(act)
    if isinstance(answer, cues.Refused):
        raise CannotDo(safe_line(answer.reason))
    return Helped()


def _file(arguments: str) -> cues.Send:
    """Reads it."""
    path, caption = path_and_rest(arguments)
    if path is None:
        raise CannotDo(_USAGE["/file"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CannotDo(f"{path}: {error.strerror}") from None
    mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return cues.Send(kind=_kind(mime), mime=mime, name=path.name, content=content, caption=caption)


def _kind(mime: str) -> MediaKind:
    match mime.partition("/")[0]:
        case "image":
            return "image"
        case "video":
            return "video"
        case "audio":
            return "audio"
    return "document"


async def _save(play: Play, view: PlayView, arguments: str) -> Helped:
    name, _, where = arguments.partition(" ")
    if not name:
        raise CannotDo(_USAGE["/save"])
    message = view.named(name)
    if message.file is None:
        raise CannotDo(f"message {name} has no file")
    answer = await play.act(cues.Fetch(message=message.id))
    if not isinstance(answer, cues.Content):
        raise CannotDo(safe_line(answer.reason) if isinstance(answer, cues.Refused) else "no file")
    path = where.strip() or message.file.name
    return Helped(await trio.to_thread.run_sync(_keep, path, where == "", answer.content))


def _keep(text: str, theirs: bool, content: bytes) -> str:
    """Write it, over nothing that is there; what is to be told."""
    # Of what others call their files the last part, so that it leads nowhere else.
    path = Path(Path(text).name or "file") if theirs else Path(text).expanduser()
    try:
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise CannotDo(f"{safe_line(str(path))}: {error.strerror}") from None
    return f"saved as {safe_line(str(path))}"
