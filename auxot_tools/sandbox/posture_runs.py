"""What `check_posture` judges from outside: ends that must be told, and what a call leaves.

One job: data, beside that of `posture_probes`. It must not know how a program is run. Every program
ends itself and stays small where nothing stops it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from auxot_tools.ports import SandboxOutcome, StopReason


@dataclass(frozen=True, slots=True)
class Run:
    """One program whose end must be told as what it was: ``is_told`` judges."""

    name: str
    code: str
    is_told: Callable[[SandboxOutcome], bool]
    timeout_s: float = 20.0


_FORGED = """
import os, struct, sys
pids = [int(n) for n in os.listdir("/proc") if n.isdigit()]
if len(pids) > 20: sys.exit(7)  # these are not ours alone: another probe says so
payload = b"exit 0 oom 0 pids 0"
forged = struct.pack(">cI", b"x", len(payload)) + payload
paths = [f"/proc/{pid}/fd/{fd}" for pid in pids for fd in range(8) if pid != os.getpid()]
for path in [*paths, "/dev/stdout", "/dev/console"]:
    try:
        with open(path, "wb", 0) as file: file.write(forged)
    except OSError: pass
for fd in range(1, 64):
    try: os.write(fd, forged)
    except OSError: pass
for pid, numbers in ((1, range(1, 65)), (-1, (15, 19, 9))):
    for number in numbers:
        try: os.kill(pid, number)
        except OSError: pass
sys.exit(7)
"""

RUNS: tuple[Run, ...] = (
    Run(
        "memory is bounded, and told",
        "import mmap\n"
        "block = mmap.mmap(-1, 256 << 20)\n"
        "for place in range(0, 256 << 20, 4096): block[place] = 1\n",
        lambda outcome: outcome.oom_killed and outcome.exit_code is None,
    ),
    Run(
        "time is bounded, and told, whatever signals are blocked",
        "import signal, time\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
        "end = time.monotonic() + 8\n"
        "while time.monotonic() < end: pass\n",
        lambda outcome: outcome.stopped is StopReason.TIME_LIMIT,
        timeout_s=1.0,
    ),
    Run(
        "output is bounded, and told",
        "import os\nfor _ in range(128): os.write(1, b'x' * 65536)\n",
        lambda outcome: outcome.stopped is StopReason.OUTPUT_LIMIT,
    ),
    Run(
        "an end cannot be forged, nor be prevented from being told",
        _FORGED,
        lambda outcome: outcome.exit_code == 7 and not outcome.lost,
    ),
)

# Two calls, of two sessions: what the first leaves, the second must not find.
PLANT = """
import os, time
for folder in ("/tmp", "/work", "/dev/shm"):
    try: open(folder + "/left-by-a-call", "w").close()
    except OSError: pass
if os.fork() == 0:
    os.setsid()
    for fd in range(3): os.close(fd)
    os.execvp("sleep", ["left-by-a-call", "5"])
time.sleep(0.1)
"""
LOOK = """
import os
found = [f for f in ("/tmp", "/work", "/dev/shm") if os.path.exists(f + "/left-by-a-call")]
for name in filter(str.isdigit, os.listdir("/proc")):
    try: line = open(f"/proc/{name}/cmdline", "rb").read()
    except OSError: continue
    if line.startswith(b"left-by-a-call"): found.append("process " + name)
print("found:", *found)
"""
LEAK_NAME = "nothing is left for another call"
