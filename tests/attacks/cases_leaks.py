"""Attacks across calls: the first plants something, the second, of another call, looks for it.

In mode session the second call is of another session; in mode warm both may be in one container.
"""

from tests.support.attack import Attack, texts_differ

_LOOK_FOR_FILE = 'tell(os.path.exists("{path}"), "{path}")'


def _file(name: str, path: str, weak: str = "usual") -> Attack:
    plant = f"""
try:
    os.makedirs(os.path.dirname("{path}"), exist_ok=True)
    open("{path}", "w").write("@NONCE@")
except OSError as error:
    print(error)
"""
    return Attack(name, "leaks", plant, weak, then=_LOOK_FOR_FILE.format(path=path))


FILES = [
    _file("a file in /tmp", "/tmp/left-@NONCE@"),
    _file("a file in /work", "/work/left-@NONCE@"),
    _file("a file in /dev/shm", "/dev/shm/left-@NONCE@"),
    _file("a file in /tool", "/tool/left-@NONCE@"),
    _file("a file to be handed out", "/work/out/left-@NONCE@"),
    Attack(
        "a file anywhere",
        "leaks",
        """
for folder, _, _ in os.walk("/"):
    if not folder.startswith(("/proc", "/sys")):
        try: open(folder + "/left-@NONCE@", "w").close()
        except OSError: pass
""",
        "usual",
        then="""
found = [folder for folder, _, names in os.walk("/") if "left-@NONCE@" in names]
for folder in found: os.unlink(folder + "/left-@NONCE@")
tell(found, " ".join(found[:5]))
""",
    ),
    Attack(
        "code that the next Python loads",
        "leaks",
        """
import site, sysconfig
hook = "import builtins\\nbuiltins.hooked = '@NONCE@'\\n"
folders = {site.getusersitepackages(), sysconfig.get_path("stdlib"), "/work"}
for folder in folders | set(site.getsitepackages()):
    for name in ("usercustomize.py", "sitecustomize.py"):
        try:
            os.makedirs(folder, exist_ok=True)
            open(os.path.join(folder, name), "w").write(hook)
        except OSError: pass
""",
        "usual",
        then="""
import builtins, site, sysconfig
is_hooked = getattr(builtins, "hooked", "") == "@NONCE@"
folders = {site.getusersitepackages(), sysconfig.get_path("stdlib"), "/work"}
for folder in folders | set(site.getsitepackages()):
    for name in ("usercustomize.py", "sitecustomize.py"):
        if os.path.exists(os.path.join(folder, name)):
            try: os.unlink(os.path.join(folder, name))
            except OSError: pass
tell(is_hooked)
""",
    ),
    Attack(
        "start-up files of the shell",
        "leaks",
        "for f in ~/.bashrc ~/.profile /etc/profile.d/x.sh /etc/bash.bashrc; do\n"
        "  echo 'echo BROKE hooked' >> $f; done 2>/dev/null; true",
        "usual",
        language="bash",
        then="said=$(bash -ic 'true' 2>/dev/null); rm -f ~/.bashrc ~/.profile; echo ${said:-HELD}",
    ),
]

