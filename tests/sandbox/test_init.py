"""What a hostile program can do to PID 1, to the channel and to the host: nothing. In real boxes.

Every attack runs as a tool would, in a box of each isolation. `sandbox/README.md` names these tests
beside each restriction.
"""

from dataclasses import dataclass

import pytest

from auxot_tools.ports import BoxLimits, Isolation
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.types import InputFile
from tests.support.engine import Ran, run_program

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Boxes:
    """Runs programs in boxes of one isolation."""

    sandbox: DockerSandbox
    isolation: Isolation

    async def program(
        self, *command: str, limits: BoxLimits | None = None, stdin: bytes = b"", code: str = ""
    ) -> Ran:
        files = [InputFile("main.py", code.encode())] if code else []
        return await run_program(
            self.sandbox,
            *command,
            limits=limits,
            stdin=stdin,
            work_files=files,
            isolation=self.isolation,
        )

    async def python(self, code: str, limits: BoxLimits | None = None, stdin: bytes = b"") -> Ran:
        return await self.program("python3", "main.py", code=code, limits=limits, stdin=stdin)


@pytest.fixture(params=["call", "warm", "session"])
def boxes(sandbox: DockerSandbox, request: pytest.FixtureRequest) -> Boxes:
    return Boxes(sandbox, request.param)


# Says of each attempt what the kernel answered: `name: ERRNO` or `name: done`.
ATTEMPTS = """
import ctypes, errno, os, platform
libc = ctypes.CDLL(None, use_errno=True)

def tell(name, action):
    try:
        result = action()
    except OSError as error:
        print(f"{name}: {errno.errorcode[error.errno]}")
    else:
        print(f"{name}: done" if result is None else f"{name}: {result}")

def syscall(number, *arguments):
    def call():
        if libc.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), "")
    return call
"""


async def attempts(boxes: Boxes, code: str) -> dict[str, str]:
    ran = await boxes.python(ATTEMPTS + code)
    assert ran.outcome.exit_code == 0, ran.stderr
    return dict(line.split(": ", 1) for line in ran.stdout.splitlines())


async def test_init_cannot_be_looked_into(boxes: Boxes) -> None:
    answers = await attempts(
        boxes,
        """
for name in ("mem", "environ", "maps", "fd/0", "fd/1", "root/", "cwd/", "auxv", "stack", "io"):
    tell(name, lambda: os.close(os.open("/proc/1/" + name, os.O_RDONLY)))
tell("fd list", lambda: os.listdir("/proc/1/fd"))
tell("exe link", lambda: os.readlink("/proc/1/exe"))
tell("write mem", lambda: os.close(os.open("/proc/1/mem", os.O_WRONLY)))
""",
    )
    assert set(answers.values()) <= {"EACCES", "EPERM"}, answers
    assert len(answers) == 13


async def test_an_exit_frame_cannot_be_forged(boxes: Boxes) -> None:
    code = """
import os, struct, sys
forged = struct.pack(">cI", b"x", 12) + b"exit 0 oom 0"
for path in ("/proc/1/fd/1", "/proc/1/fd/2", "/dev/stdout", "/dev/stderr", "/dev/console"):
    try:
        with open(path, "wb", 0) as file:
            file.write(forged)
    except OSError:
        pass
for fd in range(0, 256):
    if fd not in (0, 1, 2):
        try:
            os.write(fd, forged)
        except OSError:
            pass
sys.stdout.buffer.write(forged)
sys.exit(7)
"""
    ran = await boxes.python(code)
    assert ran.outcome.exit_code == 7
    assert "exit 0 oom 0" in ran.stdout  # as plain output, which it is


