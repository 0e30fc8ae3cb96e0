"""`python -m chat4all_bench SCENARIO`: the same as `chat4all bench SCENARIO`."""

from __future__ import annotations

import argparse
import sys

from .cli import add_arguments, run


def main() -> int:
    """Run one scenario."""
    parser = argparse.ArgumentParser(prog="chat4all_bench", description="Measure the server.")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
