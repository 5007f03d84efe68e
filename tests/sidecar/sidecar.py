"""The compose file in use: our image, its two services, a client; and what of it is on the engine.

One job: start, ask, look, and remove everything. It must not judge. Needs a Docker engine and root.
"""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import yaml

from auxot_tools.sandbox.profile import LABEL, LABEL_PID, LABEL_PID_NAMESPACE
from tests.support.running import free_port

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
UP_S = 120.0  # until both are well: 15 s here
ASK_S = 60.0
END_S = 150.0  # the services' own time to end is 95 s; 1 s here
_LOOK_S = 0.2
Answer = Mapping[str, Any]


def docker(*arguments: str, within_s: float = ASK_S) -> str:
    """What one `docker` command says; it must work."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=within_s, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Sidecar:
    """A compose project of its own."""

    home: Path
    project: str
    port: int
    files: Sequence[Path]
    settings: Mapping[str, str]

    def compose(self, *arguments: str, within_s: float = ASK_S) -> str:
        program = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        files = [word for file in self.files for word in ("--file", str(file))]
        done = subprocess.run(
            [
                *program,
                "-p",
                self.project,
                "--env-file",
                str(self.home / "env"),
                *files,
                *arguments,
            ],
            env={"PATH": os.environ["PATH"], "AUXOT_PORT": str(self.port), **self.settings},
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def container(self, service: str) -> str:
        return self.compose("ps", "-q", service).strip()

    def log(self, service: str = "worker") -> str:
        return self.compose("logs", "--no-color", service)

    def wait_until_well(self) -> None:
        """Both healthchecks pass. The engine tells nobody, so this asks now and then."""
        give_up_at = time.monotonic() + UP_S
        while time.monotonic() < give_up_at:
            states = [
                docker("inspect", "--format", "{{.State.Health.Status}}", self.container(service))
                for service in ("worker", "router")
            ]
            if states == ["healthy", "healthy"]:
                return
            time.sleep(_LOOK_S)
        raise AssertionError(f"not well in {UP_S:g} s: {states}\n{self.compose('logs')}")

    def script(self, *arguments: str) -> str:
        """What `deploy/sidecar.sh` says on the prepared folder; it must work."""
        done = subprocess.run(
            [ROOT / "deploy" / "sidecar.sh", *arguments],
            env={"PATH": os.environ["PATH"], "AUXOT_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=ASK_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def post(self, path: str, body: object, key: str = "") -> Answer:
        """The JSON that the router answers with, whatever the status; by default with our key."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps(body).encode(),
            {
                "content-type": "application/json",
                "x-api-key": key or (self.home / "client.key").read_text().strip(),
            },
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=ASK_S) as answer:
                told: Answer = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                told = json.load(error)
        return told

    def worker_pid(self) -> int:
        return int(docker("inspect", "--format", "{{.State.Pid}}", self.container("worker")))

    def pid_namespace(self) -> str:
        """Of our worker, as the labels of its boxes have it."""
        return str(Path(f"/proc/{self.worker_pid()}/ns/pid").readlink())

    def boxes(self) -> list[str]:
        """Ids of the boxes of our worker."""
        return boxes_of(self.pid_namespace())

    def volume(self, name: str) -> list[str]:
        """Names of the files in a volume of the project."""
        path = docker("volume", "inspect", "--format", "{{.Mountpoint}}", f"{self.project}_{name}")
        return [one.name for one in Path(path).iterdir()]


def boxes_of(pid_namespace: str) -> list[str]:
    """Containers that a worker in this namespace made, running or not."""
    listed = docker(
        *("ps", "-aq", "--no-trunc", "--filter", f"label={LABEL}=1", "--filter"),
        *(f"label={LABEL_PID_NAMESPACE}={pid_namespace}", "--filter", f"label={LABEL_PID}"),
    )
    return listed.split()


def existing(containers: Sequence[str]) -> list[str]:
    """Those of the containers that the engine still has."""
    known = set(docker("ps", "-aq", "--no-trunc").split())
    return [one for one in containers if one in known]


def wait_until(reached: Callable[[], bool], told: Callable[[], str]) -> None:
    """Ask now and then, as the engine tells nobody. ``told`` is said of what never comes."""
    give_up_at = time.monotonic() + UP_S
    while not reached():
        assert time.monotonic() < give_up_at, told()
        time.sleep(_LOOK_S)


@contextmanager
def sidecar(home: Path, *overrides: Mapping[str, Any] | Path, **settings: str) -> Iterator[Sidecar]:
    """The services, up and well; leaving stops and removes all that is theirs.

    ``home`` is what `deploy/sidecar.sh prepare` made. An override is a file of compose's or the
    settings of the service `worker`.
    """
    files = [COMPOSE]
    for number, one in enumerate(overrides):
        if isinstance(one, Path):
            files.append(one)
            continue
        file = home / f"override-{number}-{token_hex(2)}.yaml"
        file.write_text(yaml.safe_dump({"services": {"worker": dict(one)}}))
        files.append(file)
    found = Sidecar(home, f"auxot-sidecar-{token_hex(4)}", free_port(), files, settings)
    try:
        found.compose("up", "-d", within_s=UP_S)
        found.wait_until_well()
        yield found
    finally:
        found.compose("down", "--volumes", within_s=END_S)
