"""A process that works on hostile text, so that the worker never does it itself.

One job: limit itself, then answer each job on stdin with one answer on stdout. `killable.py` runs a
module that calls `serve`, without the worker's environment. It must not know what the jobs are.
"""

import resource
import select
import struct
import sys
from collections.abc import Callable, Sequence

SIZES = struct.Struct(">II")  # of a task (JSON) and of the body that follows it
SIZE = struct.Struct(">I")  # of an answer (JSON)
IDLE_S = 60.0  # without a job for so long it ends, and gives its memory back
MAX_JOBS = 200  # then it ends: whatever leaks in the libraries does not add up

Work = Callable[[bytes, bytes], bytes]  # a task (JSON) and a body in, an answer (JSON) out


def serve(arguments: Sequence[str], work: Work) -> int:
    """Do jobs until stdin ends. `arguments`: bytes of memory, and CPU seconds for each job."""
    memory_bytes, cpu_s = map(int, arguments)
    _restrict(memory_bytes)
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    for _job in range(MAX_JOBS):
        if not select.select([stdin], [], [], IDLE_S)[0]:
            return 0
        sizes = stdin.read(SIZES.size)
        if len(sizes) < SIZES.size:
            return 0
        _allow_cpu(cpu_s)
        task_bytes, body_bytes = SIZES.unpack(sizes)
        answer = work(stdin.read(task_bytes), stdin.read(body_bytes))
        stdout.write(SIZE.pack(len(answer)) + answer)
        stdout.flush()
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
