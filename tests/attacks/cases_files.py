"""Attacks on the file system, /proc, /sys and devices."""

from tests.support.attack import Attack

_FINE = "REFUSALS | ABSENT"


def _open(
    name: str, weak: str | None, *paths: str, flags: str = "os.O_RDONLY", why: str = ""
) -> Attack:
    lines = [f'attempt("{path}", opens("{path}", {flags}), {_FINE})' for path in paths]
    return Attack(name, "files", "\n".join([*lines, "verdict()"]), weak, why_not_weak=why)


def _read(name: str, weak: str | None, *paths: str, why: str = "") -> Attack:
    """Broken when something can be read from one of the paths: a mask shows an empty file."""
    code = f"""
def some_of(path):
    if os.path.isdir(path):
        if not os.listdir(path): raise FileNotFoundError(errno.ENOENT, "")
        return None
    with open(path, "rb", 0) as file:
        if not file.read(64): raise FileNotFoundError(errno.ENOENT, "")
for path in {paths!r}:
    attempt(path, lambda: some_of(path), {_FINE})
verdict()
"""
    return Attack(name, "files", code, weak, why_not_weak=why)


_WRITE = "os.O_WRONLY"

WRITING = [
    Attack(
        "a new file anywhere outside of its folders",
        "files",
        """
own = ("/tmp", "/work", "/dev/shm", "/tool", "/proc", "/sys")
for folder, folders, _ in os.walk("/"):
    if folder.startswith(own):
        folders.clear()
        continue
    path = os.path.join(folder, ".probe")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.unlink(path)
        broken.append(folder)
    except OSError: pass
verdict()
""",
        "usual",
    ),
    _open("the system's programs", "usual", "/usr/bin/bash", "/usr/bin/env", flags=_WRITE),
    _open(
        "accounts and the loader's settings",
        "usual",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/ld.so.cache",
        flags=_WRITE,
    ),
    Attack(
        "the code of init",
        "files",
        """
for folder, _, names in os.walk("/usr/libexec/auxot"):
    for name in names:
        attempt(name, opens(os.path.join(folder, name), os.O_WRONLY), REFUSALS | ABSENT)
attempt("new", opens("/usr/libexec/auxot/x.py", os.O_WRONLY | os.O_CREAT), REFUSALS | ABSENT)
verdict()
""",
        "usual",
    ),
    Attack(
        "the library that every Python loads",
        "files",
        "path = os.path.dirname(os.__file__)\n"
        'attempt("os.py", opens(path + "/os.py", os.O_WRONLY), REFUSALS | ABSENT)\n'
        'attempt("cache", opens(path + "/__pycache__/x", os.O_WRONLY | os.O_CREAT), '
        "REFUSALS | ABSENT)\nverdict()",
        "usual",
    ),
    _open(
        "settings of the kernel",
        "open",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/kernel/ns_last_pid",
        flags=_WRITE,
    ),
    _open(
        "interrupts' settings",
        "open",
        "/proc/irq/default_smp_affinity",
        flags=_WRITE,
    ),
    _open(
        "the magic keys of the kernel",
        None,
        "/proc/sysrq-trigger",
        flags=_WRITE,
        why="this kernel is built without them",
    ),
    Attack(
        "making the root writable",
        "files",
        'attempt("remount", lambda: syscall(165, b"none", b"/", b"", 0x20, 0))\n'
        'attempt("bind", lambda: syscall(165, b"/tmp", b"/mnt", b"", 0x1000, 0))\nverdict()',
        "open",
    ),
    Attack(
        "control groups",
        "files",
        """
for folder, _, names in os.walk("/sys/fs/cgroup"):
    for name in names:
        if name in ("memory.max", "memory.limit_in_bytes", "pids.max", "cgroup.procs", "tasks",
                    "release_agent", "cpu.max", "cpu.cfs_quota_us", "freezer.state"):
            path = os.path.join(folder, name)
            attempt(path, opens(path, os.O_WRONLY), REFUSALS | ABSENT)
attempt("new group", lambda: os.mkdir("/sys/fs/cgroup/memory/attack"), REFUSALS | ABSENT)
attempt("mount", lambda: syscall(165, b"none", b"/mnt", b"cgroup", 0, b"memory"))
LIBC.umount2(b"/mnt", 2)
verdict()
""",
        "open",
    ),
    _open(
        "switches in /sys",
        "open",
        "/sys/kernel/mm/ksm/run",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/kernel/uevent_helper",
        "/sys/power/state",
        flags=_WRITE,
    ),
]

