"""A Docker engine of the tests' own, to be killed, frozen and restarted; nothing else uses it.

Its data, sockets, pid files and containerd live in one folder, and its containers' cgroups under a
name of its own, so that `leftovers` can say what is left of them. Needs root and Linux.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import Process

START_S = 60.0
STOP_S = 40.0
ASK_S = 30.0
COPY_S = 300.0  # of the image, 250 MB
_LOOK_S = 0.1
_CGROUPS = Path("/sys/fs/cgroup")
_CONTAINERD = """\
version = 2
root = "{home}/containerd"
state = "{home}/containerd-run"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{home}/containerd.sock"
"""

Leftovers = dict[str, list[str]]
# An engine that is killed while it makes a container may know nothing of it afterwards, though its
# parts lie about. Nobody who asks the engine can remove them. They count as forgotten only while
# the engine denies the container and no program of it has ever begun.
FORGOTTEN = "forgotten by the engine"


@dataclass
class SecondEngine:
    """A dockerd and its containerd. ``runtimes``: name -> program with its arguments."""

    home: Path
    runtimes: dict[str, list[str]] = field(default_factory=dict)
    live_restore: bool = False
    engine: Process | None = None
    containerd: Process | None = None
    was_mounted: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"unix://{self.home}/docker.sock"

    @property
    def cgroup(self) -> str:
        return f"/{self.home.name}"

    async def start(self) -> None:
        """Start what does not run, and wait until the engine answers."""
        if self.containerd is None:
            (self.home / "containerd.toml").write_text(_CONTAINERD.format(home=self.home), "utf-8")
            self.containerd = await self._spawn(
                "containerd", "--config", f"{self.home}/containerd.toml"
            )
        (self.home / "docker.pid").unlink(missing_ok=True)
        settings = {
            "runtimes": {
                name: {"path": path, "runtimeArgs": arguments}
                for name, (path, *arguments) in self.runtimes.items()
            },
            "live-restore": self.live_restore,
        }
        (self.home / "daemon.json").write_text(json.dumps(settings), "utf-8")
        # A network namespace of its own: without a bridge an engine deletes the machine's docker0,
        # which belongs to another.
        self.engine = await self._spawn(
            *("unshare", "--net", "--"),
            *("dockerd", "--config-file", f"{self.home}/daemon.json", "--host", self.url),
            *("--data-root", f"{self.home}/data", "--exec-root", f"{self.home}/run"),
            *("--pidfile", f"{self.home}/docker.pid"),
            *("--containerd", f"{self.home}/containerd.sock", "--cgroup-parent", self.cgroup),
            *("--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"),
            *("--shutdown-timeout", "5", "--log-level", "warn"),
        )
        with anyio.fail_after(START_S):
            while (await self.docker("version", check=False)).returncode:  # noqa: ASYNC110
                await anyio.sleep(_LOOK_S)  # it says nowhere that it listens

    async def kill(self) -> None:
        """`kill -9` of the engine alone: containerd and the containers go on."""
        assert self.engine is not None
        self.engine.kill()
        with anyio.fail_after(STOP_S):
            await self.engine.wait()
        await self.engine.aclose()
        self.engine = None

    def signal(self, number: signal.Signals) -> None:
        if self.engine is not None:
            self.engine.send_signal(number)

    async def docker(
        self, *arguments: str, within_s: float = ASK_S, check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        """One `docker` command on this engine."""
        with anyio.fail_after(within_s):
            return await anyio.run_process(["docker", "-H", self.url, *arguments], check=check)

    async def load(self, image: str) -> None:
        """Copy ``image`` from the machine's own engine."""
        copy = f'docker save "{image}" | docker -H "{self.url}" load'
        with anyio.fail_after(COPY_S):
            await anyio.run_process(["bash", "-o", "pipefail", "-c", copy])
        self.was_mounted = set(self._mounts())

    async def containers(self) -> list[str]:
        """Ids of all containers, in whatever state."""
        listed = await self.docker("ps", "-aq", "--no-trunc")
        return listed.stdout.decode().split()

    async def leftovers(self) -> Leftovers:
        """What of containers is still there, by kind; empty when nothing is."""
        known = await self.containers()
        found = {"container": known}
        found |= await anyio.to_thread.run_sync(self._left_on_the_host, set(known))
        return {kind: names for kind, names in found.items() if names}

    def _left_on_the_host(self, known: set[str]) -> Leftovers:
        """A network namespace is held by a mount; without one its file says nothing."""
        left: Leftovers = {"process": [], "cgroup": [], "mount": [], FORGOTTEN: []}
        for pid, container, command, has_begun in self._processes():
            is_engines = container not in known and not has_begun
            left[FORGOTTEN if is_engines else "process"].append(f"{pid} {command}")
        running = {container for _, container, _, has_begun in self._processes() if has_begun}
        for path in self._cgroups():
            if path.name != self.home.name:
                is_engines = not {path.name} & (known | running)
                left[FORGOTTEN if is_engines else "cgroup"].append(str(path))
        for name in self._mounts():
            if name not in self.was_mounted:
                is_engines = self._container_of_mount(name) not in known | running
                left[FORGOTTEN if is_engines else "mount"].append(name)
        return left

    def _processes(self) -> Iterator[tuple[int, str, str, bool]]:
        """Pid, container, command; and whether it is a program of a container that has begun.

        Before it begins, the runtime's own `runc init` stands in its place. Shims never count.
        """
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has just ended
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                inside = re.search(f"{self.cgroup}/(\\w+)", (folder / "cgroup").read_text())
                command = " ".join(words)[:300]
                if "containerd-shim" in words[0] and str(self.home) in command:
                    yield int(folder.name), words[words.index("-id") + 1], command, False
                elif inside:
                    yield int(folder.name), inside[1], command, words[:2] != ["runc", "init"]

    def _container_of_mount(self, name: str) -> str:
        """The container whose root file system is mounted here; "" when none has it."""
        layer = Path(name).parent.name
        for file in self.home.glob("data/image/*/layerdb/mounts/*/mount-id"):
            if file.read_text("ascii") == layer:
                return file.parent.name
        return ""

    def _cgroups(self) -> list[Path]:
        roots = [_CGROUPS / self.home.name, *_CGROUPS.glob(f"*/{self.home.name}")]
        return [path for root in roots for path in (root, *root.rglob("*")) if path.is_dir()]

    def _mounts(self) -> list[str]:
        rows = Path("/proc/self/mountinfo").read_text().splitlines()
        return [row.split()[4] for row in rows if str(self.home) in row.split()[4]]

    async def close(self) -> None:
        """Stop both, and remove all that they had."""
        for process in (self.engine, self.containerd):
            if process is not None:
                await _end(process)
        self.engine = self.containerd = None
        await anyio.to_thread.run_sync(self._remove)

    def _remove(self) -> None:
        for pid, *_ in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for mount in reversed(self._mounts()):
            subprocess.run(["umount", "--lazy", mount], check=False, timeout=ASK_S)
        for cgroup in reversed(self._cgroups()):
            with suppress(OSError):
                cgroup.rmdir()
        shutil.rmtree(self.home, ignore_errors=True)

    async def _spawn(self, *command: str) -> Process:
        with (self.home / "engine.log").open("ab") as log:
            return await anyio.open_process(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )


async def _end(process: Process) -> None:
    process.send_signal(signal.SIGCONT)
    process.terminate()
    with anyio.move_on_after(STOP_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.aclose()


@asynccontextmanager
async def second_engine(
    image: str, runtimes: dict[str, list[str]] | None = None
) -> AsyncGenerator[SecondEngine, None]:
    """An engine that runs and has ``image``; leaving removes all traces of it."""
    # Not /tmp, which may be a tmpfs: an overlay of the kernel's needs a disk.
    home = Path(tempfile.mkdtemp(prefix="auxot-engine-", dir="/var/tmp"))
    engine = SecondEngine(home, runtimes or {})
    try:
        await engine.start()
        await engine.load(image)
        yield engine
    finally:
        with anyio.CancelScope(shield=True):  # bounded by STOP_S, twice
            await engine.close()
