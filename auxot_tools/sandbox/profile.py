"""The security posture: what kind of box and whose -> the arguments that create the container.

Pure: no Docker, no clock, no files. Everything that restricts a box is in the dict made here, and
`tests/sandbox/test_profile.py` asserts it line by line. `sandbox/README.md` says of each
restriction what it stops and what it costs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from auxot_tools.sandbox.kind import BoxKind, Form, Transport, environment
from auxot_tools.types import JSON

INIT_COMMAND = ("/usr/bin/python3", "-u", "-B", "/usr/libexec/auxot/init.py")
SOCKET_FOLDER = "/run/auxot"  # in a box; the socket's name in it is `s`
# Beside the program's own processes: PID 1, the zygote, the keeper; with hosts also the relay.
OWN_PIDS = 3
RELAY_PIDS = 1
OWN_FILES = 64  # PID 1's own descriptors; it gives the program its limit itself

LABEL = "io.auxot.tools"  # "1" on everything of ours; the others say whose it is and until when
LABEL_WORKER = f"{LABEL}.worker"
LABEL_MACHINE = f"{LABEL}.machine"
LABEL_BOOT = f"{LABEL}.boot"
LABEL_PID_NAMESPACE = f"{LABEL}.pid-namespace"
LABEL_PID = f"{LABEL}.pid"
LABEL_PID_START = f"{LABEL}.pid-start"
LABEL_DEADLINE = f"{LABEL}.deadline"
LABEL_MODE = f"{LABEL}.mode"
LABEL_FORM = f"{LABEL}.form"

# The tool's own files and the call's files must be runnable (scripts, built programs), so /tool,
# /work and /tmp allow exec: in a box whose image holds interpreters, noexec stops nobody.
_TMPFS = "rw,nosuid,nodev,{exec},size={size},nr_inodes={inodes},mode={mode}"
_TOOL_BYTES = 16 * 2**20  # a tool's own files: source text, not data
_TOOL_INODES = 256
_SHM_INODES = 1024
_MOUNT_POINT_BYTES = 64 * 2**10  # a tmpfs that only is there to be written to by PID 1
_MOUNT_POINT_INODES = 32
# The buffers of TCP sockets, smallest, usual, largest: cgroup v1 does not charge them to the box.
# With the relay's bound on connections (41, at two ends) this is about 20 MB at most.
_TCP_BUFFERS = {"net.ipv4.tcp_rmem": "4096 65536 131072", "net.ipv4.tcp_wmem": "4096 65536 131072"}
_CPU_FOLDER = "/sys/devices/system/cpu"  # PID 1 writes there how many CPUs the box has
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


@dataclass(frozen=True, slots=True)
class HostFiles:
    """Paths on the engine's machine that a box gets, read-only.

    ``socket_folder`` holds the worker's end of the channel; the other two stand for the files of
    the same names in /proc.
    """

    socket_folder: str
    meminfo: str
    cpuinfo: str


@dataclass(frozen=True, slots=True)
class BoxPlan:
    """One container that is to be made. With ``host_files`` the channel is a unix socket there,
    without them it is the attached stdin and stdout. ``runtime`` "" is the engine's default.
    """

    kind: BoxKind
    image: str
    form: Form
    uid: int
    host_files: HostFiles | None = None
    runtime: str = ""

    @property
    def transport(self) -> Transport:
        return "stdio" if self.host_files is None else "unix"


def labels(
    identity: Identity, deadline_unix_s: float, mode: str = "", form: str = ""
) -> dict[str, str]:
    """The labels of one container; ``deadline_unix_s`` is when it is gone at the latest."""
    return {
        LABEL: "1",
        LABEL_WORKER: identity.worker_id,
        LABEL_MACHINE: identity.machine,
        LABEL_BOOT: identity.boot,
        LABEL_PID_NAMESPACE: identity.pid_namespace,
        LABEL_PID: str(identity.pid),
        LABEL_PID_START: str(identity.pid_start),
        LABEL_DEADLINE: str(int(deadline_unix_s)),
        LABEL_MODE: mode,
        LABEL_FORM: form,
    }


def create_arguments(plan: BoxPlan, seccomp_json: str, container_labels: Mapping[str, str]) -> JSON:
    """The body of the engine's "create container" call (Engine API 1.41) for one box."""
    is_attached = plan.transport == "stdio"
    variables = environment(plan.kind, plan.form, plan.transport, plan.uid)
    return {
        "Image": plan.image,
        "Entrypoint": list(INIT_COMMAND),
        "Cmd": [],
        # In form uid PID 1 is the container's root, so that the program can be somebody else.
        "User": "0:0" if plan.form == "uid" else f"{plan.uid}:{plan.uid}",
        "WorkingDir": "/",
        "Hostname": "sandbox",
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": dict(container_labels),
        "Tty": False,
        "OpenStdin": is_attached,
        "StdinOnce": is_attached,  # the worker's end of stdin going away is the end of the box
        "AttachStdin": is_attached,
        "AttachStdout": is_attached,
        "AttachStderr": is_attached,
        "NetworkDisabled": True,
        "HostConfig": {
            **_shared_host_config(plan.kind, seccomp_json),
            **_FORM_CONFIG[plan.form](plan),
            **({"Runtime": plan.runtime} if plan.runtime else {}),
        },
    }


