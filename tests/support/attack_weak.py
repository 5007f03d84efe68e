"""Deliberately weak set-ups, in which every attack must break: they show that a test can fail.

`WEAK` is the table. Each set-up is a container, kept and used for one attack after another, as many
products do it, and a way to run a program in it. What is planted there is bounded by the attacks
themselves. All of it carries labels of the tests and is removed at the end.
"""

import base64
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError
from docker.types import LogConfig

from auxot_tools.sandbox.engine import connect
from tests.support import attack_weak_code as inside
from tests.support.attack import Attack, Seen
from tests.support.engine import sandbox_image

LABEL = "io.auxot.tools.attacks"  # its value: the pid of the test run
ALIAS = "auxot-attack-canary"  # a name that the weak network resolves
NOBODY = "65534:65534"
TIME_LIMIT_S = 8  # of a program whose own end is what is looked at
MIB = 2**20
# Every capability that a machine may give which is itself not the outermost one.
MOST_CAPABILITIES = [
    "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE",
    "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
    "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE",
    "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG",
    "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE",
    "SYS_RAWIO", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
]  # fmt: skip


@dataclass(frozen=True)
class Weak:
    """One weak set-up: what is weak about it, how its container is made, how programs are run."""

    why: str
    host: Mapping[str, Any] = field(default_factory=dict)
    user: str = "0"
    driver: str = ""  # a program in the container that runs ours, in place of the engine's exec
    containers: int = 1
    is_fresh: bool = False  # a container for this attack alone, because it may end it
    mounts: tuple[str, ...] = ()  # facts that name a path of the host


_UNCONFINED = ["seccomp=unconfined"]
_OPEN: Mapping[str, Any] = {
    "cap_add": MOST_CAPABILITIES,
    "security_opt": _UNCONFINED,
    "device_cgroup_rules": ["a *:* rwm"],
}
WEAK: Mapping[str, Weak] = {
    "usual": Weak("the usual `docker run`: root, writable, no limits, a network; kept and reused"),
    "nobody": Weak("the same, but another user than root; kept and reused", user=NOBODY),
    "fresh": Weak("the usual `docker run`, whose PID 1 handles signals", is_fresh=True),
    "open": Weak(
        "nearly every capability, no seccomp, /proc not masked, a part of /sys to be written",
        _OPEN,
        mounts=("SYS_FOLDER",),
    ),
    "open nobody": Weak("no seccomp and nothing masked for a plain user", _OPEN, user=NOBODY),
    "host network": Weak("the network namespace of the host", {"network_mode": "host"}),
    "host processes": Weak("the pid namespace of the host", {"pid_mode": "host"}),
    "host files": Weak(
        "a folder of the host, and the engine's socket", mounts=("CANARY_DIR", "DOCKER_SOCKET")
    ),
    "two of one user": Weak(
        "two containers whose programs have one user", {}, NOBODY, containers=2
    ),
    "two on one network": Weak(
        "two containers in one network namespace", {"network_mode": "host"}, containers=2
    ),
    "agent": Weak("an agent of the same user tells the exit code", {}, NOBODY, inside.AGENT),
    "zygote": Weak("one process saw every call, and forks for each", {}, NOBODY, inside.ZYGOTE),
    "interpreter": Weak("one interpreter runs every call", {}, NOBODY, inside.INTERPRETER),
    "collector": Weak("a root process opens the names that a program left", {}, "0"),
    "writer": Weak("a root process opens the names that a caller sent", {}, "0"),
}


