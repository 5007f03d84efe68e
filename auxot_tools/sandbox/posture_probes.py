"""What `check_posture` tries in a box: programs, as text, and the limits they are tried under.

One job: data. A probe tries what a hostile program would, with arguments that can do no harm on a
host where it succeeds: nothing here grows beyond 256 MB, 400 processes or 24 MB of files. It must
not know how a program is run.

A probe's code calls `attempt(name, action)` for what must be refused, or `found(text)` for what
must not be; it runs in a process of its own.
"""

from dataclasses import dataclass

from auxot_tools.ports import BoxLimits

MIB = 2**20
LIMITS = BoxLimits(
    timeout_s=20.0,
    memory_bytes=128 * MIB,
    cpus=1.0,
    pids=48,
    open_files=64,
    disk_bytes=8 * MIB,
    disk_inodes=512,
    shm_bytes=2 * MIB,
    output_stop_bytes=MIB,
)


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that must not be possible; ``code`` is Python, run in the box."""

    name: str
    code: str


# Runs every probe in a child of its own and prints one JSON line for each: name, what got through.
HARNESS = '''
import ctypes, errno, json, os, select, signal, sys
LIBC = ctypes.CDLL(None, use_errno=True)
REFUSALS = {errno.EPERM, errno.EACCES, errno.ENOSYS}
ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.EROFS, errno.ESRCH}
got = []

def found(text):
    got.append(str(text))

def syscall(number, *arguments):
    result = LIBC.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result

def attempt(name, action, fine=REFUSALS | ABSENT):
    try:
        action()
    except OSError as error:
        if error.errno not in fine:
            found(f"{name}: {errno.errorcode.get(error.errno, error.errno)}")
    else:
        found(f"{name}: done")

def opens(path, flags=os.O_RDONLY):
    return lambda: os.close(os.open(path, flags))

def one(code):
    """What got through, or None when the probe did not come to an end within 10 s."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            exec(code, globals())
        except BaseException as error:
            if not got: os._exit(1)
        os.write(theirs, b"=" + "; ".join(got)[:2000].encode())
        os._exit(0)
    os.close(theirs)
    said = b""
    while select.select([ours], [], [], 10)[0] and (piece := os.read(ours, 4096)):
        said += piece
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ours)
    return said[1:].decode() if said else None

for name, code in json.loads(sys.stdin.read()):
    print(json.dumps([name, one(code)]), flush=True)
