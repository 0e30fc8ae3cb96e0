"""Tell whether one run is better or worse than another, figure by figure."""

from __future__ import annotations

from .options import HELP
from .options import add_compare_arguments as add_arguments
from .options import compare as run

__all__ = ["HELP", "add_arguments", "run"]