class WeakHost:
    """The containers of the weak set-ups, made when they are first needed. Blocking."""

    def __init__(self, client: docker.APIClient, facts: Mapping[str, str], held: ExitStack) -> None:
        self._client = client
        self._facts = facts
        self._held = held
        self._made: dict[str, list[str]] = {}
        self.network = f"auxot-attacks-{secrets.token_hex(4)}"
        labels = {LABEL: str(os.getpid())}
        client.create_network(self.network, driver="bridge", labels=labels)
        held.callback(client.remove_network, self.network)

    @property
    def gateway(self) -> str:
        """The host's own address on the network of the tests."""
        found: Any = self._client.inspect_network(self.network)
        return str(found["IPAM"]["Config"][0]["Gateway"])

    def run(self, attack: Attack, facts: Mapping[str, str]) -> tuple[Seen, ...]:
        """The runs of the attack's one or two programs in its weak set-up."""
        assert attack.weak is not None
        weak = WEAK[attack.weak]
        nonce = secrets.token_hex(8)
        programs = attack.programs({**self._facts, **facts, "NONCE": nonce})
        key = f"{attack.weak} {attack.name}" if weak.is_fresh else attack.weak
        boxes = self._made.get(key) or self._make(key, weak)
        if weak.driver:
            return self._drive(boxes[0], weak, attack, programs)
        if attack.overlaps:
            return self._overlap(boxes, weak, attack, programs)
        if attack.files:
            self._exec(boxes[0], "0", [*PYTHON, inside.WRITER, _files_json(attack)])
        seen = [self._program(boxes[0], weak, attack, code) for code in programs]
        if attack.weak == "collector":
            raw, _ = self._exec(boxes[0], "0", ["timeout", "-sKILL", "20", *PYTHON, inside.COLLECT])
            seen[-1] = replace(seen[-1], artifacts=_collected(raw))
        return tuple(seen)

    def python(self, set_up: str, code: str) -> str:
        """The output of any Python program in a weak set-up."""
        weak = WEAK[set_up]
        box = (self._made.get(set_up) or self._make(set_up, weak))[0]
        command = ["timeout", "-sKILL", "60", *PYTHON, code]
        return self._exec(box, weak.user, command)[0].decode("utf-8", "replace")

    def _make(self, key: str, weak: Weak) -> list[str]:
        binds = [f"{self._facts[name]}:{self._facts[name]}" for name in weak.mounts]
        settings = {"network_mode": self.network, **weak.host}
        on_network = settings["network_mode"] == self.network
        host: Any = self._client.create_host_config(
            binds=binds,
            mem_limit=2 * 1024 * MIB,  # no limit of the attack: it bounds a mistake of ours
            pids_limit=3000,
            log_config=LogConfig(type="none", config={}),
            **settings,
        )
        if "security_opt" in weak.host:
            host |= {"MaskedPaths": [], "ReadonlyPaths": []}
        endpoint: Any = {self.network: self._client.create_endpoint_config(aliases=[ALIAS])}
        networking = self._client.create_networking_config(endpoint)
        boxes = []
        for _ in range(weak.containers):
            made = self._client.create_container(
                sandbox_image(),
                entrypoint=[*PYTHON, inside.PID_1],
                command=[],
                user="0",
                working_dir="/work",
                labels={LABEL: str(os.getpid())},
                environment={"SECRET_OF_THE_WORKER": self._facts["SECRET"], **inside.ENVIRONMENT},
                host_config=host,
                networking_config=networking if on_network else None,
            )
            self._held.callback(self._remove, made["Id"])
            self._client.start(made["Id"])
            self._exec(made["Id"], "0", [*PYTHON, inside.WAIT_FOR_PID_1])
            boxes.append(str(made["Id"]))
        self._made[key] = boxes
        return boxes

    def _remove(self, box: str) -> None:
        with suppress(APIError):
            self._client.remove_container(box, force=True, v=True)

    def _exec(self, box: str, user: str, command: Sequence[str]) -> tuple[bytes, int | None]:
        """The output and the exit code of one command, as the engine tells them."""
        made = self._client.exec_create(box, list(command), user=user, workdir="/work")
        output: Any = self._client.exec_start(made["Id"])
        state: Any = self._client.exec_inspect(made["Id"])
        return bytes(output), state["ExitCode"]

    def _limited(self, attack: Attack, code: str) -> list[str]:
        return ["timeout", "-sKILL", str(TIME_LIMIT_S), *RUNS[attack.language], code]

    def _program(self, box: str, weak: Weak, attack: Attack, code: str) -> Seen:
        raw, exit_code = self._exec(box, weak.user, self._limited(attack, code))
        text = raw.decode("utf-8", "surrogateescape")
        return Seen("timed_out" if exit_code == 137 else "completed", text, exit_code)

    def _overlap(
        self, boxes: Sequence[str], weak: Weak, attack: Attack, programs: Sequence[str]
    ) -> tuple[Seen, ...]:
        """The second program in the second container, once the first has said PLANTED."""
        said_in = f"/tmp/said-{secrets.token_hex(4)}"
        started = ["bash", "-c", f'exec "$@" > {said_in}', "bash"]
        command = [*started, *self._limited(attack, programs[0])]
        made = self._client.exec_create(boxes[0], command, user=weak.user, workdir="/work")
        self._client.exec_start(made["Id"], detach=True)
        said, _ = self._exec(boxes[0], "0", ["bash", "-c", inside.WAIT_FOR_WORD, "bash", said_in])
        seen = self._program(boxes[1], weak, attack, programs[1])
        return Seen("running", said.decode(errors="replace")), seen

    def _drive(
        self, box: str, weak: Weak, attack: Attack, programs: Sequence[str]
    ) -> tuple[Seen, ...]:
        """The driver runs all programs; after the output of each it says NUL and `EXIT n`."""
        command = ["timeout", "-sKILL", "20", *PYTHON, weak.driver, json.dumps(programs)]
        raw, _ = self._exec(box, weak.user, command)
        seen = []
        rest = raw.decode("utf-8", "surrogateescape")
        for _ in programs:
            text, told, rest = rest.partition("\0EXIT ")
            number, _, rest = rest.partition("\n")
            code = int(number) if told and number.strip().isdigit() else None
            seen.append(Seen("completed" if told else "lost", text, code))
        return tuple(seen)


PYTHON = ("python3", "-u", "-c")
RUNS = {"python": PYTHON, "bash": ("bash", "-c"), "javascript": ("node", "-e")}


def _files_json(attack: Attack) -> str:
    return json.dumps([[name, data.decode("latin-1")] for name, data in attack.files])


def _collected(raw: bytes) -> dict[str, bytes]:
    lines = [json.loads(line) for line in raw.splitlines() if line.startswith(b"[")]
    return {name: base64.b64decode(data) for name, data in lines}


@contextmanager
def weak_host(facts: Mapping[str, str]) -> Iterator[WeakHost]:
    """All weak set-ups; leaving removes every container and the network."""
    client = connect(timeout_s=60)
    with ExitStack() as held:
        held.callback(client.close)
        _remove_left_over(client)
        yield WeakHost(client, facts, held)


def _remove_left_over(client: docker.APIClient) -> None:
    """What test runs left that were killed: their process is no more."""
    labelled: Any = {"filters": {"label": LABEL}}
    for box in client.containers(all=True, **labelled):
        if not _lives(box):
            with suppress(APIError):
                client.remove_container(box["Id"], force=True, v=True)
    for network in client.networks(**labelled):
        if not _lives(network):
            with suppress(APIError):
                client.remove_network(network["Id"])


def _lives(made: Any) -> bool:
    return Path("/proc", made["Labels"][LABEL]).exists()
