"""The security posture: what kind of box and whose -> the arguments that create the container.

Pure: no Docker, no clock, no files. Everything that restricts a box is in the dict made here, and
`tests/sandbox/test_profile.py` asserts it line by line. `sandbox/README.md` says of each
restriction what it stops and what it costs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from auxot_tools.ports import BoxLimits
from auxot_tools.types import JSON

UID = 65534  # "nobody": owns nothing in the image
INIT_COMMAND = ("/usr/bin/python3", "-I", "-S", "/usr/libexec/auxot/init.py")

LABEL = "io.auxot.tools"  # "1" on everything of ours; the others say whose it is and until when
LABEL_WORKER = f"{LABEL}.worker"
LABEL_MACHINE = f"{LABEL}.machine"
LABEL_BOOT = f"{LABEL}.boot"
LABEL_PID_NAMESPACE = f"{LABEL}.pid-namespace"
LABEL_PID = f"{LABEL}.pid"
LABEL_PID_START = f"{LABEL}.pid-start"
LABEL_DEADLINE = f"{LABEL}.deadline"

# The tool's own files and the call's files must be runnable (scripts, built programs), so /tool,
# /work and /tmp allow exec: in a box whose image holds interpreters, noexec stops nobody.
_TMPFS = "rw,nosuid,nodev,{exec},size={size},nr_inodes={inodes},mode={mode},uid={uid},gid={uid}"
_TOOL_BYTES = 16 * 2**20  # a tool's own files: source text, not data
_TOOL_INODES = 256
_SHM_INODES = 1024
_MEMLOCK_BYTES = 64 * 2**10  # what an unprivileged user has on Linux by default


@dataclass(frozen=True, slots=True)
class Identity:
    """Which process made a box, told apart from every other process on every other machine.

    Empty fields mean "could not be found out". ``pid_start`` is in clock ticks after boot: a pid
    is used again, a pid with its start time is not.
    """

    worker_id: str
    machine: str = ""
    boot: str = ""
    pid_namespace: str = ""
    pid: int = 0
    pid_start: int = 0


def labels(identity: Identity, deadline_unix_s: float) -> dict[str, str]:
    """The labels of one container; ``deadline_unix_s`` is when its call is over at the latest."""
    return {
        LABEL: "1",
        LABEL_WORKER: identity.worker_id,
        LABEL_MACHINE: identity.machine,
        LABEL_BOOT: identity.boot,
        LABEL_PID_NAMESPACE: identity.pid_namespace,
        LABEL_PID: str(identity.pid),
        LABEL_PID_START: str(identity.pid_start),
        LABEL_DEADLINE: str(int(deadline_unix_s)),
    }


def create_arguments(
    image: str, limits: BoxLimits, seccomp_json: str, container_labels: Mapping[str, str]
) -> JSON:
    """The body of the engine's "create container" call (Engine API 1.41) for one box."""
    return {
        "Image": image,
        "Entrypoint": list(INIT_COMMAND),
        "Cmd": [],
        "User": f"{UID}:{UID}",
        "WorkingDir": "/work",
        "Hostname": "sandbox",
        "Env": [],
        "Labels": dict(container_labels),
        "Tty": False,
        "OpenStdin": True,
        "StdinOnce": True,  # the worker's end of stdin going away is the end of the box
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "NetworkDisabled": True,
        "HostConfig": _host_config(limits, seccomp_json),
    }


def _host_config(limits: BoxLimits, seccomp_json: str) -> JSON:
    return {
        "NetworkMode": "none",
        "IpcMode": "none",  # no /dev/shm of the engine's, whose inodes nobody counts: ours is below
        "CgroupnsMode": "private",
        "Privileged": False,
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={seccomp_json}"],
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,  # memory and swap together: no swap
        "MemorySwappiness": 0,
        "PidsLimit": limits.pids,
        "NanoCpus": round(limits.cpus * 1e9),
        "Ulimits": [
            _ulimit("core", 0),
            _ulimit("nofile", limits.open_files),
            # Twice a disk, so that a full disk says ENOSPC and only sparse files meet this limit.
            _ulimit("fsize", 2 * limits.disk_bytes),
            _ulimit("memlock", _MEMLOCK_BYTES),
            _ulimit("msgqueue", 0),
        ],
        "Tmpfs": {
            "/tmp": _tmpfs(limits.disk_bytes, limits.disk_inodes, "1777"),  # noqa: S108
            "/work": _tmpfs(limits.disk_bytes, limits.disk_inodes, "0755"),
            "/tool": _tmpfs(_TOOL_BYTES, _TOOL_INODES, "0755"),
            "/dev/shm": _tmpfs(limits.shm_bytes, _SHM_INODES, "1777", "noexec"),  # noqa: S108
        },
        "LogConfig": {"Type": "none", "Config": {}},  # a flood must not reach the host's disk
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,  # how it ended is read after the end; we remove it ourselves
        "Init": False,  # docker-init would run as the tool's user, and could be traced by it
    }


def _ulimit(name: str, value: int) -> JSON:
    return {"Name": name, "Soft": value, "Hard": value}


def _tmpfs(size_bytes: int, inodes: int, mode: str, exec_: str = "exec") -> str:
    return _TMPFS.format(exec=exec_, size=size_bytes, inodes=inodes, mode=mode, uid=UID)
