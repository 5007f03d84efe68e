"""Attacks on another tenant: what the first leaves or uses up, the second must not notice.

The two have sessions of one name. What one session's stopped call left is here too.
"""

from tests.support.attack import Attack

_PLANT = """
import time
for folder in ("/tmp", "/work", "/dev/shm", "/tool"):
    try: open(folder + "/of-@NONCE@", "w").write("secret")
    except OSError: pass
if os.fork() == 0:
    os.setsid()
    for fd in range(3): os.close(fd)
    os.execvp("sleep", ["of-@NONCE@", "9"])
time.sleep(0.1)
"""
_PROCESSES = """
found = []
for name in filter(str.isdigit, os.listdir("/proc")):
    try: line = open(f"/proc/{name}/cmdline", "rb").read()
    except OSError: continue
    if line.startswith(b"of-@NONCE@"): found.append(name)
tell(found, " ".join(found))
"""

LEFT = [
    Attack(
        "files of another tenant with the same session's name",
        "tenants",
        _PLANT,
        "usual",
        then="""
folders = ("/tmp", "/work", "/dev/shm", "/tool")
found = [f for f in folders if os.path.exists(f + "/of-@NONCE@")]
tell(found, " ".join(found))
""",
        second="tenant",
    ),
    Attack(
        "processes of another tenant with the same session's name",
        "tenants",
        _PLANT,
        "usual",
        then=_PROCESSES,
        second="tenant",
    ),
    Attack(
        "a session's interpreter, changed for another tenant",
        "tenants",
        "import builtins\nbuiltins.hooked = '@NONCE@'",
        "interpreter",
        then="import builtins\ntell(getattr(builtins, 'hooked', '') == '@NONCE@')",
        second="tenant",
    ),
    Attack(
        "processes of a stopped call, in its own session",
        "tenants",
        _PLANT + "\ntime.sleep(9)",
        "usual",
        then=_PROCESSES,
        second="same",
        modes=("session",),
        timeout_s=1,
    ),
]

# Two calls at the same time, of two tenants.
OTHERS = [
    Attack(
        "using up the file watches of another box",
        "tenants",
        """
import resource, time
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
kept = []
for _ in range(200):
    if (fd := LIBC.inotify_init()) < 0: break
    kept.append(fd)
print("PLANTED", len(kept), flush=True)
time.sleep(6)
""",
        "two of one user",
        then="""
fd = LIBC.inotify_init()
tell(fd < 0, errno.errorcode.get(ctypes.get_errno(), ""))
""",
        overlaps=True,
    ),
    Attack(
        "using up the waiting signals of another box",
        "tenants",
        """
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, {40})
count = 0
while count < 60_000 and LIBC.sigqueue(os.getpid(), 40, None) == 0: count += 1
print("PLANTED", count, flush=True)
time.sleep(6)
""",
        "two of one user",
        then="""
import resource, signal
hard = resource.getrlimit(resource.RLIMIT_SIGPENDING)[1]
few = 20_000 if hard < 0 else min(20_000, hard)
resource.setrlimit(resource.RLIMIT_SIGPENDING, (few, hard))  # what its user has waiting counts
signal.pthread_sigmask(signal.SIG_BLOCK, {40})
count = 0
while count < 1000 and LIBC.sigqueue(os.getpid(), 40, None) == 0: count += 1
tell(count < 1000, f"{count} signals")
""",
        overlaps=True,
    ),
    Attack(
        "using up the pipe pages of another box",
        "tenants",
        """
import fcntl, resource, time
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
kept = []
try:
    while len(kept) < 120:
        kept.append(os.pipe())
        fcntl.fcntl(kept[-1][1], 1031, 1 << 20)
except OSError: pass
print("PLANTED", len(kept), flush=True)
time.sleep(6)
""",
        "two of one user",
        then="""
import fcntl
attempt("grow", lambda: fcntl.fcntl(os.pipe()[1], 1031, 1 << 20), {0})
tell("done" not in broken[0], broken[0])
""",
        overlaps=True,
    ),
]

CASES = [*LEFT, *OTHERS]
