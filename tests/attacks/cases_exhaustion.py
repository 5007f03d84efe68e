"""Attacks that use up something: CPU, memory, processes, descriptors.

Each is bounded by itself, so that the weak set-up, in which it gets through, stays harmless.
"""

from tests.support.attack import Attack, Ends

_TAKEN = "import mmap\ndef take(mib):\n    block = mmap.mmap(-1, mib << 20)\n"
_TAKEN += "    for place in range(0, mib << 20, 4096): block[place] = 1\n    return block\n"
_MEMORY = Ends(("out_of_memory",))
# What the kernel does at a limit differs (a refusal, a kill): none of these is a break.
_ANY_LIMIT = Ends(("out_of_memory", "process_limit", "completed"))

CPU = [
    Attack(
        "more CPU than the limit",
        "exhaustion",
        """
import time
for _ in range(3):
    if os.fork() == 0:
        end = time.monotonic() + 2
        while time.monotonic() < end: pass
        os._exit(0)
start = time.monotonic()
for _ in range(3): os.wait()
times = os.times()
share = (times.children_user + times.children_system) / (time.monotonic() - start)
tell(share > 0.35, f"{share:.2f} of a CPU")
""",
        "usual",
        limits=(("cpus", 0.15),),
    ),
    Attack(
        "a loop without end",
        "exhaustion",
        "import time\nend = time.monotonic() + 5\nwhile time.monotonic() < end: pass\ntell(True)",
        "usual",
        holds=Ends(("timed_out",)),
        timeout_s=1,
    ),
    Attack(
        "a loop that blocks every signal, in every process of a group",
        "exhaustion",
        """
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        break
end = time.monotonic() + 5
while time.monotonic() < end: pass
tell(True)
""",
        "usual",
        holds=Ends(("timed_out",)),
        timeout_s=1,
    ),
    Attack(
        "a sleep in another language",
        "exhaustion",
        "setTimeout(() => console.log('BROKE it slept'), 5000)",
        "usual",
        language="javascript",
        holds=Ends(("timed_out",)),
        timeout_s=1,
    ),
    Attack(
        "priority above others",
        "exhaustion",
        """
attempt("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, -15))
attempt("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
attempt("disk priority", lambda: syscall(251, 1, 0, 1 << 13))
verdict()
""",
        "open",
    ),
]

MEMORY = [
    Attack(
        "memory in one block",
        "exhaustion",
        _TAKEN + "take(600)\ntell(True, '600 MiB')",
        "usual",
        holds=_MEMORY,
    ),
    Attack(
        "memory in many processes",
        "exhaustion",
        _TAKEN
        + """
import time
for number in range(12):
    if os.fork() == 0:
        kept = take(50)
        time.sleep(3)
        os._exit(0)
codes = [os.wait()[1] for _ in range(12)]
tell(not any(codes), str(codes))
sys.exit(3)
""",
        "usual",
        holds=Ends(("out_of_memory",)),
    ),
    Attack(
        "memory in a child, and then an exit that looks well",
        "exhaustion",
        "python3 -c \"kept = b'x' * (600 << 20)\" && echo BROKE 600 MiB; exit 0",
        "usual",
        language="bash",
        holds=Ends(("completed",), "memory limit"),
    ),
    Attack(
        "memory in files that have no name",
        "exhaustion",
        """
held_mib = 0
fd = os.memfd_create("m")
while held_mib < 600:
    os.write(fd, b"x" * (1 << 20))
    held_mib += 1
tell(True, f"{held_mib} MiB")
""",
        "usual",
        holds=Ends(("out_of_memory", "completed")),
    ),
    Attack(
        "memory in the buffers of unix sockets",
        "exhaustion",
        """
import resource, socket
total, kept = 0, []
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
try:
    while total < 400 << 20 and len(kept) < 4000:
        pair = socket.socketpair()
        kept.append(pair)
        for end in pair:
            end.setblocking(False)
            try:
                while True: total += end.send(b"x" * 65536)
            except BlockingIOError:
                pass
except OSError:
    pass
tell(total >= 300 << 20, f"{total >> 20} MiB in {len(kept)} pairs")
""",
        "usual",
        holds=_ANY_LIMIT,
    ),
    Attack(
        "memory in pipes",
        "exhaustion",
        """
import fcntl, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
total, kept = 0, []
try:
    while total < 300 << 20:
        kept.append(os.pipe2(os.O_NONBLOCK))
        try: fcntl.fcntl(kept[-1][1], 1031, 1 << 20)
        except PermissionError: pass
        try:
            while True: total += os.write(kept[-1][1], b"x" * (1 << 20))
        except BlockingIOError:
            pass
except OSError:
    pass
tell(total >= 300 << 20, f"{total >> 20} MiB")
""",
        "open",
        holds=_ANY_LIMIT,
    ),
    Attack(
        "memory that cannot be given back",
        "exhaustion",
        """
import mmap
block = mmap.mmap(-1, 64 << 20)
address = ctypes.addressof(ctypes.c_char.from_buffer(block))
attempt("mlock", lambda: syscall(149, ctypes.c_ulong(address), ctypes.c_ulong(64 << 20)),
        REFUSALS | {errno.ENOMEM, errno.EAGAIN})
verdict()
""",
        "open",
    ),
    Attack(
        "memory, when all others are rather to be killed",
        "exhaustion",
        _TAKEN
        + """
for value in ("-1000", "-500", "0"):
    try:
        writes("/proc/self/oom_score_adj", value)()
        break
    except OSError: pass
take(600)
tell(True, "600 MiB")
""",
        "usual",
        holds=_MEMORY,
    ),
]

