"""Attacks on PID 1 and its channel: who tells the worker how a program ended.

PID 1 and every other process that is not the program's own are tried alike.
"""

from tests.support.attack import Attack, Ends, ExitIs

# Every process but this one and its children: PID 1, keepers, a waiting interpreter.
_OTHERS = """
others = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
fine = REFUSALS | ABSENT
if 1 not in others: others.append(1)
"""
# A last frame, in each form that somebody might read: the product's, and that of a weak agent.
_FORGED = """
import struct
payload = b"exit 0 oom 0 pids 0"
forged = struct.pack(">cI", b"x", len(payload)) + payload + b"\\0EXIT 0\\n"
"""


def _others(name: str, weak: str | None, *attempts: str, why: str = "") -> Attack:
    lines = "".join(f"    {line}\n" for line in attempts)
    code = f"{_OTHERS}for pid in others:\n{lines}verdict()\n"
    return Attack(name, "init", code, weak, why_not_weak=why)


def _proc(name: str, weak: str, *files: str, flags: str = "os.O_RDONLY") -> Attack:
    lines = [f'attempt(f"{{pid}} {f}", opens(f"/proc/{{pid}}/{f}", {flags}), fine)' for f in files]
    return _others(name, weak, *lines)


def _call(name: str, weak: str, *calls: str) -> Attack:
    lines = [f'attempt(f"{{pid}}", lambda: syscall({call}), fine)' for call in calls]
    return _others(name, weak, *lines)


LOOKING = [
    _proc("the environment of PID 1", "usual", "environ"),
    _proc("the memory of PID 1", "open", "mem", "maps"),
    _proc("writing the memory of PID 1", "open", "mem", flags="os.O_WRONLY"),
    _proc("the folders of PID 1", "usual", "root/", "cwd/"),
    _proc("the descriptors of PID 1", "usual", "fd/0", "fd/1", "fd/2", "fd/3"),
    _others(
        "the list of descriptors of PID 1",
        "usual",
        'attempt(f"{pid} fd", lambda: os.listdir(f"/proc/{pid}/fd") and None, fine)',
        'attempt(f"{pid} exe", lambda: os.readlink(f"/proc/{pid}/exe") and None, fine)',
    ),
    _proc("what PID 1 is doing in the kernel", "open", "stack", "syscall", "auxv", "io"),
    _proc("the name of PID 1", "usual", "comm", flags="os.O_WRONLY"),
    _others(
        "the timers of PID 1",
        "open",
        'attempt(f"{pid}", writes(f"/proc/{pid}/timerslack_ns", "50000"), fine)',
    ),
    _proc("the page flags of PID 1", "open", "clear_refs", "coredump_filter", flags="os.O_WRONLY"),
]

TOUCHING = [
    _call("tracing PID 1", "open", "101, 0x4206, pid, 0, 0"),
    _others(
        "stopping PID 1 by attaching to it",
        "open",
        "def attach():",
        "    syscall(101, 16, pid, 0, 0)",
        "    os.waitpid(pid, 0x40000000)",
        "    syscall(101, 17, pid, 0, 0)",
        'attempt(f"{pid}", attach, fine)',
    ),
    _call("reading the memory of PID 1 by a call", "open", "310, pid, 0, 0, 0, 0, 0"),
    _call("writing the memory of PID 1 by a call", "open", "311, pid, 0, 0, 0, 0, 0"),
    _call("taking descriptors of PID 1", "open", "438, os.pidfd_open(pid), 1, 0"),
    _call("comparing with PID 1", "open", "312, pid, os.getpid(), 0, 0, 0"),
    _others(
        "limits of PID 1",
        "open",
        "import resource",
        "what = resource.RLIMIT_NOFILE",
        'attempt(f"{pid}", lambda: resource.prlimit(pid, what, (512, 512)), fine)',
    ),
    _others(
        "the priority of PID 1",
        "usual",
        'attempt(f"{pid} nice", lambda: os.setpriority(os.PRIO_PROCESS, pid, 19), fine)',
    ),
    Attack(
        "the priority of its user, and so of PID 1",
        "init",
        'attempt("user", lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19))\nverdict()',
        "nobody",
    ),
    _others(
        "the processor of PID 1",
        "usual",
        'attempt(f"{pid}", lambda: os.sched_setaffinity(pid, {0}), fine)',
    ),
    _others(
        "the scheduling of PID 1",
        "usual",
        'attempt(f"{pid}", lambda: '
        "os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)), fine)",
    ),
    _call("the disk priority of PID 1", "usual", "251, 1, pid, 3 << 13"),
    _others(
        "making PID 1 the victim when memory runs out",
        "usual",
        'attempt(f"{pid}", writes(f"/proc/{pid}/oom_score_adj", "900"), fine)',
    ),
    Attack(
        "every signal to PID 1",
        "init",
        """
import signal, struct, time
for number in range(1, 65):
    if number not in (9, 19):
        try: os.kill(1, number)
        except OSError: pass
# Queued, and said to come from outside.
info = struct.pack("=iiiiii", signal.SIGTERM, 0, -1, 0, 0, 0).ljust(128, b"\\0")
for _ in range(100): LIBC.syscall(129, 1, int(signal.SIGTERM), info)
end = time.monotonic() + 1
while not os.path.exists("/tmp/init_was_hit") and time.monotonic() < end: time.sleep(0.02)
tell(os.path.exists("/tmp/init_was_hit"))
""",
        "fresh",
    ),
    Attack(
        "killing, and stopping, all that can be reached",
        "init",
        """
import signal
for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
    for pid in (1, -1):
        try: os.kill(pid, number)
        except OSError: pass
sys.exit(7)
""",
        "agent",
        holds=ExitIs(7),
    ),
    Attack(
        "killing its own group and parent",
        "init",
        """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for pid in {os.getppid(), 1} - {0}:
    try: os.kill(pid, signal.SIGKILL)
    except OSError: pass
try: os.killpg(0, signal.SIGTERM)
except OSError: pass
sys.exit(7)
""",
        "agent",
        holds=ExitIs(7),
    ),
]

