"""Attacks by system calls: privileges, namespaces, and what reaches deep into the kernel.

A call counts as refused when the kernel answers EPERM, EACCES or ENOSYS. Any other answer, such as
EINVAL, shows that it was taken, so most are tried with arguments that can do no harm anywhere.
"""

from tests.support.attack import Attack, Ends

_FLAGS = "NEWUSER, NEWNS, NEWNET, SIGCHLD = 0x10000000, 0x00020000, 0x40000000, 17\n"


def _call(name: str, weak: str | None, *calls: str, before: str = "", why: str = "") -> Attack:
    lines = [f'attempt("{name}", lambda: syscall({call}))' for call in calls]
    code = "\n".join([_FLAGS + before, *lines, "verdict()"])
    return Attack(name, "privileges", code, weak, why_not_weak=why)


_NOT_BUILT = "this kernel is built without it"

NAMESPACES = [
    _call("unshare a user namespace", "open nobody", "272, NEWUSER"),
    _call("unshare a mount namespace", "open", "272, NEWNS"),
    _call("unshare a network namespace", "open", "272, NEWNET"),
    Attack(
        "clone into a user namespace",
        "privileges",
        _FLAGS
        + """
def clone():
    pid = LIBC.syscall(56, NEWUSER | SIGCHLD, 0, 0, 0, 0)
    if pid == 0: os._exit(0)
    if pid < 0: raise OSError(ctypes.get_errno(), "")
    os.waitpid(pid, 0)
attempt("clone", clone)
verdict()
""",
        "open nobody",
    ),
    Attack(
        "clone3 into a user namespace",
        "privileges",
        _FLAGS
        + """
arguments = (ctypes.c_uint64 * 8)(NEWUSER, 0, 0, 0, SIGCHLD)
def clone3():
    pid = LIBC.syscall(435, arguments, 64)
    if pid == 0: os._exit(0)
    if pid < 0: raise OSError(ctypes.get_errno(), "")
    os.waitpid(pid, 0)
attempt("clone3", clone3)
verdict()
""",
        "open nobody",
    ),
    Attack(
        "all capabilities in a namespace of its own",
        "privileges",
        "unshare --user --map-root-user --mount --net --pid --fork true 2>/dev/null "
        "&& echo BROKE || echo HELD",
        "open nobody",
        language="bash",
    ),
    Attack(
        "enter the namespaces of another process",
        "privileges",
        """
for name in ("mnt", "net", "pid", "user", "ipc", "uts"):
    def enter():
        fd = os.open(f"/proc/1/ns/{name}", os.O_RDONLY)
        syscall(308, fd, 0)
    attempt(name, enter, REFUSALS | ABSENT)
attempt("a pid", lambda: syscall(308, os.pidfd_open(1), 0x40000000))
verdict()
""",
        "open",
    ),
    _call("mount a file system", "open", '165, b"none", b"/mnt", b"tmpfs", 0, 0'),
    _call("unmount", "open", '166, b"/dev/shm", 2'),
    _call("pivot_root", "open", '155, b"/none", b"/none"'),
    Attack(
        "chroot, and out of it",
        "privileges",
        'attempt("chroot", lambda: os.chroot("/tmp"))\nverdict()',
        "usual",
    ),
    _call(
        "the new mount calls",
        "open",
        '430, b"tmpfs", 0',
        '428, -100, b"/", 1',
        '433, -100, b"/", 0',
        '429, -1, b"", -1, b"", 0',
        '442, -1, b"", 0, 0, 0',
    ),
]

