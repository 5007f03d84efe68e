"""What kind of box a call needs, and what the box's PID 1 is told of it.

Pure. Two boxes of one kind are interchangeable until one has run something. What holds for a call
alone (its time limit, its output limits) is no part of a kind.
"""

import json
from dataclasses import dataclass
from typing import Literal

from auxot_tools.ports import BoxSpec, Isolation, Runtime

Form = Literal["uid", "ns"]  # how the program is kept apart from PID 1: see `sandbox/README.md`
Transport = Literal["unix", "stdio"]

PROTOCOL = 3  # of the frames; PID 1 says its own in its first one
PROXY_PORT = 3128  # on the loopback of a box with hosts, which nobody else uses
# Another user for each living box of a worker: the kernel counts a few things for each user
# (pending signals, inotify watches, pages in pipes). The image names all of them `tool`.
UID_FIRST = 63000
UID_COUNT = 512


@dataclass(frozen=True, slots=True)
class BoxKind:
    """Everything of a `BoxSpec` that the container is made with. ``image`` "" is the default's."""

    image: str
    isolation: Isolation
    ready: Runtime
    memory_bytes: int
    cpus: float
    pids: int
    open_files: int
    disk_bytes: int
    disk_inodes: int
    shm_bytes: int
    hosts: tuple[str, ...] = ()


def kind_of(spec: BoxSpec) -> BoxKind:
    """The kind of box that serves ``spec``. A session has no interpreter that waits for it.

    A box with hosts serves one call: nobody gets another's connections. One that should also keep
    a session cannot be had, and the sandbox refuses it.
    """
    limits = spec.limits
    return BoxKind(
        image=spec.image,
        isolation="call" if spec.hosts and spec.isolation == "warm" else spec.isolation,
        ready="python" if spec.isolation == "session" else spec.ready,
        memory_bytes=limits.memory_bytes,
        cpus=limits.cpus,
        pids=limits.pids,
        open_files=limits.open_files,
        disk_bytes=limits.disk_bytes,
        disk_inodes=limits.disk_inodes,
        shm_bytes=limits.shm_bytes,
        hosts=tuple(sorted(set(spec.hosts))),
    )


def environment(kind: BoxKind, form: Form, transport: Transport, uid: int) -> dict[str, str]:
    """PID 1's environment: nothing secret, and nothing of a call."""
    box = {
        "form": form,
        "channel": transport,
        "uid": uid,
        "mode": kind.isolation,
        "ready": kind.ready,
        "cpus": kind.cpus,
        "memory_bytes": kind.memory_bytes,
        "open_files": kind.open_files,
        "disk_bytes": kind.disk_bytes,
        "disk_inodes": kind.disk_inodes,
        "shm_bytes": kind.shm_bytes,
        **({"proxy_port": PROXY_PORT} if kind.hosts else {}),
    }
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/work",
        "TMPDIR": "/tmp",  # noqa: S108 - the box's own
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",  # what was printed before a time limit must be seen
        **(_proxy_variables() if kind.hosts else {}),
        "AUXOT_BOX": json.dumps(box, separators=(",", ":")),
    }


def _proxy_variables() -> dict[str, str]:
    """What makes curl, Python and newer Node.js use the way out; programs differ in the case."""
    proxy = f"http://127.0.0.1:{PROXY_PORT}"
    values = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), proxy)
    values["NO_PROXY"] = "localhost,127.0.0.1,::1"
    lower = {name.lower(): value for name, value in values.items()}
    return {**values, **lower, "NODE_USE_ENV_PROXY": "1"}