def _shared_host_config(kind: BoxKind, seccomp_json: str) -> JSON:
    return {
        "NetworkMode": "none",
        "IpcMode": "none",  # no /dev/shm of the engine's, whose inodes nobody counts: ours is below
        "CgroupnsMode": "private",
        "Privileged": False,
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={seccomp_json}"],
        "Memory": kind.memory_bytes,
        "MemorySwap": kind.memory_bytes,  # memory and swap together: no swap
        "MemorySwappiness": 0,
        "PidsLimit": kind.pids + OWN_PIDS + (RELAY_PIDS if kind.hosts else 0),
        "NanoCpus": round(kind.cpus * 1e9),
        "Ulimits": [
            _ulimit("core", 0),
            _ulimit("nofile", kind.open_files + OWN_FILES),
            # Twice a disk, so that a full disk says ENOSPC and only sparse files meet this limit.
            _ulimit("fsize", 2 * kind.disk_bytes),
            _ulimit("memlock", _MEMLOCK_BYTES),
            _ulimit("msgqueue", 0),
        ],
        "LogConfig": {"Type": "none", "Config": {}},  # a flood must not reach the host's disk
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,  # how it ended is read after the end; we remove it ourselves
        "Init": False,  # docker-init knows nothing of our channel
        **({"Sysctls": _TCP_BUFFERS} if kind.hosts else {}),
    }


def _uid_config(plan: BoxPlan) -> JSON:
    """PID 1 is root with three capabilities; the program has another uid and none."""
    kind, uid = plan.kind, plan.uid
    config: JSON = {
        "CapAdd": ["KILL", "SETUID", "SETGID"],
        "Tmpfs": {
            "/tmp": _tmpfs(kind.disk_bytes, kind.disk_inodes, "1777", uid),  # noqa: S108
            "/work": _tmpfs(kind.disk_bytes, kind.disk_inodes, "0755", uid),
            "/tool": _tmpfs(_TOOL_BYTES, _TOOL_INODES, "0755", uid),
            "/dev/shm": _tmpfs(kind.shm_bytes, _SHM_INODES, "1777", uid, "noexec"),  # noqa: S108
            _CPU_FOLDER: _mount_point(None),
        },
    }
    if plan.host_files is not None:
        config["Mounts"] = [
            _socket_mount(plan.host_files),
            _bind(plan.host_files.meminfo, "/proc/meminfo"),
            _bind(plan.host_files.cpuinfo, "/proc/cpuinfo"),
        ]
    return config


def _ns_config(plan: BoxPlan) -> JSON:
    """Nobody has a capability; every call makes its own namespaces, with its own mounts.

    The engine's masks over /proc would forbid the call its own, fresh /proc: PID 1 masks that one.
    """
    config: JSON = {
        "CapAdd": [],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "Tmpfs": {
            "/dev/shm": _mount_point(plan.uid),  # noqa: S108
            _CPU_FOLDER: _mount_point(plan.uid),
        },
    }
    if plan.host_files is not None:
        config["Mounts"] = [_socket_mount(plan.host_files)]
    return config


_FORM_CONFIG = {"uid": _uid_config, "ns": _ns_config}


def _socket_mount(files: HostFiles) -> JSON:
    return _bind(files.socket_folder, SOCKET_FOLDER)


def _bind(source: str, target: str) -> JSON:
    """A mount of the strict kind: when ``source`` is missing the engine refuses the container."""
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": True}


def _ulimit(name: str, value: int) -> JSON:
    return {"Name": name, "Soft": value, "Hard": value}


def _tmpfs(size_bytes: int, inodes: int, mode: str, uid: int | None, exec_: str = "exec") -> str:
    options = _TMPFS.format(exec=exec_, size=size_bytes, inodes=inodes, mode=mode)
    return options if uid is None else f"{options},uid={uid},gid={uid}"


def _mount_point(uid: int | None) -> str:
    return _tmpfs(_MOUNT_POINT_BYTES, _MOUNT_POINT_INODES, "0755", uid, "noexec")
