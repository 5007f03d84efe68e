"""A process that reads HTML pages, so that the worker never parses one itself.

One job: limit itself, then answer each page on stdin with one reading on stdout. Run by
`web_html.py` as `python -m`, without the worker's environment. It must not know where pages come
from.
"""

import json
import resource
import select
import struct
import sys
from dataclasses import asdict
from typing import BinaryIO, NamedTuple

from auxot_tools.hosted.web_reading import ReadingTask, read

SIZES = struct.Struct(">II")  # of a task (JSON) and of the body that follows it
SIZE = struct.Struct(">I")  # of a reading (JSON)
IDLE_S = 60.0  # without a page for so long it ends, and gives its 50 MB back
MAX_PAGES = 200  # then it ends: whatever leaks in the parsers does not add up


class ProcessLimits(NamedTuple):
    """Memory of the process, and CPU seconds for each page."""

    memory_bytes: int
    cpu_s: int


def main(arguments: list[str]) -> int:
    """Serve pages until stdin ends. `arguments`: the two limits."""
    limits = ProcessLimits(*map(int, arguments))
    _restrict(limits.memory_bytes)
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    for _page in range(MAX_PAGES):
        if not select.select([stdin], [], [], IDLE_S)[0]:
            return 0
        sizes = stdin.read(SIZES.size)
        if len(sizes) < SIZES.size:
            return 0
        _allow_cpu(limits.cpu_s)
        _answer(stdin, stdout, *SIZES.unpack(sizes))
    return 0


def _restrict(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


def _allow_cpu(seconds: int) -> None:
    """From now on so many seconds of CPU time; then the kernel ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def _answer(stdin: BinaryIO, stdout: BinaryIO, task_bytes: int, body_bytes: int) -> None:
    task = ReadingTask(**json.loads(stdin.read(task_bytes)))
    reading = json.dumps(asdict(read(task, stdin.read(body_bytes)))).encode()
    stdout.write(SIZE.pack(len(reading)) + reading)
    stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