READING = [
    _read("the kernel's timers", "open", "/proc/timer_list"),
    _read(
        "a picture of the kernel's memory",
        None,
        "/proc/kcore",
        "/dev/mem",
        "/dev/port",
        why="this kernel is built without them",
    ),
    _read("page counts of the machine", "open", "/proc/kpagecount", "/proc/kpageflags"),
    _read("the kernel's allocations", "open", "/proc/slabinfo", "/proc/vmallocinfo"),
    _read("the firmware's tables", "open", "/sys/firmware"),
    _read("the kernel's log", None, "/proc/kmsg", why="the weak set-up's reader would wait for it"),
    Attack(
        "the kernel's log by a system call",
        "files",
        "buffer = ctypes.create_string_buffer(64)\n"
        'attempt("syslog", lambda: syscall(103, 3, buffer, 64))\nverdict()',
        "open",
    ),
    Attack(
        "keys of others in /proc/keys",
        "files",
        """
LIBC.syscall(248, b"user", b"attack", b"1", 1, ctypes.c_int(-2))
try: text = open("/proc/keys").read()
except OSError: text = ""
tell(text.strip(), f"{len(text)} characters")
""",
        "open",
    ),
    Attack(
        "the disks of the host",
        "files",
        """
import stat
for line in open("/proc/partitions").read().split("\\n")[2:]:
    if line:
        major, minor, _, name = line.split()
        path = "/tmp/disk-" + name
        number = os.makedev(int(major), int(minor))
        attempt(name, lambda: os.mknod(path, stat.S_IFBLK | 0o600, number))
        attempt("open " + name, opens("/dev/" + name), REFUSALS | ABSENT)
        if os.path.exists(path):
            attempt("own " + name, lambda: os.read(os.open(path, os.O_RDONLY), 16))
            os.unlink(path)
verdict()
""",
        "usual",
    ),
    Attack(
        "devices of the host",
        "files",
        """
import stat
for name in ("kvm", "fuse", "net/tun", "vhost-vsock", "vsock", "loop-control", "mapper/control",
             "snapshot", "autofs", "rfkill", "uinput", "btrfs-control", "cpu/0/msr"):
    attempt(name, opens("/dev/" + name, os.O_RDWR), REFUSALS | ABSENT)
for name, major, minor in (("kmsg", 1, 11), ("kvm", 10, 232), ("null", 1, 3), ("fuse", 10, 229)):
    path = "/dev/shm/" + name
    attempt("make " + name, lambda: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(major, minor)))
    if os.path.exists(path): os.unlink(path)
verdict()
""",
        "usual",
    ),
    Attack(
        "a white-out, which hides files from whoever copies them",
        "files",
        'attempt("in /tmp", lambda: os.mknod("/tmp/gone", 0o20000, 0))\n'
        'attempt("in memory", lambda: os.mknod("/dev/shm/gone", 0o20000, 0))\nverdict()',
        "nobody",
    ),
    Attack(
        "files of the host by their number",
        "files",
        """
class Handle(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint), ("kind", ctypes.c_int), ("id", ctypes.c_ubyte * 128)]
# The root folder of ext4 is inode 2. /etc/hosts is a mount of the host's own disk.
handle = Handle(8, 1)
handle.id[0] = 2
for path in ("/etc/hosts", "/etc/resolv.conf", "/"):
    fd = os.open(path, os.O_RDONLY)
    attempt(path, lambda: syscall(304, fd, ctypes.byref(handle), os.O_RDONLY),
            REFUSALS | {errno.ESTALE, errno.EOPNOTSUPP})
verdict()
""",
        "open",
    ),
    Attack(
        "a number for a file",
        "files",
        """
class Handle(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint), ("kind", ctypes.c_int), ("id", ctypes.c_ubyte * 128)]
handle, mount = Handle(128), (ctypes.c_int * 1)()
attempt("hosts", lambda: syscall(303, -100, b"/etc/hosts", ctypes.byref(handle), mount, 0))
verdict()
""",
        "open",
    ),
    Attack(
        "a file of the host by its path",
        "files",
        'attempt("canary", opens("@CANARY_DIR@/canary"), REFUSALS | ABSENT)\n'
        'attempt("through init", opens("/proc/1/root@CANARY_DIR@/canary"), REFUSALS | ABSENT)\n'
        'attempt("above", opens("/../../../..@CANARY_DIR@/canary"), REFUSALS | ABSENT)\nverdict()',
        "host files",
    ),
    Attack(
        "the engine's socket",
        "files",
        """
import socket
s = socket.socket(socket.AF_UNIX)
for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
             "/run/podman/podman.sock"):
    attempt(path, lambda: s.connect(path), REFUSALS | ABSENT)
verdict()
""",
        "host files",
    ),
    Attack(
        "the folders of the engine that the list of mounts names",
        "files",
        """
import re
text = open("/proc/self/mountinfo").read()
paths = set(re.findall(r"(?:upperdir|workdir)=([^,\\s]+)", text)) | {"/var/lib/docker"}
for path in paths:
    attempt(path, lambda: os.listdir(path) and None, REFUSALS | ABSENT)
attempt("@CANARY_DIR@", lambda: os.listdir("@CANARY_DIR@") and None, REFUSALS | ABSENT)
verdict()
""",
        "host files",
    ),
    Attack(
        "processes of the host",
        "files",
        """
seen = []
for name in filter(str.isdigit, os.listdir("/proc")):
    try: line = open(f"/proc/{name}/cmdline", "rb").read()
    except OSError: continue
    if os.path.basename(line.split(b"\\0")[0]) in (b"dockerd", b"containerd"): seen.append(name)
tell(seen, f"{len(seen)} of the host")
""",
        "host processes",
    ),
]

CASES = [*WRITING, *READING]