KERNEL = [
    _call("io_uring", "open nobody", "425, 1, (ctypes.c_char * 120)()"),
    _call("BPF", "open", "321, 0, 0, 0"),
    _call("performance counters", "open", "298, (ctypes.c_char * 120)(), 0, -1, -1, 0"),
    _call("page faults in user space", "open", "323, 0", "323, 1"),
    _call("the kernel's key ring", "open nobody", '248, b"user", b"x", b"y", 1, ctypes.c_int(-2)'),
    _call("the session's key ring", "open nobody", "250, 0, ctypes.c_int(-3), 1"),
    _call(
        "kernel modules", None, "175, 0, 0, 0", '313, -1, b"", 0', '176, b"x", 0', why=_NOT_BUILT
    ),
    _call(
        "another kernel", None, "246, 0, 0, 0, 0xdead", "320, -1, -1, 0, 0, 0xdead", why=_NOT_BUILT
    ),
    _call("reboot", "open", "169, 0, 0, 0, 0"),
    _call("the clock", "open", '227, 0, b"\\0" * 8 + b"\\xff" * 8', "159, (ctypes.c_char * 256)()"),
    _call("the host name", "open", '170, b"attack", 6'),
    _call("swap and accounting", "open", '167, b"/none", 0', '163, b"/none"'),
    _call("quotas", "open", "179, ctypes.c_uint(0x80000100), 0, 0, 0"),
    _call("watching all files", "open", "300, 0, 0"),
    _call("ports of the machine", None, "172, 3", "173, 0, 1, 1", why=_NOT_BUILT),
    _call("segments of the processor", "open nobody", "154, 0, (ctypes.c_char * 64)(), 64"),
    _call("secret memory", "open nobody", "447, 0"),
    _call("pages of others", "open", "279, 1, 0, 0, 0, 0, 0", "256, 1, 0, 0, 0"),
    _call("advice on the memory of others", "open", "440, os.pidfd_open(1), 0, 0, 20, 0"),
    _call("pages into a pipe", "open nobody", "278, 1, 0, 0, 0", "275, -1, 0, -1, 0, 0, 0"),
    _call("shared memory of System V", "open nobody", "29, 0, 4096, 0o1600"),
    _call("semaphores of System V", "open nobody", "64, 0, 1, 0o1600"),
    _call("messages of System V", "open nobody", "68, 0, 0o1600"),
    _call("writing out the host's disks", "open nobody", "306, os.open('/', os.O_RDONLY)"),
    _call(
        "a personality without protections",
        "open nobody",
        "135, 0x0040000",
        "135, 0x0400000",
    ),
    Attack(
        "the 32-bit way into the kernel",
        "privileges",
        """
import mmap
if os.fork() == 0:
    # mov eax, 20 (getpid of i386); int 0x80; ret
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    os._exit(0 if ctypes.CFUNCTYPE(ctypes.c_int)(address)() == os.getpid() else 1)
_, status = os.wait()
tell(status == 0, f"status {status}")
""",
        "usual",
    ),
    Attack(
        "the x32 way into the kernel",
        "privileges",
        """
if os.fork() == 0:
    os._exit(0 if LIBC.syscall(0x40000000 + 39) > 0 else 1)
_, status = os.wait()
tell(status == 0, f"status {status}")
""",
        None,
        why_not_weak="this kernel is built without x32",
    ),
]

