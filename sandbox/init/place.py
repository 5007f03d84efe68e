"""Where a call runs: in namespaces of its own, or under a user of its own.

One job: the two forms of a place, behind one set of names. `flags` are for the keeper's clone;
`enter` and `drop` are the program's part: make the place, then give up all that it took; `retire`
is what the keeper gives up; `sweep` is how it ends what a program left, and becomes no more than
the program was. It knows nothing of channels, requests or programs. Standard library only.
"""

import os
import signal

from kernel import (
    become_subreaper,
    compile_filter,
    drop_bounding_set,
    install_filter,
    keep_capabilities,
    mount,
    prepare_mount,
    set_dumpable,
)

NEW_NAMESPACES = 0x20000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
KEEPER_UID = 63512  # beyond the users of programs
RELAY_UID = 63513
# Where there is TCP, the program's only connections are those to the relay, which are counted: the
# kernel does not charge their buffers to the box under cgroup v1.
NO_SERVERS = ("bind", "listen")
OUR_CALLS = ("mount", "umount2", "unshare", "capset")  # what makes a place in namespaces
INNER_UID = 65534  # "nobody": what the user of a namespace is called inside

CPU_FOLDER = "/sys/devices/system/cpu"  # a small tmpfs that the engine mounts for us
OURS = f"{CPU_FOLDER}/auxot"  # what is bound over other files in a namespace
TOOL_BYTES, TOOL_INODES = 16 << 20, 256  # a tool's own files: source text, not data
SHM_INODES = 1024
# What the engine masks in every container, and what it makes read-only.
MASKED_FILES = ("/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
                "/proc/timer_list", "/proc/timer_stats")  # fmt: skip
MASKED_FOLDERS = ("/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware",
                  "/sys/devices/virtual/powercap")  # fmt: skip
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def write_machine_facts(box):
    """Files that show a program the processors and memory it has, not the machine's."""
    count = whole_cpus(box)
    listed = "0" if count == 1 else f"0-{count - 1}"
    os.mkdir(OURS, 0o755)
    os.mkdir(f"{OURS}/empty", 0o555)
    facts = {f"{CPU_FOLDER}/{name}": f"{listed}\n" for name in ("online", "possible", "present")}
    kib = box["memory_bytes"] // 1024
    facts[f"{OURS}/meminfo"] = "".join(
        f"{name + ':':16}{value:8} kB\n"
        for name, value in (("MemTotal", kib), ("MemFree", kib), ("MemAvailable", kib),
                            ("Buffers", 0), ("Cached", 0), ("SwapTotal", 0), ("SwapFree", 0))
    )  # fmt: skip
    with open("/proc/cpuinfo") as file:
        facts[f"{OURS}/cpuinfo"] = "\n\n".join(file.read().split("\n\n")[:count]) + "\n\n"
    for path, text in facts.items():
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o444)


def whole_cpus(box):
    """How many processors a program may see: the limit rounded up, at most what there are."""
    return max(1, min(-int(-box["cpus"] // 1), len(os.sched_getaffinity(0))))


class UserPlace:
    """Another user than PID 1's, who owns nothing but what the container gave it."""

    flags = 0

    def __init__(self, box):
        self.uid = box["uid"]
        self.filter = compile_filter(NO_SERVERS) if "proxy_port" in box else None

    def enter(self):
        """There is nothing to make: the engine has."""

    def drop(self):
        become_user(self.uid)
        if self.filter is not None:
            install_filter(self.filter)

    def retire(self):
        """The keeper stays root, so that the program cannot reach it, and able to change user."""
        become_subreaper()

    def borrow(self):
        """Act as the program's user, and stay out of its reach: our real user is another one.

        So we may signal its processes and read its files, and they may not signal us.
        """
        os.setgroups([])
        os.setresgid(self.uid, self.uid, self.uid)
        os.setresuid(KEEPER_UID, self.uid, KEEPER_UID)

    def sweep(self):
        """Kill every process of the program's user at once: as that user we can reach no other."""
        self.borrow()
        kill_all()


class NamespacePlace:
    """New user, pid, mount, ipc, net and uts namespaces; the keeper is their PID 1."""

    flags = NEW_NAMESPACES

    def __init__(self, box):
        self.uid = os.getuid()
        self.filter = compile_filter(OUR_CALLS)
        quiet = MS_NOSUID | MS_NODEV
        disk = b"size=%d,nr_inodes=%d" % (box["disk_bytes"], box["disk_inodes"])
        shm = b"size=%d,nr_inodes=%d,mode=1777" % (box["shm_bytes"], SHM_INODES)
        tool = b"size=%d,nr_inodes=%d,mode=755" % (TOOL_BYTES, TOOL_INODES)
        empty, null = f"{OURS}/empty".encode(), b"/dev/null"
        again = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
        mounts = [
            (None, b"/", None, MS_REC | MS_PRIVATE),
            # First read-only, then bound elsewhere: a bind takes the flag along.
            (None, CPU_FOLDER.encode(), None, again),
            (b"tmpfs", b"/tmp", b"tmpfs", quiet, disk + b",mode=1777"),
            (b"tmpfs", b"/work", b"tmpfs", quiet, disk + b",mode=755"),
            (b"tmpfs", b"/tool", b"tmpfs", quiet, tool),
            (b"tmpfs", b"/dev/shm", b"tmpfs", quiet | MS_NOEXEC, shm),
            (empty, b"/run/auxot", None, MS_BIND),
            (b"proc", b"/proc", b"proc", quiet | MS_NOEXEC),
            (f"{OURS}/meminfo".encode(), b"/proc/meminfo", None, MS_BIND),
            (f"{OURS}/cpuinfo".encode(), b"/proc/cpuinfo", None, MS_BIND),
        ]
        for cover, paths in ((null, MASKED_FILES), (empty, MASKED_FOLDERS)):
            there = filter(os.path.exists, paths)
            mounts += [(cover, path.encode(), None, MS_BIND) for path in there]
        for path in filter(os.path.exists, READ_ONLY):
            name = path.encode()
            mounts.append((name, name, None, MS_BIND | MS_REC))
            mounts.append((None, name, None, again))
        self.mounts = [prepare_mount(*entry) for entry in mounts]
        self.mapping = b"%d %d 1" % (INNER_UID, self.uid)

    def enter(self):
        set_dumpable(1)  # or our own /proc/self would be root's
        write("/proc/self/setgroups", b"deny")
        write("/proc/self/uid_map", self.mapping)
        write("/proc/self/gid_map", self.mapping)
        set_dumpable(0)
        for arguments in self.mounts:
            mount(arguments)

    def drop(self):
        drop_bounding_set()
        keep_capabilities()
        install_filter(self.filter)

    def retire(self):
        self.drop()

    def borrow(self):
        """The keeper is this user already, and out of reach as PID 1 of the namespace."""

    def sweep(self):
        """The keeper has no rights left, and as PID 1 it outlives this."""
        kill_all()


FORMS = {"uid": UserPlace, "ns": NamespacePlace}


def become_user(uid):
    """Give up root, and with it every capability."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def write(path, data):
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, data)
    os.close(fd)


def kill_all():
    """Kill every process that we may signal, in one system call that no fork can outrun."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nobody is left