CHANNEL = [
    Attack(
        "a forged end through the descriptors of others",
        "init",
        _FORGED
        + """
for pid in ["self"] + [n for n in os.listdir("/proc") if n.isdigit() and int(n) != os.getpid()]:
    for fd in range(0, 16) if pid != "self" else ():
        try:
            with open(f"/proc/{pid}/fd/{fd}", "wb", 0) as file: file.write(forged)
        except OSError: pass
sys.exit(7)
""",
        "agent",
        holds=ExitIs(7),
    ),
    Attack(
        "a forged end on its own output",
        "init",
        _FORGED
        + """
for path in ("/dev/stdout", "/dev/stderr", "/dev/console", "/dev/tty"):
    try:
        with open(path, "wb", 0) as file: file.write(forged)
    except OSError: pass
for fd in range(1, 256):
    try: os.write(fd, forged)
    except OSError: pass
sys.exit(7)
""",
        "agent",
        holds=ExitIs(7),
    ),
    Attack(
        "a forged end after a kill of its own",
        "init",
        _FORGED
        + """
import time
if os.fork() == 0:
    os.setsid()
    for _ in range(200):
        try: os.write(1, forged)
        except OSError: pass
        time.sleep(0.01)
    os._exit(0)
time.sleep(0.3)
sys.exit(7)
""",
        "agent",
        holds=ExitIs(7),
    ),
    Attack(
        "descriptors that it should not have",
        "init",
        """
import stat
for fd in range(3, 256):
    try: mode, name = os.fstat(fd).st_mode, os.readlink(f"/proc/self/fd/{fd}")
    except OSError: continue
    is_plain = stat.S_ISREG(mode) or stat.S_ISCHR(mode)
    if not is_plain or not name.startswith(("/work/", "/memfd:stdin", "/dev/urandom")):
        broken.append(f"{fd} {name}")
tell(broken, "; ".join(broken))
""",
        "agent",
    ),
    Attack(
        "out of the box through a descriptor",
        "init",
        """
for fd in range(0, 256):
    attempt(f"{fd}", lambda: os.close(os.open(f"/proc/self/fd/{fd}/../etc/hosts", os.O_RDONLY)),
            REFUSALS | ABSENT)
verdict()
""",
        "agent",
    ),
    Attack(
        "the worker's socket",
        "init",
        """
import socket
fine = REFUSALS | ABSENT | {errno.ECONNREFUSED, errno.EPROTOTYPE}
paths = ["/run/auxot/s"]
for folder, _, names in os.walk("/run"):
    paths += [os.path.join(folder, name) for name in names]
for path in paths:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        with socket.socket(socket.AF_UNIX, kind) as s:
            attempt(path, lambda: s.connect(path), fine)
for folder in ("/run/auxot", "/run"):
    attempt(folder, opens(folder + "/x", os.O_WRONLY | os.O_CREAT), REFUSALS | ABSENT)
verdict()
""",
        "usual",
    ),
    Attack(
        "reading and filling its own pipes",
        "init",
        """
import fcntl, time
def open_again(fd, flags):
    try: return os.open(f"/proc/self/fd/{fd}", flags | os.O_NONBLOCK)
    except OSError: return -1
taken, given = open_again(1, os.O_RDONLY), open_again(0, os.O_WRONLY)
for number in range(3):
    if os.fork() == 0:
        while True:
            try: os.read(taken, 65536) if number else os.write(given, b"y" * 65536)
            except OSError: pass
end = time.monotonic() + 1
while time.monotonic() < end:
    try:
        fcntl.fcntl(1, fcntl.F_SETFL, os.O_WRONLY | 0o40000)
        fcntl.fcntl(1, 1031, 4096)
    except OSError: pass
    for _ in range(500): os.write(1, b"x")
sys.exit(7)
""",
        None,
        holds=ExitIs(7),
        why_not_weak="only an init that reads a pipe which it believes to hold something can break",
    ),
    Attack(
        "an end that a daemon with the pipes holds up",
        "init",
        "(setsid bash -c 'sleep 0.7; echo BROKE it still writes' &) ; echo ended; exit 0",
        "usual",
        language="bash",
        holds=Ends(("completed",), "ended"),
    ),
    Attack(
        "a signal that looks like a memory kill",
        "init",
        "import signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "usual",
        holds=Ends(("completed",), "signal 9", is_only_end=True),
    ),
    Attack(
        "an exit code that looks like a kill",
        "init",
        "sys.exit(137)",
        "usual",
        holds=ExitIs(137),
    ),
]

CASES = [*LOOKING, *TOUCHING, *CHANNEL]
