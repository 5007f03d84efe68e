"""The worker's own folder for the sockets of its boxes, and its removal, also after a crash.

One job: paths and files on this machine. Each box has a folder of its own in the worker's, so that
a container is shown its own socket and nothing else. The folder's name proves whether its owner
lives, as the labels of a container do (see `reaper.py`); where the owner was in another container,
whose processes cannot be seen, the lock on the folder does.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from auxot_tools.sandbox.kind import BoxKind
from auxot_tools.sandbox.proc_files import cpuinfo, meminfo
from auxot_tools.sandbox.profile import HostFiles, Identity

_ROOT_PLACE = Path("/run/auxot-tools")
_NAME = re.compile(r"^(?P<worker>.*)-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<start>\d+)$")
_WORKER_CHARS = 12  # of its id: a unix socket's whole path has 107 bytes
_HOST_CPUINFO = Path("/proc/cpuinfo")
_LOCKING_TRIES = 3  # another worker's cleaning may come between making a folder and locking it

ProcessStart = Callable[[int], int | None]


@dataclass(frozen=True, slots=True)
class BoxFolder:
    """One box's part of the worker's folder. ``socket`` is to be listened on by the worker, and
    ``outlet`` too where the box may reach hosts.
    """

    path: Path
    socket: Path
    outlet: Path
    files: HostFiles

    def remove(self) -> None:
        """Blocking, quick; also when it is gone already."""
        shutil.rmtree(self.path, ignore_errors=True)


class RunDir:
    """Makes and removes the folders. Nothing is made before the first box needs one."""

    def __init__(self, identity: Identity, place: Path | None = None) -> None:
        self._identity = identity
        self._place = place or _default_place()
        worker = re.sub(r"[^A-Za-z0-9_]", "_", identity.worker_id)[:_WORKER_CHARS]
        namespace = _namespace_number(identity)
        self.path = self._place / f"{worker}-{namespace}-{identity.pid}-{identity.pid_start}"
        self._lock: int | None = None  # on the folder; held as long as this process lives

    def make_box(self, name: str, kind: BoxKind) -> BoxFolder:
        """A folder for one box. Raises `OSError`. Blocking, quick: it is in memory on Linux."""
        self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._place.is_symlink() or self._place.stat().st_uid != os.geteuid():
            raise PermissionError(f"{self._place} belongs to somebody else")
        self._make_own()
        folder = self.path / name
        folder.mkdir(mode=0o711)
        try:
            return _fill(folder, kind)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _make_own(self) -> None:
        for _ in range(_LOCKING_TRIES):
            self.path.mkdir(mode=0o700, exist_ok=True)
            if self._lock is None:
                self._lock = _locked(self.path)
            if self.path.exists():
                return

    def remove(self) -> None:
        """The end: the worker's whole folder. The place stays: another worker may just begin."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove_leftovers(self, process_start: ProcessStart) -> int:
        """Remove the folders of workers that are provably dead; how many that were."""
        removed = 0
        for path in self._place.glob("*-*-*-*"):
            if path != self.path and self._is_dead(path, process_start):
                shutil.rmtree(path, ignore_errors=True)
                removed += 1
        return removed

    def _is_dead(self, path: Path, process_start: ProcessStart) -> bool:
        found = _NAME.match(path.name)
        if found is None or not self._identity.pid_start:
            return False
        if int(found["namespace"]) != _namespace_number(self._identity):
            return _is_unlocked(path)  # its process cannot be seen
        return process_start(int(found["pid"])) != int(found["start"])


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; `None` when that cannot be had."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks
        os.close(descriptor)
        return None
    return descriptor


def _is_unlocked(folder: Path) -> bool:
    """Whether nobody holds the lock."""
    descriptor = _locked(folder)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def _fill(folder: Path, kind: BoxKind) -> BoxFolder:
    shown = folder / "run"
    shown.mkdir()
    shown.chmod(0o711)  # whatever the umask is: the user of the box must pass
    texts = {
        "meminfo": meminfo(kind.memory_bytes),
        "cpuinfo": cpuinfo(_text(_HOST_CPUINFO), kind.cpus),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o444)
    files = HostFiles(str(shown), str(folder / "meminfo"), str(folder / "cpuinfo"))
    return BoxFolder(folder, shown / "s", shown / "e", files)


def _default_place() -> Path:
    if os.geteuid() == 0:
        return _ROOT_PLACE
    runtime_dir = Path(f"/run/user/{os.geteuid()}")  # where systemd's login has one
    if runtime_dir.is_dir():
        return runtime_dir / "auxot-tools"
    return Path(tempfile.gettempdir()) / f"auxot-tools-{os.geteuid()}"


def _namespace_number(identity: Identity) -> int:
    digits = re.sub(r"\D", "", identity.pid_namespace)
    return int(digits or 0)


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace")
    return ""