'''


def _calls(*calls: str) -> str:
    return "\n".join(
        f"attempt({call.split(',')[0]!r}, lambda: syscall({call}), REFUSALS)" for call in calls
    )


_OTHERS = """
for pid in {1, *(int(n) for n in os.listdir("/proc") if n.isdigit())} - {os.getpid(), os.getppid()}:
"""

# Numbers of system calls are those of x86-64. `machine` leaves the probe out elsewhere.
_X86 = "if os.uname().machine == 'x86_64':\n"


def _x86(code: str) -> str:
    return _X86 + "".join(f"    {line}\n" for line in code.splitlines())


PROBES: tuple[Probe, ...] = (
    Probe(
        "no sockets but unix ones",
        "import socket\n"
        "fine = REFUSALS | {errno.EAFNOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EPROTONOSUPPORT,"
        " errno.EINVAL}\n"
        "for family in range(2, 64):\n"
        "    for kind in (1, 2, 3, 5):\n"
        "        attempt(f'{family}/{kind}', lambda: socket.socket(family, kind).close(), fine)",
    ),
    Probe(
        "no interface but loopback",
        "names = {line.split(':')[0].strip() for line in open('/proc/net/dev') if ':' in line}\n"
        "names - {'lo'} and found(names)",
    ),
    Probe(
        "nothing to be written outside of /work, /tmp and /dev/shm",
        "own = ('/tmp', '/work', '/dev/shm', '/tool', '/proc', '/sys')\n"
        "for folder, inner, _ in os.walk('/'):\n"
        "    if folder.startswith(own): inner.clear(); continue\n"
        "    path = os.path.join(folder, '.probe')\n"
        "    try: os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)); os.unlink(path)\n"
        "    except OSError: continue\n"
        "    found(folder)",
    ),
    Probe(
        "no settings of the kernel",
        "for path in ('/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe',"
        " '/proc/sysrq-trigger', '/sys/kernel/uevent_helper', '/proc/irq/default_smp_affinity'):\n"
        "    attempt(path, opens(path, os.O_WRONLY))",
    ),
    Probe(
        "no control groups",
        "for folder, _, names in os.walk('/sys/fs/cgroup'):\n"
        "    for name in {'memory.max', 'memory.limit_in_bytes', 'pids.max', 'cgroup.procs',"
        " 'release_agent'} & set(names):\n"
        "        attempt(name, opens(os.path.join(folder, name), os.O_WRONLY))\n"
        "def mount(kind, options):\n"
        "    if LIBC.mount(b'none', b'/mnt', kind, 0, options): raise OSError("
        "ctypes.get_errno(), '')\n"
        "    LIBC.umount2(b'/mnt', 2)\n"
        "attempt('v1', lambda: mount(b'cgroup', b'memory'), REFUSALS)\n"
        "attempt('v2', lambda: mount(b'cgroup2', None), REFUSALS)",
    ),
    Probe(
        "nothing to be read of the kernel's inside",
        "for path in ('/proc/kcore', '/proc/timer_list', '/proc/keys', '/sys/firmware',"
        " '/proc/kpagecount', '/proc/slabinfo', '/dev/mem'):\n"
        "    try: got_some = os.listdir(path) if os.path.isdir(path) else"
        " open(path, 'rb', 0).read(64)\n"
        "    except OSError: continue\n"
        "    got_some and found(path)",
    ),
    Probe(
        "no devices",
        "for name in ('kvm', 'fuse', 'net/tun', 'vsock', 'vhost-vsock', 'kmsg', 'loop-control'):\n"
        "    attempt(name, opens('/dev/' + name, os.O_RDWR))\n"
        "for number in ((0, 0), (1, 3), (1, 11)):\n"
        "    attempt(f'node {number}', lambda: os.mknod('/dev/shm/node', 0o20600,"
        " os.makedev(*number)))",
    ),
    Probe(
        "no socket of an engine",
        "import socket\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "for path in ('/run/docker.sock', '/var/run/docker.sock', '/run/auxot/s',"
        " '/run/containerd/containerd.sock', '/run/podman/podman.sock'):\n"
        "    attempt(path, lambda: s.connect(path), REFUSALS | ABSENT | {errno.ECONNREFUSED})",
    ),
    Probe(
        "no process of the host",
        "for name in filter(str.isdigit, os.listdir('/proc')):\n"
        "    try: first = open(f'/proc/{name}/cmdline', 'rb').read().split(b'\\0')[0]\n"
        "    except OSError: continue\n"
        "    os.path.basename(first) in (b'dockerd', b'containerd', b'systemd') and found(first)",
    ),
    Probe(
        "no capabilities and no other user",
        "for line in open('/proc/self/status'):\n"
        "    name, _, value = line.partition(':')\n"
        "    name in ('CapEff', 'CapPrm', 'CapInh', 'CapAmb') and int(value, 16) and found(line)\n"
        "attempt('root', lambda: os.setuid(0), REFUSALS | {errno.EINVAL})\n"
        "attempt('another', lambda: os.setuid(os.getuid() + 1), REFUSALS | {errno.EINVAL})\n"
        "LIBC.prctl(39, 0, 0, 0, 0) != 1 and found('new privileges by setuid programs')",
    ),
    Probe(
        "no new namespaces",
        _x86(
            "NEWUSER, SIGCHLD = 0x10000000, 17\n"
            "def clone():\n"
            "    pid = LIBC.syscall(56, NEWUSER | SIGCHLD, 0, 0, 0, 0)\n"
            "    if pid == 0: os._exit(0)\n"
            "    if pid < 0: raise OSError(ctypes.get_errno(), '')\n"
            "    os.waitpid(pid, 0)\n"
            "attempt('clone', clone, REFUSALS)\n"
            + _calls("272, NEWUSER", "435, 0, 0", "308, os.pidfd_open(os.getpid()), NEWUSER")
        ),
    ),
    Probe(
        "no mounts",
        _x86(
            _calls(
                "165, b'none', b'/mnt', b'tmpfs', 0, 0",
                "166, b'/none', 2",
                "155, b'/none', b'/none'",
                "161, b'/none'",
                "428, -100, b'/none', 0",
                "430, b'none', 0",
            )
        ),
    ),
    Probe(
        "no io_uring, BPF, performance counters, user faults or keys",
        _x86(
            _calls(
                "425, 0, 0",
                "321, 0, 0, 0",
                "298, 0, 0, -1, -1, 0",
                "323, 0xffff",
                "248, 0, 0, 0, 0, 0",
                "250, 0, -3, 0",
            )
        ),
    ),
    Probe(
        "no modules, other kernels, clocks or logs",
        _x86(
            _calls(
                "175, 0, 0, 0",
                "246, 0, 0, 0, 0xdead",
                "169, 0, 0, 0, 0",
                "227, 0, b'\\0' * 8 + b'\\xff' * 8",
                "103, 10, 0, 0",
                "304, -1, 0, 0",
            )
        ),
    ),
    Probe(
        "no tracing, not even of a child",
        _x86(
            "import time\n"
            "child = os.fork()\n"
            "if child == 0: time.sleep(5); os._exit(0)\n"
            + _calls(
                "101, 0x4206, child, 0, 0",
                "310, child, 0, 0, 0, 0, 0",
                "311, child, 0, 0, 0, 0, 0",
                "312, child, child, 0, 0, 0",
                "438, os.pidfd_open(child), 0, 0",
            )
            + "\nos.kill(child, 9)\nos.waitpid(child, 0)"
        ),
    ),
    Probe(
        "no 32-bit system calls",
        _x86(
            "import mmap\n"
            "if os.fork() == 0:\n"
            "    code = mmap.mmap(-1, 4096, prot=7)\n"
            "    code.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))\n"
            "    at = ctypes.addressof(ctypes.c_char.from_buffer(code))\n"
            "    os._exit(0 if ctypes.CFUNCTYPE(ctypes.c_int)(at)() == os.getpid() else 1)\n"
            "os.wait()[1] == 0 and found('getpid')"
        ),
    ),
    Probe(
        "no way to see or touch PID 1",
        _OTHERS + "    for name in ('environ', 'mem', 'maps', 'fd/0', 'fd/1', 'root/', 'cwd/'):\n"
        "        attempt(f'{pid} {name}', opens(f'/proc/{pid}/{name}'))\n"
        "    attempt(f'{pid} fd', lambda: os.listdir(f'/proc/{pid}/fd'))\n"
        "    attempt(f'{pid} mem', opens(f'/proc/{pid}/mem', os.O_WRONLY))",
    ),
    Probe(
        "no limits or priorities for PID 1",
        # Each is set to what it is already: no harm where it succeeds.
        "from resource import RLIMIT_CORE, prlimit\n"
        "def same_limit(pid): prlimit(pid, RLIMIT_CORE, prlimit(pid, RLIMIT_CORE))\n"
        "def same_priority(pid): os.setpriority(0, pid, os.getpriority(0, pid))\n"
        "def same_cpus(pid): os.sched_setaffinity(pid, os.sched_getaffinity(pid))\n"
        + _OTHERS
        + "    for change in (same_limit, same_priority, same_cpus):\n"
        "        attempt(f'{pid} {change.__name__}', lambda: change(pid))",
    ),
    Probe(
        "files bounded in bytes",
        "for folder in ('/tmp', '/work', '/dev/shm'):\n"
        "    path, total = folder + '/filled', 0\n"
        "    try:\n"
        "        with open(path, 'wb', 0) as file:\n"
        "            while total < 24 << 20: total += file.write(b'x' * (1 << 20))\n"
        "        found(folder)\n"
        "    except OSError: pass\n"
        "    finally: os.path.exists(path) and os.unlink(path)",
    ),
    Probe(
        "files bounded in number",
        "for folder in ('/tmp', '/work', '/dev/shm'):\n"
        "    made = []\n"
        "    try:\n"
        "        for number in range(3000):\n"
        "            path = f'{folder}/n{number}'\n"
        "            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))\n"
        "            made.append(path)\n"
        "        found(folder)\n"
        "    except OSError: pass\n"
        "    finally: [os.unlink(path) for path in made]",
    ),
    Probe(
        "processes and descriptors bounded in number",
        "import time\n"
        "made = []\n"
        "try:\n"
        "    for _ in range(400):\n"
        "        pid = os.fork()\n"
        "        if pid == 0: time.sleep(5); os._exit(0)\n"
        "        made.append(pid)\n"
        "    found('400 processes')\n"
        "except OSError: pass\n"
        "for pid in made: os.kill(pid, 9); os.waitpid(pid, 0)\n"
        "kept = []\n"
        "try:\n"
        "    for _ in range(2000): kept.append(os.open('/dev/null', os.O_RDONLY))\n"
        "    found('2000 descriptors')\n"
        "except OSError: [os.close(fd) for fd in kept]",
    ),
)
