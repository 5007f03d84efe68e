"""System calls that Python's own library lacks, and the frames of the channel.

One job: thin, exact wrappers. It knows nothing of calls, places or programs. Standard library only.
"""

import ctypes
import os
import struct

HEADER = struct.Struct(">cI")  # a frame: letter, length of the payload
LENGTH = struct.Struct(">H")  # of a name

LIBC = ctypes.CDLL(None, use_errno=True)
_WITH_GIL = ctypes.PyDLL(None, use_errno=True)  # for clone: no other thread may run in between

PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
SECCOMP_MODE_FILTER = 2
SIGCHLD = 17
CLONE_PARENT = 0x8000
CAP_KILL = 5
CAPABILITIES = 41  # of Linux 5.9 and later; older ones refuse the last numbers

# The numbers differ from machine to machine; the names are the kernel's.
NUMBERS = {
    "x86_64": {"arch": 0xC000003E, "clone": 56, "capset": 126, "mount": 165, "umount2": 166,
               "unshare": 272, "clone3": 435, "bind": 49, "listen": 50},
    "aarch64": {"arch": 0xC00000B7, "clone": 220, "capset": 91, "mount": 40, "umount2": 39,
                "unshare": 97, "clone3": 435, "bind": 200, "listen": 201},
}  # fmt: skip
MACHINE = NUMBERS.get(os.uname().machine, {})
_CAPABILITY_HEADER = struct.pack("=II", 0x20080522, 0)  # version 3, this process
_NO_SIGNALS = (ctypes.c_ulong * 16)()


def checked(result, what):
    """`result`, or an `OSError` that names `what` when it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def set_dumpable(value):
    """Whether others of this user may look into this process (/proc/PID, ptrace)."""
    checked(LIBC.prctl(PR_SET_DUMPABLE, value, 0, 0, 0), "prctl")


def become_subreaper():
    """Orphans among our descendants become our children."""
    checked(LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def clone_sibling(flags):
    """Fork a process whose parent is our parent. 0 in the new one, its pid in the old one.

    Python is not told: it would look after things that a keeper never uses, at the price of a
    quarter of its page faults. `clone_child` tells it, for the process that runs a program.
    """
    return _clone(flags | CLONE_PARENT)


def clone_child():
    """Fork as `os.fork` does, in a process that `clone_sibling` made. 0 in the new one."""
    pid = _clone(0)
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    return pid


def _clone(flags):
    pid = _WITH_GIL.syscall(MACHINE["clone"], ctypes.c_ulong(flags | SIGCHLD), 0, 0, 0, 0)
    return checked(pid, "clone")


def prepare_mount(source, target, kind, flags, options=None):
    """The arguments of `mount`, made once: a process that only uses them touches few pages."""
    texts = [None if text is None else ctypes.c_char_p(text) for text in (source, target, kind)]
    return (*texts, ctypes.c_ulong(flags), None if options is None else ctypes.c_char_p(options))


def mount(arguments):
    """mount(2) with what `prepare_mount` made."""
    if LIBC.mount(*arguments) != 0:
        checked(-1, f"mount {arguments[1].value.decode()}")


def keep_capabilities(*numbers):
    """Have exactly these capabilities, of those that we had."""
    mask = sum(1 << number for number in numbers)
    data = struct.pack("=6I", mask, mask, 0, 0, 0, 0)
    checked(LIBC.syscall(MACHINE["capset"], _CAPABILITY_HEADER, data), "capset")


def drop_bounding_set():
    """Let no program that is started from here ever get a capability."""
    for number in range(CAPABILITIES):
        LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)


def unblock_signals():
    """Let every signal come."""
    checked(LIBC.sigprocmask(2, _NO_SIGNALS, None), "sigprocmask")  # 2: SIG_SETMASK


def signal_descriptor(numbers):
    """A descriptor from which blocked signals can be read."""
    mask = (ctypes.c_ulong * 16)(sum(1 << (number - 1) for number in numbers))
    return checked(LIBC.signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK), "signalfd")


_KEPT = []  # what a compiled filter points to


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def compile_filter(refused):
    """A second filter for the program, as BPF: these calls are refused from here.

    The container's own filter is an allow-list and stays in force; this one only takes away what
    that one had to allow for our own processes.
    """

    def op(code, jump_true, jump_false, value):
        return struct.pack("=HBBI", code, jump_true, jump_false, value)

    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill, refuse, unknown = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
    new_namespaces = 0x7E020080  # every CLONE_NEW* flag, CLONE_NEWTIME too
    steps = [
        op(load, 0, 0, 4),  # the architecture
        op(equal, 1, 0, MACHINE["arch"]),
        op(answer, 0, 0, kill),
        op(load, 0, 0, 0),  # the number
        op(at_least, 0, 1, 0x40000000),  # x32
        op(answer, 0, 0, refuse),
        op(equal, 0, 1, MACHINE["clone3"]),
        op(answer, 0, 0, unknown),
    ]
    for name in refused:
        steps += [op(equal, 0, 1, MACHINE[name]), op(answer, 0, 0, refuse)]
    steps += [
        op(equal, 0, 3, MACHINE["clone"]),
        op(load, 0, 0, 16),  # its first argument, low half
        op(any_bit, 0, 1, new_namespaces),
        op(answer, 0, 0, refuse),
        op(answer, 0, 0, allow),
    ]
    buffer = ctypes.create_string_buffer(b"".join(steps))
    program = _Program(len(steps), ctypes.cast(buffer, ctypes.c_void_p).value)
    _KEPT.append((buffer, program))
    return ctypes.byref(program)


def install_filter(compiled):
    """Put a compiled filter on this process and all its children; `no_new_privs` is on already."""
    result = LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, compiled, 0, 0)
    checked(result, "seccomp")