PROCESSES = [
    Attack(
        "a fork bomb",
        "exhaustion",
        """
import time
count, end = 0, time.monotonic() + 6
try:
    while count < 300:
        if os.fork() == 0:
            time.sleep(max(0, end - time.monotonic()))
            os._exit(0)
        count += 1
except BlockingIOError:
    pass
tell(count >= 300, f"{count} processes")
""",
        "usual",
    ),
    Attack(
        "a fork bomb of shells",
        "exhaustion",
        """
out=$(for i in $(seq 300); do sleep 4 & done 2>&1; jobs -r | wc -l)
n=$(ls /proc | grep -c '^[0-9]')
if [ "$n" -ge 300 ]; then echo BROKE $n; else echo HELD $n; fi
""",
        "usual",
        language="bash",
        holds=Ends(("completed", "process_limit")),
    ),
    Attack(
        "threads",
        "exhaustion",
        """
import threading
done = threading.Event()
count = 0
try:
    while count < 300:
        threading.Thread(target=done.wait, daemon=True).start()
        count += 1
except RuntimeError:
    pass
done.set()
tell(count >= 300, f"{count} threads")
""",
        "usual",
    ),
    Attack(
        "zombies that nobody reaps",
        "exhaustion",
        """
import time
for number in range(200):
    try: pid = os.fork()
    except BlockingIOError: continue
    if pid == 0:
        try: os.fork()
        finally: os._exit(0)
    os.waitpid(pid, 0)
def zombies():
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try: found += open(f"/proc/{name}/stat").read().rpartition(")")[2].split()[0] == "Z"
        except OSError: pass
    return found
end = time.monotonic() + 3
while zombies() > 20 and time.monotonic() < end: time.sleep(0.05)
tell(zombies() > 20, f"{zombies()} zombies")
""",
        "fresh",
    ),
    Attack(
        "open files",
        "exhaustion",
        """
import resource
try: resource.setrlimit(resource.RLIMIT_NOFILE, (4000, 4000))
except (ValueError, OSError): pass
count, kept = 0, []
try:
    while count < 3000:
        kept.append(os.open("/dev/null", os.O_RDONLY))
        count += 1
except OSError:
    pass
tell(count >= 3000, f"{count} descriptors")
""",
        "usual",
    ),
    Attack(
        "core dumps",
        "exhaustion",
        """
import resource
def allow_cores():
    try: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
    except ValueError: raise PermissionError(errno.EPERM, "") from None
attempt("core", allow_cores)
verdict()
""",
        "usual",
    ),
    Attack(
        "message queues",
        "exhaustion",
        'attempt("mq_open", lambda: syscall(240, b"attack", 0o102, 0o600, 0))\n'
        'LIBC.syscall(241, b"attack")\nverdict()',
        "usual",
    ),
]

CASES = [*CPU, *MEMORY, *PROCESSES]
