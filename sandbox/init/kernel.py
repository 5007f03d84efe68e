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
PR_SET_CHILD_SUBREAPER = 36
SECCOMP_MODE_FILTER = 2
SIGCHLD = 17
CLONE_PARENT = 0x8000
CAP_KILL = 5

# The numbers differ from machine to machine; the names are the kernel's.
NUMBERS = {
    "x86_64": {"arch": 0xC000003E, "clone": 56, "capset": 126, "mount": 165, "umount2": 166,
               "unshare": 272, "clone3": 435},
    "aarch64": {"arch": 0xC00000B7, "clone": 220, "capset": 91, "mount": 40, "umount2": 39,
                "unshare": 97, "clone3": 435},
}  # fmt: skip
MACHINE = NUMBERS.get(os.uname().machine, {})
_CAPABILITY_VERSION_3 = 0x20080522


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
    """Fork a process whose parent is our parent. 0 in the new one, its pid in the old one."""
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = _WITH_GIL.syscall(MACHINE["clone"], ctypes.c_ulong(flags | CLONE_PARENT | SIGCHLD), 0, 0, 0, 0)
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    number = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    ctypes.set_errno(number)
    return checked(pid, "clone")


def mount(source, target, kind, flags, options=None):
    """mount(2); texts are bytes."""
    result = LIBC.mount(source, target, kind, ctypes.c_ulong(flags), options)
    checked(result, f"mount {target.decode()}")


def keep_capabilities(*numbers):
    """Have exactly these capabilities, of those that we had."""
    mask = sum(1 << number for number in numbers)
    header = struct.pack("=II", _CAPABILITY_VERSION_3, 0)
    data = struct.pack("=6I", mask, mask, 0, 0, 0, 0)
    checked(LIBC.syscall(MACHINE["capset"], header, data), "capset")


def signal_descriptor(numbers):
    """A descriptor from which blocked signals can be read."""
    mask = (ctypes.c_ulong * 16)(sum(1 << (number - 1) for number in numbers))
    return checked(LIBC.signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK), "signalfd")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def compile_filter():
    """The second filter of a call in namespaces, as BPF: what made its place is refused from here.

    The container's own filter is an allow-list and stays in force; this one only takes away what
    that one had to allow for making namespaces.
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
    for name in ("mount", "umount2", "unshare", "capset"):
        steps += [op(equal, 0, 1, MACHINE[name]), op(answer, 0, 0, refuse)]
    steps += [
        op(equal, 0, 3, MACHINE["clone"]),
        op(load, 0, 0, 16),  # its first argument, low half
        op(any_bit, 0, 1, new_namespaces),
        op(answer, 0, 0, refuse),
        op(answer, 0, 0, allow),
    ]
    return ctypes.create_string_buffer(b"".join(steps)), len(steps)


def install_filter(compiled):
    """Put a compiled filter on this process and all its children; `no_new_privs` is on already."""
    buffer, length = compiled
    program = _Program(length, ctypes.cast(buffer, ctypes.c_void_p).value)
    result = LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
    checked(result, "seccomp")
