"""Parts and objects of the local store, put and fetched by signed addresses.

No application answers. A request is taken over with its connection after its head: its bytes go
between socket and disk in large pieces, and neither HTTP's parser nor a queue has a hand in it. The
address is the right to it; no token is looked at.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from chat4all_storage.local.addresses import PREFIX, Download, Forbidden, methods_of
from chat4all_storage.local.objects import LocalObjects
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.ports.objects import NoSuchObject

from ... import tracing
from .cors import Cors
from .download import hand_out
from .errors import Refused
from .front import LOG_LEVELS, access_logger, log_access
from .part_upload import Gone, Pace, PartBody, take_part
from .reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_storage.local.addresses import Right, Upload
    from chat4all_storage.ports.objects import ObjectStore

    from ...config import Settings
    from ..transport import Transport
    from .head import RequestHead
    from .part_upload import JudgeHead

logger = logging.getLogger(__name__)

RETRY_AFTER: Final = 5.0
"""Seconds after which a disk that takes nothing is to be tried again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is served here.

    Attributes:
        head: Its head.
        received: What has come behind the head.
        address: The client's.
        tls: Whether the client came by HTTPS.
    """

    head: RequestHead
    received: bytes
    address: str
    tls: bool


class Transfers:
    """All of a node."""

    def __init__(
        self, objects: LocalObjects, settings: Settings, *, judge_head: JudgeHead | None = None
    ) -> None:
        """`judge_head` tells what a file that begins so and was told to be that is.

        None of it: that may not be uploaded.
        """
        self._objects = objects
        self._judge_head = judge_head
        self._cors = Cors(settings.allowed_origins)
        self._pace = Pace(settings.body_grace, settings.min_transfer_rate)
        self._write_timeout = settings.write_timeout
        self._slots = trio.CapacityLimiter(settings.max_file_transfers)
        self._slot_patience = settings.body_timeout
        self._log_level = LOG_LEVELS[settings.access_log]

    @staticmethod
    def serves(path: str) -> bool:
        """Whether requests for this path are served here."""
        return path.startswith(PREFIX)

    @property
    def under_way(self) -> int:
        """How many are served now."""
        return self._slots.borrowed_tokens

    async def serve(
        self, transport: Transport, asked: Asked, last: Callable[[], bool]
    ) -> bytes | None:
        """Answer a request; what has come behind it, or None when the connection is to end.

        `last` tells whether it is to end anyway.
        """
        head = asked.head
        trace = tracing.continue_trace(head.get_all(b"traceparent"))
        token = tracing.current.set(trace)
        began = trio.current_time()
        served, fields, preflight = self._cors.judge(head.method, head.headers)
        reply = Reply(transport, head, trace, tls=asked.tls, fields=fields, last=last)
        behind = asked.received
        try:
            if preflight and served:
                reply.end(204, {})
            else:
                if not served:
                    raise Refused(403, "this origin is not allowed")
                behind = await self._answer(transport, asked, reply)
        except Gone:
            return None
        except Refused as error:
            if reply.status:
                return None
            reply.refuse(error, close=_has_body(head))
        except Exception:
            logger.exception("a transfer failed")
            if not reply.status:
                message = "this is a fault of the server; it has been noted"
                reply.refuse(Refused(500, message), close=True)
            return None
        finally:
            self._log(asked, reply, trio.current_time() - began)
            tracing.current.reset(token)
        return None if reply.closes else behind

    async def _answer(self, transport: Transport, asked: Asked, reply: Reply) -> bytes:
        right = self._judge(asked.head)
        with trio.move_on_after(self._slot_patience) as patience:
            await self._slots.acquire()
        if patience.cancelled_caught:
            raise Refused(503, "too many files are on their way", retry_after=RETRY_AFTER)
        try:
            if not isinstance(right, Download):
                return await self._take(transport, asked, reply, right)
            async with self._objects.open(right.key) as file:
                await hand_out(
                    transport,
                    asked.head,
                    reply,
                    right,
                    file,
                    fresh=self._objects.addresses.remaining(right),
                    write_timeout=self._write_timeout,
                    in_thread=self._objects.move,
                )
            return asked.received
        except NoSuchObject as error:
            raise Refused(404, "there is nothing here (any more)") from error
        except Rejected as error:
            raise Refused(400, str(error), field="content-length") from error
        except Unavailable as error:
            logger.error("a file can't be served: %s", error)
            message = "files can't be served for now"
            raise Refused(503, message, retry_after=RETRY_AFTER) from error
        finally:
            self._slots.release()

    async def _take(self, transport: Transport, asked: Asked, reply: Reply, right: Upload) -> bytes:
        body = PartBody(transport, asked.received, right.size, self._pace)
        part_of = self._objects.open_part(right.key, right.upload, right.part, right.size)
        async with part_of as part:
            reply.proceed()
            tag = await take_part(
                body,
                part,
                right,
                self._judge_head,
                move=self._objects.move,
                sync=self._objects.run,
            )
        reply.end(200, {"ETag": f'"{tag}"'})
        return body.behind

    def _judge(self, head: RequestHead) -> Right:
        methods = methods_of(head.path)
        if not methods:
            raise Refused(404, "there is nothing here")
        if head.method not in methods:
            allowed = ", ".join(methods)
            raise Refused(405, f"this path answers {allowed}", headers={"Allow": allowed})
        try:
            right = self._objects.addresses.judge(head.path, head.query)
        except Forbidden as error:
            raise Refused(403, str(error)) from error
        if isinstance(right, Download):
            if _has_body(head):
                raise Refused(400, "what is fetched has no body", field="content-length")
            return right
        length = head.get(b"content-length")
        if length is None:
            raise Refused(411, "a part is sent with its Content-Length", field="content-length")
        if int(length) != right.size:
            status = 413 if int(length) > right.size else 400
            message = f"the part has {right.size} bytes, by its address"
            raise Refused(status, message, field="content-length")
        return right

    def _log(self, asked: Asked, reply: Reply, seconds: float) -> None:
        level = logging.WARNING if reply.status >= 500 else self._log_level
        if level and access_logger.isEnabledFor(level):
            head = asked.head
            route = "/files/{key}/{part}" if head.method == "PUT" else "/files/{key}"
            log_access(level, head.method, route, reply.status, reply.size, seconds, asked.address)


def transfers_of(
    objects: ObjectStore, settings: Settings, *, judge_head: JudgeHead | None = None
) -> Transfers | None:
    """Those of this store, if it is one that is served by us; see `Transfers`."""
    if not isinstance(objects, LocalObjects):
        return None
    return Transfers(objects, settings, judge_head=judge_head)


def _has_body(head: RequestHead) -> bool:
    return head.get(b"content-length") not in (None, b"0") or bool(head.get(b"transfer-encoding"))
