"""Who this process is, so that a later worker can tell whether it still lives. Reads /proc.

On systems without /proc the fields stay empty, and nobody can prove anything by them.
"""

import contextlib
import os
from pathlib import Path

from auxot_tools.sandbox.profile import Identity

UNSEEN = 0  # a start that is hidden (`hidepid`, for example): the process exists

_PROC = Path("/proc")
_START_TIME_FIELD = 19  # of /proc/PID/stat, counted from 0 after the command's closing parenthesis


def this_process(worker_id: str) -> Identity:
    """The identity of the calling process. ``worker_id`` is for people; nothing is proved by it."""
    pid = os.getpid()
    return Identity(
        worker_id=worker_id,
        machine=_text(Path("/etc/machine-id")),
        boot=_text(_PROC / "sys/kernel/random/boot_id"),
        pid_namespace=_link(_PROC / "self/ns/pid"),
        pid=pid,
        pid_start=process_start(pid) or 0,
    )


def process_start(pid: int, proc: Path = _PROC) -> int | None:
    """When process ``pid`` started, in clock ticks after boot; ``None`` when there is no such one;
    `UNSEEN` when there is, and /proc does not show it.

    A zombie counts as gone: it will never do anything again.
    """
    stat = _text(proc / str(pid) / "stat")
    fields = stat.rpartition(")")[2].split()
    if len(fields) <= _START_TIME_FIELD:
        return UNSEEN if _exists(pid) else None
    return None if fields[0] in {"Z", "X"} else int(fields[_START_TIME_FIELD])


def _exists(pid: int) -> bool:
    if pid <= 0:  # to `kill` these mean many processes
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""


def _link(path: Path) -> str:
    with contextlib.suppress(OSError):
        return str(path.readlink())
    return ""