async def test_a_program_that_reads_and_fills_its_own_pipes_does_not_disturb_init(
    boxes: Boxes,
) -> None:
    code = """
import fcntl, os, signal, sys, time
F_SETPIPE_SZ, O_DIRECT = 1031, 0o40000
taken = os.open("/proc/self/fd/1", os.O_RDONLY | os.O_NONBLOCK)
given = os.open("/proc/self/fd/0", os.O_WRONLY | os.O_NONBLOCK)
children = []
for number in range(3):
    if (pid := os.fork()) == 0:
        while True:
            try:
                os.read(taken, 65536) if number else os.write(given, b"y" * 65536)
            except OSError:
                pass
    children.append(pid)
over_at = time.monotonic() + 3
while time.monotonic() < over_at:
    fcntl.fcntl(1, fcntl.F_SETFL, os.O_WRONLY | O_DIRECT)
    fcntl.fcntl(1, F_SETPIPE_SZ, 4096)
    fcntl.fcntl(2, F_SETPIPE_SZ, 1 << 20)
    for _ in range(1000):
        os.write(1, b"x")
sys.exit(7)
"""
    ran = await boxes.python(code, stdin=b"z" * 300_000)
    assert (ran.outcome.exit_code, ran.outcome.lost) == (7, ""), ran.stderr


async def test_only_its_own_three_descriptors_reach_the_program(boxes: Boxes) -> None:
    script = "ls /proc/self/fd | tr '\\n' ' '; readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2"
    ran = await boxes.program("bash", "-c", script)
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("0 1 2 3 pipe:"), lines  # 3 is what `ls` opened to look
    assert len(set(lines)) == 3
    assert all("pipe:[" in line for line in lines)


async def test_no_signal_reaches_init(boxes: Boxes) -> None:
    code = """
import ctypes, os, signal, struct
libc = ctypes.CDLL(None, use_errno=True)
for number in range(1, 65):
    try:
        os.kill(1, number)
    except OSError:
        pass
# A queued SIGTERM that claims to come from nobody: sender 0, as from outside, but not SI_USER.
info = struct.pack("=iiiiii", signal.SIGTERM, 0, -1, 0, 0, 0).ljust(128, b"\\0")
for _ in range(100):
    libc.syscall(129, 1, int(signal.SIGTERM), info)
print("init lives")
"""
    ran = await boxes.python(code)
    assert (ran.outcome.exit_code, ran.stdout) == (0, "init lives\n")


async def test_init_cannot_be_traced_limited_or_slowed_down(boxes: Boxes) -> None:
    answers = await attempts(
        boxes,
        """
PTRACE_ATTACH, PTRACE_SEIZE, RLIMIT_NOFILE = 16, 0x4206, 7
import resource, struct
zero = struct.pack("QQ", 0, 0)
tell("ptrace attach", syscall(101, PTRACE_ATTACH, 1, 0, 0))
tell("ptrace seize", syscall(101, PTRACE_SEIZE, 1, 0, 0))
tell("process_vm_readv", syscall(310, 1, 0, 0, 0, 0, 0))
tell("process_vm_writev", syscall(311, 1, 0, 0, 0, 0, 0))
tell("prlimit64", syscall(302, 1, RLIMIT_NOFILE, zero, 0))
tell("prlimit", lambda: resource.prlimit(1, RLIMIT_NOFILE, (0, 0)))
tell("setpriority", lambda: os.setpriority(os.PRIO_PROCESS, 1, 19))
tell("setpriority user", lambda: os.setpriority(os.PRIO_USER, 65534, 19))
tell("sched_setaffinity", lambda: os.sched_setaffinity(1, {0}))
tell("sched_setscheduler", lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)))
tell("ioprio_set", syscall(251, 1, 1, 0))
tell("kcmp", syscall(312, 1, os.getpid(), 0, 0, 0))
tell("pidfd_getfd", lambda: syscall(438, os.pidfd_open(1), 1, 0)())
tell("oom_score_adj", lambda: open("/proc/1/oom_score_adj", "w").write("1000"))
""",
    )
    assert set(answers.values()) <= {"EACCES", "EPERM"}, answers
    assert len(answers) == 14


