"""Whether the node lives, has started and accepts work, for whoever looks after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from .answers import success
from .errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from .head import RequestHead

RETRY_AFTER: Final = 1.0
"""Seconds after which a node that is not ready is to be asked again."""


class Health:
    """Answers the paths under `/health/`."""

    def __init__(
        self, unready: Callable[[], str | None], degraded: Callable[[], list[str]]
    ) -> None:
        """`unready` tells what keeps the node from accepting work, or None.

        `degraded` tells what does not work as it should beside that.
        """
        self._unready = unready
        self._degraded = degraded

    def answer(self, head: RequestHead) -> bytes:
        """The whole answer to this request.

        Raises:
            Refused: the node is not ready; or there is no such path, or it does not answer that.
        """
        if head.path not in ("/health/live", "/health/startup", "/health/ready"):
            raise Refused(404, "there is nothing here")
        if head.method not in ("GET", "HEAD"):
            raise Refused(405, f"{head.path} answers GET", headers={"Allow": "GET"})
        told: dict[str, object] = {"status": "ok"}
        if head.path == "/health/ready":
            why = self._unready()
            if why is not None:
                raise Refused(503, why, retry_after=RETRY_AFTER)
            if reasons := self._degraded():
                told = {"status": "degraded", "reasons": reasons}
        return success(msgspec.json.encode(told), head=head)
