"""`python -m chat4all_bench.generator NUMBER`: see `process.py`."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys

from .process import Process


def main() -> None:
    """Serve one process; what would be printed goes to stderr, stdout is the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it, by its pipe
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection is a descriptor
    replies = os.dup(1)
    os.dup2(2, 1)
    gc.disable()  # nothing here makes cycles; scanning 15,000 clients would delay messages
    Process(int(sys.argv[1]), 0, replies).run()


if __name__ == "__main__":
    main()