async def test_there_is_no_network_in_any_family(boxes: Boxes) -> None:
    answers = await attempts(
        boxes,
        """
import socket
for family in range(0, 64):
    for kind in (1, 2, 3, 5):
        try:
            socket.socket(family, kind).close()
        except OSError as error:
            continue
        print(f"{family}/{kind}: open")
tell("vsock", lambda: socket.socket(40, 1).close())
tell("vsock seqpacket", lambda: socket.socket(40, 5).close())
tell("netlink", lambda: socket.socket(16, 3).close())
tell("alg", lambda: socket.socket(38, 5).close())
tell("packet", lambda: socket.socket(17, 3).close())
tell("raw", lambda: socket.socket(2, 3, 1).close())
tell("sctp", lambda: socket.socket(2, 1, 132).close())
tell("mptcp", lambda: socket.socket(2, 1, 262).close())
tell("tcp", lambda: socket.create_connection(("192.0.2.1", 80), 2))
tell("tcp v6", lambda: socket.create_connection(("2001:db8::1", 80), 2))
tell("udp", lambda: socket.socket(2, 2).close())
tell("udp v6", lambda: socket.socket(10, 2).close())
tell("loopback", lambda: socket.create_server(("127.0.0.1", 0)).close())
tell("interfaces", lambda: " ".join(os.listdir("/sys/class/net")))
""",
    )
    assert answers.pop("interfaces") == "lo"
    for family in ("1/1", "1/2", "1/3", "1/5"):  # AF_UNIX, in whatever kind
        assert answers.pop(family, "open") == "open"
    assert len(answers) == 13
    assert set(answers.values()) == {"EPERM"}, answers


async def test_the_host_s_network_namespace_is_not_shared(boxes: Boxes) -> None:
    first = await boxes.program("cat", "/proc/net/tcp", "/proc/net/route")
    assert len(first.stdout.splitlines()) <= 2  # the two headings
    sockets = (await boxes.program("cat", "/proc/net/unix")).stdout.splitlines()[1:]
    named = [line.split()[7] for line in sockets if len(line.split()) > 7]
    assert [name for name in named if not name.endswith("/run/s")] == []  # PID 1's own channel


async def test_dangerous_system_calls_are_refused(boxes: Boxes) -> None:
    answers = await attempts(
        boxes,
        """
assert platform.machine() == "x86_64"
calls = dict(
    io_uring_setup=425, io_uring_enter=426, io_uring_register=427, bpf=321, perf_event_open=298,
    userfaultfd=323, add_key=248, request_key=249, keyctl=250, mount=165, umount2=166,
    pivot_root=155, chroot=161, open_tree=428, move_mount=429, fsopen=430, fsconfig=431,
    fsmount=432, fspick=433, mount_setattr=442, unshare=272, setns=308, kexec_load=246,
    init_module=175, finit_module=313, delete_module=176, reboot=169, swapon=167, swapoff=168,
    sethostname=170, setdomainname=171, settimeofday=164, clock_settime=227, adjtimex=159,
    acct=163, quotactl=179, syslog=103, name_to_handle_at=303, open_by_handle_at=304,
    fanotify_init=300, iopl=172, ioperm=173, modify_ldt=154, move_pages=279, migrate_pages=256,
    mbind=237, process_madvise=440, memfd_secret=447, shmget=29, semget=64, msgget=68,
    mq_open=240, seccomp=317, lookup_dcookie=212, vhangup=153, sync=162,
    syncfs=306, uselib=134, vmsplice=278, splice=275, tee=276, nfsservctl=180, setuid=105,
    setgroups=116,
)
for name, number in calls.items():
    tell(name, syscall(number, 0, 0, 0, 0, 0, 0))
CLONE_NEWUSER, CLONE_NEWNET, SIGCHLD = 0x10000000, 0x40000000, 17
tell("clone newuser", syscall(56, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0))
tell("clone newnet", syscall(56, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0))
tell("setxattr", syscall(188, b"/tmp", b"user.x", b"1", 1, 0))
tell("personality", syscall(135, 0x0040000))
tell("device node", lambda: os.mknod("/tmp/null", 0o20666, os.makedev(1, 3)))
tell("white-out", lambda: os.mknod("/tmp/gone", 0o20000, 0))
""",
    )
    assert answers.pop("setxattr") in {"ENOTSUP", "EOPNOTSUPP"}
    assert set(answers.values()) == {"EPERM"}, {k: v for k, v in answers.items() if v != "EPERM"}
    assert len(answers) >= 68


async def test_clone3_is_absent_so_that_the_c_library_falls_back(boxes: Boxes) -> None:
    answers = await attempts(
        boxes,
        """
import threading
tell("clone3", syscall(435, 0, 0))
threads = [threading.Thread(target=lambda: None) for _ in range(8)]
tell("threads", lambda: [t.start() for t in threads] and None)
""",
    )
    assert answers == {"clone3": "ENOSYS", "threads": "done"}


