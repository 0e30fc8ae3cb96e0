"""`open_files`: send files to the server and fetch them, in pieces that survive lost connections.

    async with open_files("http://127.0.0.1:8000", token=token) as files:
        file = await files.upload("plan.pdf")
        await client.send(conversation_id, file.body("the plan"))
        path = await files.download(file.id, directory="downloads")

Bytes go straight to where the server's signed addresses lead, which never see the token.
"""

from __future__ import annotations

import mimetypes
import random as random_module
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.ids import new_id

from .errors import ClientError, FileChanged, RequestRefused
from .file_answers import Promise, RemoteFile, UploadStanding
from .local_file import look_at
from .naming import alternatives, file_name
from .part_file import PartFile
from .wake import foremost

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from .local_file import LocalFile
    from .upload_notes import UploadNotes
    from .web import Web

AT_ONCE: Final = 4
"""Parts on their way at once."""
PIECE_SIZE: Final = 8 * 1024 * 1024
"""Bytes of a piece of a download."""
UNKNOWN_TYPE: Final = "application/octet-stream"


@asynccontextmanager
async def open_files(
    url: str,
    *,
    token: str | Callable[[], Awaitable[str]],
    patience: float = 300.0,
    piece_size: int = PIECE_SIZE,
    ssl_context: ssl.SSLContext | None = None,
    random: Callable[[], float] = random_module.random,
) -> AsyncIterator[Files]:
    """Use the files of a user until the block is left.

    Args:
        url: the server's address, as for `open_client`.
        token: an access token, or what gets a new one when one is needed. When the latter raises
            OSError, that is tried again; anything else ends the call that needed it.
        patience: seconds for which one thing is tried again in vain; then `TransferFailed`.
        piece_size: bytes that a download asks for at once, and has to fetch again at most.
        ssl_context: for `https`, in place of the default.
        random: numbers in [0, 1), for the waiting times.

    Raises:
        ValueError: `url` is no address, or `piece_size` below 1.
    """
    if piece_size < 1:
        raise ValueError("piece_size is at least 1")

    def begin() -> Web:
        # Who sends no files need not load an HTTP library, nor read certificates.
        from .web import Web

        return Web(url, token, patience=patience, ssl_context=ssl_context, random=random)

    web = await trio.to_thread.run_sync(begin)
    try:
        yield Files(web, piece_size)
    finally:
        await web.close()


