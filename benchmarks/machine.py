"""What the machine and its processes use: memory of a process, memory of boxes, idle CPU.

One job: to read /proc and the cgroups. It starts nothing.
"""

import os
import time
from pathlib import Path

import anyio

from auxot_tools.sandbox.measure import busy_and_idle_ticks

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1


def rss_bytes(pid: int) -> int:
    """Resident memory of one process, shared pages included."""
    return _kib(Path(f"/proc/{pid}/status"), "VmRSS:")


def available_bytes() -> int:
    """What new programs could have, as the kernel estimates it."""
    return _kib(Path("/proc/meminfo"), "MemAvailable:")


def _kib(path: Path, name: str) -> int:
    for line in path.read_text("ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


async def idle_cores(seconds: float) -> float:
    """Cores in use, whoever uses them, while nothing is asked for."""
    busy, _ = busy_and_idle_ticks()
    begun = time.perf_counter()
    await anyio.sleep(seconds)
    busy_now, _ = busy_and_idle_ticks()
    return (busy_now - busy) / TICKS_PER_S / (time.perf_counter() - begun)