async def test_32_bit_and_x32_system_calls_kill_the_caller(boxes: Boxes) -> None:
    code = """
import ctypes, mmap
# mov eax, 20 (getpid of i386); int 0x80; ret
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
print("calling", flush=True)
print(ctypes.CFUNCTYPE(ctypes.c_int)(address)())
"""
    ran = await boxes.python(code)
    assert ran.stdout == "calling\n"
    assert ran.outcome.signal in {31, 11}  # SIGSYS; SIGSEGV where the kernel has no 32-bit entry
    x32 = await boxes.python("import ctypes; print(ctypes.CDLL(None).syscall(0x40000000 + 39))")
    assert x32.outcome.signal == 31 or x32.stdout == "-1\n"


async def test_there_are_no_privileges_to_gain(boxes: Boxes) -> None:
    script = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups)' /proc/self/status | tr '\\t' ' '"
    ran = await boxes.program("bash", "-c", script)
    status = dict(line.split(": ", 1) for line in ran.stdout.splitlines())
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    (user,) = set(status["Uid"].split())
    assert set(status["Gid"].split()) == {user}
    assert int(user) == 65534 if boxes.isolation == "warm" else 63000 <= int(user) < 63512


async def test_nothing_outside_the_four_folders_can_be_written(boxes: Boxes) -> None:
    code = """
import os
written = []
for folder, _, _ in os.walk("/"):
    if folder.startswith("/proc"):
        continue
    try:
        path = os.path.join(folder, ".probe")
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        written.append(folder)
    except OSError:
        pass
print(" ".join(sorted(written)))
for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/dev/mem", "/dev/kmsg",
             "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max",
             "/usr/libexec/auxot/init.py", "/sys/devices/system/cpu/online", "/proc/meminfo"):
    try:
        os.close(os.open(path, os.O_WRONLY))
        print("opened", path)
    except OSError:
        pass
"""
    ran = await boxes.python(code)
    assert ran.stdout == "/dev/shm /tmp /tool /work\n", ran.stderr


async def test_files_are_bounded_in_number_too(boxes: Boxes) -> None:
    code = """
import errno
for folder in ("/tmp", "/work", "/dev/shm"):
    count = 0
    try:
        while True:
            open(f"{folder}/{count}", "w").close()
            count += 1
    except OSError as error:
        print(folder, errno.errorcode[error.errno], count < 1100)
"""
    ran = await boxes.python(code, BoxLimits(disk_inodes=500))
    assert ran.stdout == "/tmp ENOSPC True\n/work ENOSPC True\n/dev/shm ENOSPC True\n"


async def test_open_files_core_dumps_and_file_sizes_are_limited(boxes: Boxes) -> None:
    script = "ulimit -Hn; ulimit -Hc; ulimit -Hf; ulimit -n 9999 2>/dev/null || echo no"
    limits = BoxLimits(open_files=64, disk_bytes=8 * MIB)
    ran = await boxes.program("bash", "-c", script, limits=limits)
    assert ran.stdout.split() == ["64", "0", str(2 * 8 * 1024), "no"]


async def test_a_box_shows_nothing_of_the_host_or_the_worker(boxes: Boxes) -> None:
    script = (
        "hostname 2>/dev/null || cat /etc/hostname; cat /etc/apt/sources.list* 2>/dev/null; ls /tmp"
    )
    ran = await boxes.program("bash", "-c", script)
    assert ran.stdout == "sandbox\n"


async def test_one_call_leaves_nothing_to_the_next_but_in_a_session(boxes: Boxes) -> None:
    script = "for d in /tmp /work /dev/shm; do echo x > $d/left; done; (setsid sleep 99 &); echo ok"
    assert (await boxes.program("bash", "-c", script)).stdout == "ok\n"
    look = "ls -A /tmp /work /dev/shm | grep left; ls /proc | grep -c '^[0-9]'"
    ran = await boxes.program("bash", "-c", look)
    *left, count = ran.stdout.split()
    if boxes.isolation == "session":
        assert (left, int(count)) == (["left"] * 3, 7)  # and the sleeper
    else:
        assert left == []
        assert int(count) <= 6  # PID 1, zygote and keeper where they can be seen; bash, ls, grep