PROCESSES = [
    Attack(
        "a daemon that stays",
        "leaks",
        """
import time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(3): os.close(fd)
        os.execvp("sleep", ["sleep-@NONCE@", "20"])
    os._exit(0)
os.wait()
time.sleep(0.1)
""",
        "usual",
        then="""
found = []
for name in filter(str.isdigit, os.listdir("/proc")):
    try: line = open(f"/proc/{name}/cmdline", "rb").read()
    except OSError: continue
    if line.startswith(b"sleep-@NONCE@"): found.append(name); os.kill(int(name), 9)
tell(found, " ".join(found))
""",
    ),
    Attack(
        "a daemon that waits for the next call's files",
        "leaks",
        """
import time
if os.fork() == 0:
    os.setsid()
    for fd in range(3): os.close(fd)
    end = time.monotonic() + 8
    while time.monotonic() < end:
        for folder in ("/tmp", "/work", "/dev/shm"):
            if os.path.exists(folder + "/mine-@NONCE@"):
                open(folder + "/taken-@NONCE@", "w").close()
                os._exit(0)
        time.sleep(0.01)
    os._exit(0)
""",
        "usual",
        then="""
import time
for folder in ("/tmp", "/work", "/dev/shm"): open(folder + "/mine-@NONCE@", "w").close()
end, found = time.monotonic() + 1, []
while not found and time.monotonic() < end:
    found = [f for f in ("/tmp", "/work", "/dev/shm") if os.path.exists(f + "/taken-@NONCE@")]
    time.sleep(0.02)
tell(found, " ".join(found))
""",
    ),
    Attack(
        "processes that a time limit should have ended",
        "leaks",
        """
import time
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        open("/tmp/late-@NONCE@", "w").close()
        os.execvp("sleep", ["late-@NONCE@", "9"])
time.sleep(9)
""",
        "fresh",
        then="""
found = ["file"] if os.path.exists("/tmp/late-@NONCE@") else []
for name in filter(str.isdigit, os.listdir("/proc")):
    try: line = open(f"/proc/{name}/cmdline", "rb").read()
    except OSError: continue
    if line.startswith(b"late-@NONCE@"): found.append(name)
tell(found, " ".join(found))
""",
        timeout_s=1,
    ),
    Attack(
        "an abstract socket",
        "leaks",
        r"""
import socket, time
s = socket.socket(socket.AF_UNIX)
s.bind("\0left-@NONCE@")
s.listen()
if os.fork() == 0:
    os.setsid()
    for fd in range(3): os.close(fd)
    time.sleep(6)
    os._exit(0)
""",
        "usual",
        then=r"""
import socket
s = socket.socket(socket.AF_UNIX)
attempt("connect", lambda: s.connect("\0left-@NONCE@"), REFUSALS | {errno.ECONNREFUSED})
verdict()
""",
    ),
    Attack(
        "shared memory of an earlier call",
        "leaks",
        """
number = int("@NONCE@"[:7], 16)
shm = LIBC.shmget(number, 4096, 0o1666)
print(shm)
""",
        "usual",
        then="""
shm = LIBC.shmget(int("@NONCE@"[:7], 16), 4096, 0o666)
if shm >= 0: LIBC.shmctl(shm, 0, 0)
tell(shm >= 0, str(shm))
""",
    ),
    Attack(
        "a message queue",
        "leaks",
        "print(LIBC.syscall(240, b'left-@NONCE@', 0o102, 0o666, 0))",
        "usual",
        then="""
got = LIBC.syscall(240, b"left-@NONCE@", 2, 0, 0)
LIBC.syscall(241, b"left-@NONCE@")
tell(got >= 0, str(got))
""",
    ),
    Attack(
        "a key in the kernel's key ring",
        "leaks",
        """
key = LIBC.syscall(248, b"user", b"left-@NONCE@", b"secret", 6, ctypes.c_int(-4))
LIBC.syscall(250, 5, key, ctypes.c_uint(0x3f3f3f3f))
print(key)
""",
        "open nobody",
        then="""
LIBC.syscall(250, 8, ctypes.c_int(-4), ctypes.c_int(-3))
key = LIBC.syscall(250, 10, ctypes.c_int(-4), b"user", b"left-@NONCE@", 0)
tell(key >= 0, str(key))
""",
    ),
    Attack(
        "a host name of an earlier call",
        "leaks",
        "import socket\ntry: socket.sethostname('left-@NONCE@'[:20])\nexcept OSError: pass",
        "open",
        then="tell(os.uname().nodename == 'left-@NONCE@'[:20], os.uname().nodename)",
    ),
]

# The text that was planted stands as a pattern here, so that this program does not find itself.
_SEARCH = """
import re
needle = re.compile(b"p[l]anted-in-an-earlier-cal[l]")
def count():
    found = 0
    memory = open("/proc/self/mem", "rb", 0)
    for line in open("/proc/self/maps"):
        if " rw" not in line and " r-" not in line: continue
        if "[v" in line: continue
        begin, end = (int(x, 16) for x in line.split()[0].split("-"))
        try:
            memory.seek(begin)
            while begin < end:
                piece = memory.read(min(1 << 20, end - begin))
                found += len(needle.findall(piece))
                begin += len(piece)
                if not piece: break
        except (OSError, OverflowError, ValueError): continue
    return found
total = count()
tell(total, f"{total} times in memory")
"""

MEMORY = [
    Attack(
        "the code of an earlier call in memory",
        "leaks",
        "secret = 'planted-in-an-earlier-call' * 50\nprint(len(secret))",
        "zygote",
        then=_SEARCH,
    ),
    Attack(
        "the input of an earlier call in memory",
        "leaks",
        "import sys\n"
        "text = sys.stdin.read() + 'planted-' + 'in-an-earlier-call'\nkept = [text] * 3",
        "interpreter",
        then=_SEARCH,
        stdin="planted-in-an-earlier-call " * 1000,
    ),
    Attack(
        "random numbers that repeat",
        "leaks",
        "import random, tempfile\nprint(random.random(), random.getrandbits(64))",
        "zygote",
        then="import random, tempfile\nprint(random.random(), random.getrandbits(64))",
        holds=texts_differ,
    ),
    Attack(
        "the library, changed in memory",
        "leaks",
        "import builtins, json\njson.dumps = lambda *a: 'hooked'\nbuiltins.hooked = True",
        "interpreter",
        then="import builtins, json\n"
        "tell(hasattr(builtins, 'hooked') or json.dumps(1) == 'hooked')",
    ),
    Attack(
        "signals, mask and limits of the process",
        "leaks",
        """
import resource, signal
os.umask(0o777)
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_NOFILE, (40, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
os.environ["LEFT"] = "@NONCE@"
os.chdir("/tmp")
""",
        "interpreter",
        then="""
import resource, signal
left = [os.umask(0o22) == 0o777, signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN,
        "LEFT" in os.environ, resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 40,
        os.getcwd() == "/tmp"]
tell(any(left), str(left))
""",
    ),
    Attack(
        "the environment of the worker",
        "leaks",
        """
values = [v for v in os.environ.values() if "@SECRET@" in v]
for name in filter(str.isdigit, os.listdir("/proc")):
    try: text = open(f"/proc/{name}/environ", "rb").read()
    except OSError: continue
    if b"@SECRET@" in text: values.append("of " + name)
tell(values, f"{len(values)} times")
""",
        "usual",
    ),
]

CASES = [*FILES, *PROCESSES, *MEMORY]