class Files:
    """The files of a user. Made by `open_files`."""

    def __init__(self, web: Web, piece_size: int) -> None:
        """For `open_files`."""
        self._web = web
        self._piece_size = piece_size

    async def upload(
        self,
        path: str | os.PathLike[str],
        *,
        conversation: str | None = None,
        name: str | None = None,
        mime: str | None = None,
        progress: Callable[[int, int], None] | None = None,
        began: Callable[[str], None] | None = None,
        resume: str | None = None,
        notes: UploadNotes | None = None,
        parts_at_once: int = AT_ONCE,
    ) -> RemoteFile:
        """Upload a file; returns once the server has checked it.

        It can be sent then, by `Client.send` and `RemoteFile.body`. A file whose `state` is
        `quarantined` can't: an operator has to look at it.

        Args:
            conversation: where it is going to be sent, if that is known.
            name: what others see; by default what the file is called.
            mime: its type; by default as its name says.
            progress: is told the bytes that are there or on their way, and of how many.
            began: is told the file's id before the first byte goes.
            resume: the id of an upload of this file that was broken off. If it is no more, or was
                of a file of another size, another begins.
            notes: keeps that id instead, with the version of the file.

        Raises:
            RequestRefused: the server takes no such file, or has found something in it.
            TransferFailed: nothing came through for too long; resume it.
            FileChanged: the file was changed meanwhile.
            ValueError: it is empty, or no file.
            OSError: it can't be read.
        """
        source = await look_at(path)
        if notes is not None:
            resume = await notes.find(source)
        standing = None if resume is None else await self._standing(resume, source)
        if standing is None:
            shown = name or source.path.name
            promise = await self._begin(source, shown, mime or type_of(shown), conversation)
            missing = list(range(1, -(-source.size // promise.chunk_size) + 1))
            standing = UploadStanding("uploading", promise.chunk_size, missing, promise.uploads)
            resume = promise.file_id
            if notes is not None:
                await notes.keep(source, resume)
        assert resume is not None  # nothing stands without
        if began is not None:
            began(resume)
        try:
            file = await self._send(source, resume, standing, progress, parts_at_once)
        except (RequestRefused, FileChanged) as error:
            if notes is not None:
                await notes.forget(source)
            if isinstance(error, FileChanged):
                with suppress(ClientError):  # the server would, only later
                    await self.remove(resume)
            raise
        if notes is not None:
            await notes.forget(source)
        return file

    async def _begin(
        self, source: LocalFile, name: str, mime: str, conversation: str | None
    ) -> Promise:
        wanted = {"filename": name, "size": source.size, "mime_type": mime}
        if conversation is not None:
            wanted["conversation_id"] = conversation
        return await self._web.ask(Promise, "POST", "/v1/files/initiate", body=wanted, key=new_id())

    async def _standing(self, file_id: str, source: LocalFile) -> UploadStanding | None:
        """How far an upload has come; None if it can't go on."""
        try:
            file = await self.show(file_id)
            if file.size != source.size or file.state == "rejected":
                return None
            path = f"/v1/files/{file_id}/upload"
            return await self._web.ask(UploadStanding, "GET", path)
        except RequestRefused as error:
            if error.code != ErrorCode.NOT_FOUND:
                raise
            return None

    async def _send(
        self,
        source: LocalFile,
        file_id: str,
        standing: UploadStanding,
        progress: Callable[[int, int], None] | None,
        at_once: int,
    ) -> RemoteFile:
        from .uploading import PartUploads

        checksum = ""

        async def hash_() -> None:
            nonlocal checksum
            checksum = await source.checksum()

        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hash_)
                if standing.status == "uploading":
                    parts = PartUploads(
                        self._web, source, file_id, standing.chunk_size, progress or _nobody
                    )
                    await parts.run(standing.missing_chunks, standing.uploads, at_once)
        except BaseExceptionGroup as group:
            failure = foremost(group)
        if failure is not None:
            raise failure
        await source.hold()
        complete = {"file_id": file_id, "checksum": checksum}
        return await self._web.ask(
            RemoteFile, "POST", "/v1/files/complete", body=complete, slow=True
        )

    async def download(
        self,
        file_id: str,
        path: str | os.PathLike[str] | None = None,
        *,
        directory: str | os.PathLike[str] = ".",
        progress: Callable[[int, int], None] | None = None,
        parts_at_once: int = AT_ONCE,
    ) -> Path:
        """Fetch a file; returns where it is once its bytes are known to be right.

        What has come is in `PATH.part` until then; the same call goes on with it. Nothing that is
        there already is replaced.

        Args:
            path: where to; by default a name in `directory` that is like the file's and free.
            progress: is told the bytes that are there, and of how many.

        Raises:
            RequestRefused: there is no such file for this user, or it is not ready.
            TransferFailed: nothing came through for too long; the same call goes on.
            WrongChecksum: what came is not the file.
            FileExistsError: there is something at `path`.
            OSError: it can't be written.
        """
        from .downloading import Download

        file = await self.show(file_id)
        if file.state != "ready" or file.checksum is None:
            raise RequestRefused(ErrorCode.CONFLICT, f"the file is {file.state}, not ready")
        if path is not None:
            place = PartFile(Path(path))
            if not await trio.to_thread.run_sync(place.path_is_free):
                raise FileExistsError(f"{place.path} is there already")
        else:
            place = await trio.to_thread.run_sync(_place_in, Path(directory), file)
        download = Download(self._web, file, place, self._piece_size, progress or _nobody)
        await download.run(parts_at_once)
        return place.path

    async def show(self, file_id: str) -> RemoteFile:
        """A file as it stands: an own one, or one that a readable message carries.

        Raises:
            RequestRefused: there is none for this user.
            TransferFailed: the server could not be reached.
        """
        return await self._web.ask(RemoteFile, "GET", f"/v1/files/{file_id}")

    async def remove(self, file_id: str) -> None:
        """Remove an own file, for everybody.

        Raises:
            RequestRefused: there is no such file of this user.
            TransferFailed: the server could not be reached.
        """
        await self._web.tell("DELETE", f"/v1/files/{file_id}")


def type_of(name: str) -> str:
    """The type of a file, as its name says."""
    type_, encoding = mimetypes.guess_type(name)
    if encoding is not None:
        return "application/gzip" if encoding == "gzip" else UNKNOWN_TYPE
    return type_ or UNKNOWN_TYPE


def _place_in(directory: Path, file: RemoteFile) -> PartFile:
    """The first name that is free, or that an earlier download of this file has begun with."""
    for name in alternatives(file_name(file.name)):
        place = PartFile(directory / name)
        note = None if not place.path_is_free() else place.note()
        if place.is_free() or (note is not None and note.file_id == file.id):
            return place
    raise AssertionError("names do not end")


def _nobody(done: int, total: int) -> None:
    """Nobody wants to know."""
