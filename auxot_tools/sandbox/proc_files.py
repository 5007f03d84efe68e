"""What a box sees as /proc/meminfo and /proc/cpuinfo: its own limits instead of the machine's.

Pure: text in, text out. Programs size their pools by these files.
"""

import math


def meminfo(memory_bytes: int) -> str:
    """A /proc/meminfo of a machine with this much memory, all of it free, and no swap."""
    kib = memory_bytes // 1024
    rows = {
        "MemTotal": kib,
        "MemFree": kib,
        "MemAvailable": kib,
        "Buffers": 0,
        "Cached": 0,
        "SwapCached": 0,
        "SwapTotal": 0,
        "SwapFree": 0,
    }
    return "".join(f"{name + ':':<16}{value:>8} kB\n" for name, value in rows.items())


def cpuinfo(host: str, cpus: float) -> str:
    """The first processors of the host's /proc/cpuinfo, as many as ``cpus`` rounded up."""
    processors = [block for block in host.strip().split("\n\n") if block.startswith("processor")]
    shown = processors[: max(1, math.ceil(cpus))]
    return "".join(f"{block}\n\n" for block in shown)
