"""What this machine is."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from ..result import Machine


def this_machine() -> Machine:
    """Its processors, memory and software."""
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        cpu=cpu,
        memory_mib=memory // 2**20,
        kernel=platform.release(),
        python=platform.python_version(),
    )
