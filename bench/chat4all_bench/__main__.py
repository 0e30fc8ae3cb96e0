"""`python -m chat4all_bench chat|cluster|echo|idle`: a measurement, as JSON lines."""

from __future__ import annotations

import json
import sys
import tempfile


def main() -> int:
    """Run one measurement; 1 when messages were lost or out of order."""
    if len(sys.argv) != 2 or sys.argv[1] not in ("chat", "cluster", "echo", "idle"):
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="chat4all-bench-") as data_dir:
        if sys.argv[1] in ("chat", "cluster"):
            from .chat import run as chat
            from .cluster import run as cluster

            wrong = False
            for line in (chat if sys.argv[1] == "chat" else cluster)(data_dir):
                print(json.dumps(line), flush=True)
                wrong = wrong or bool(line["lost"] or line["errors"])
            return 1 if wrong else 0
        if sys.argv[1] == "echo":
            from .echo import run as echo

            for name, figures in echo(data_dir).items():
                print(json.dumps({"server": name} | figures))
            return 0
        from .idle import run as idle

        print(json.dumps(idle(data_dir)))
        return 0


if __name__ == "__main__":
    sys.exit(main())