PRIVILEGES = [
    Attack(
        "capabilities",
        "privileges",
        """
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
data = (ctypes.c_uint32 * 6)()
syscall(125, header, data)
tell(any(data), "effective, permitted, inheritable " + " ".join(f"{x:x}" for x in data))
""",
        "usual",
    ),
    Attack(
        "more capabilities",
        "privileges",
        """
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
bounding = [c for c in range(41) if LIBC.prctl(23, c, 0, 0, 0) == 1] or [21]
for one in bounding:
    bits = [1 << one & 0xFFFFFFFF, 1 << one >> 32]
    data = (ctypes.c_uint32 * 6)(bits[0], bits[0], bits[0], bits[1], bits[1], bits[1])
    attempt(f"take {one}", lambda: syscall(126, header, data))
    attempt(f"keep {one}", lambda: LIBC.prctl(47, 2, one, 0, 0) and syscall(-1))
verdict()
""",
        "usual",
    ),
    Attack(
        "becoming root",
        "privileges",
        """
attempt("setuid", lambda: os.setuid(0), REFUSALS | {errno.EINVAL})
attempt("setresuid", lambda: os.setresuid(0, 0, 0), REFUSALS | {errno.EINVAL})
attempt("setgroups", lambda: os.setgroups([0]), REFUSALS | {errno.EINVAL})
LIBC.setfsuid(0)
if LIBC.setfsuid(-1) == 0: broken.append("setfsuid")
verdict()
""",
        "usual",
    ),
    Attack(
        "becoming another user, whose limits and files are free",
        "privileges",
        """
attempt("setuid", lambda: os.setuid(os.getuid() + 1), REFUSALS | {errno.EINVAL})
attempt("setgid", lambda: os.setgid(os.getgid() + 1), REFUSALS | {errno.EINVAL})
attempt("chown", lambda: os.chown("/tmp", 1, 1), REFUSALS | {errno.EINVAL})
verdict()
""",
        "usual",
    ),
    Attack(
        "a setuid program",
        "privileges",
        """
import subprocess
folders = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/lib/openssh", "/usr/libexec")
for path in (os.path.join(f, name) for f in folders if os.path.isdir(f) for name in os.listdir(f)):
    name = os.path.basename(path)
    try: is_setuid = os.stat(path).st_mode & 0o4000
    except OSError: continue
    child = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT) if is_setuid else None
    if child:
        lines = open(f"/proc/{child.pid}/status").read().split("\\n")
        uids = next(line.split()[1:] for line in lines if line.startswith("Uid"))
        if "0" in uids: broken.append(f"{name} ran as {uids}")
        child.kill(); child.wait(); child.stdin.close(); child.stdout.close()
tell(broken, "; ".join(broken))
""",
        "nobody",
    ),
    Attack(
        "taking off the filter of system calls",
        "privileges",
        """
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
allow_all = ctypes.create_string_buffer(bytes([6, 0, 0, 0]) + (0x7FFF0000).to_bytes(4, "little"))
program = Filter(1, ctypes.addressof(allow_all))
LIBC.prctl(38, 1, 0, 0, 0)
LIBC.prctl(22, 2, ctypes.byref(program), 0, 0)
LIBC.syscall(317, 1, 0, ctypes.byref(program))
attempt("a call that the filter refuses", lambda: syscall(154, 0, (ctypes.c_char * 64)(), 64))
verdict()
""",
        "open nobody",
    ),
    Attack(
        "taking back the promise of no new privileges",
        "privileges",
        """
LIBC.prctl(38, 0, 0, 0, 0)
tell(LIBC.prctl(39, 0, 0, 0, 0) != 1, "no_new_privs")
""",
        "nobody",
    ),
    Attack(
        "tracing a child",
        "privileges",
        """
import time
if (pid := os.fork()) == 0:
    time.sleep(5)
    os._exit(0)
attempt("seize", lambda: syscall(101, 0x4206, pid, 0, 0))
attempt("read its memory", lambda: syscall(310, pid, 0, 0, 0, 0, 0))
attempt("write its memory", lambda: syscall(311, pid, 0, 0, 0, 0, 0))
attempt("compare", lambda: syscall(312, pid, os.getpid(), 0, 0, 0))
attempt("take its files", lambda: syscall(438, os.pidfd_open(pid), 0, 0))
os.kill(pid, 9)
verdict()
""",
        "open",
    ),
    Attack(
        "a system call in a child that a filter of its own lets through",
        "privileges",
        "import subprocess\n"
        'got = subprocess.run(["unshare", "-r", "true"], stderr=subprocess.DEVNULL).returncode\n'
        'tell(got == 0, f"exit {got}")',
        "open nobody",
        holds=Ends(("completed",), "HELD"),
    ),
]

CASES = [*NAMESPACES, *KERNEL, *PRIVILEGES]
