"""Hands out an object, or a range of it, from the disk to the socket."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import trio

from .part_upload import Gone
from .ranges import is_known, range_of

if TYPE_CHECKING:
    from chat4all_storage.local.addresses import Download
    from chat4all_storage.local.directory import ObjectFile

    from ..transport import InThread, Transport
    from .head import RequestHead
    from .reply import Reply

PIECE: Final = 8 * 1024 * 1024
"""Bytes that the kernel is to send at once; it takes as many of them as it has room for."""
STEP: Final = 64 * 1024
"""Bytes that a client must take in `write_timeout`."""
_MIME: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?:; ?[ -~]+)?")


async def hand_out(
    transport: Transport,
    head: RequestHead,
    reply: Reply,
    right: Download,
    file: ObjectFile,
    *,
    fresh: int,
    write_timeout: float,
    in_thread: InThread,
) -> None:
    """Answer with the object; `fresh` seconds a browser may keep it.

    Raises:
        Refused: there is no such range.
        Gone: the client takes it no longer, or not in time.
    """
    tag = f'"{right.key}"'  # what a key names never changes
    fields = {
        "Content-Type": right.shown.mime
        if _MIME.fullmatch(right.shown.mime)
        else "application/octet-stream",
        "Content-Disposition": right.shown.disposition,
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": f"private, max-age={fresh}",
    }
    if is_known(head, tag):
        reply.end(304, fields)
        return
    wanted = range_of(head, file.size, tag)
    start, end = wanted or (0, file.size)
    fields["Content-Length"] = str(end - start)
    if wanted is not None:
        fields["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    reply.begin(200 if wanted is None else 206, fields)
    if head.method == "GET":
        await _send(transport, reply, file.fd, start, end, write_timeout, in_thread)


async def _send(
    transport: Transport,
    reply: Reply,
    fd: int,
    at: int,
    end: int,
    write_timeout: float,
    in_thread: InThread,
) -> None:
    step, deadline = at, trio.current_time() + write_timeout
    with trio.CancelScope(deadline=deadline) as patience:
        await transport.room(1)
        while at < end:
            sent = await transport.send_file(fd, at, min(PIECE, end - at), in_thread)
            if not sent:
                raise Gone
            at += sent
            reply.size += sent
            if at - step >= STEP:
                step, patience.deadline = at, trio.current_time() + write_timeout
    if patience.cancelled_caught:
        raise Gone
