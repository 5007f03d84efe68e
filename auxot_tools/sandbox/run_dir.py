"""The worker's own folder for the sockets of its boxes, and its removal, also after a crash.

One job: paths and files on this machine. Each box has a folder of its own in the worker's, so that
a container is shown its own socket and nothing else. The folder's name proves whether its owner
lives, as the labels of a container do (see `reaper.py`); where the owner cannot be seen, as in
another container, the lock on the folder does. Who removes a folder holds its lock meanwhile.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from auxot_tools.sandbox.identity import UNSEEN
from auxot_tools.sandbox.kind import BoxKind
from auxot_tools.sandbox.proc_files import cpuinfo, meminfo
from auxot_tools.sandbox.profile import HostFiles, Identity

_ROOT_PLACE = Path("/run/auxot-tools")
_NAME = re.compile(r"^(?P<worker>.*)-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<start>\d+)$")
_WORKER_CHARS = 12  # of its id: a unix socket's whole path has 107 bytes
_HOST_CPUINFO = Path("/proc/cpuinfo")
# Another worker's cleaning may come between making a folder and locking it. It is over in a moment,
# as there is nothing in the folder yet: 0.2 s in all is more than enough.
_LOCKING_TRIES = 100
_LOCKING_PAUSE_S = 0.002

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
        self._place = place_of(place)
        worker = re.sub(r"[^A-Za-z0-9_]", "_", identity.worker_id)[:_WORKER_CHARS]
        namespace = _namespace_number(identity)
        self.path = self._place / f"{worker}-{namespace}-{identity.pid}-{identity.pid_start}"
        self._lock: int | None = None  # on the folder; held as long as this process lives

    def make_box(self, name: str, kind: BoxKind) -> BoxFolder:
        """A folder for one box. Raises `OSError`. Blocking, quick: it is in memory on Linux; 0.2 s
        at most while another worker's cleaning has the folder in hand.
        """
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
            try:
                self._hold_lock()
            except (BlockingIOError, FileNotFoundError):  # somebody removes it just now
                time.sleep(_LOCKING_PAUSE_S)
            else:
                return
        raise BlockingIOError(f"{self.path} is being removed by another process")

    def _hold_lock(self) -> None:
        """On the folder that is there now. Raises as `_locked` does."""
        if self._lock is not None and _is_at(self._lock, self.path):
            return
        self._let_go()
        self._lock = _locked(self.path)

    def _let_go(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove(self) -> None:
        """The end: the worker's whole folder. The place stays: another worker may just begin."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._let_go()

    def remove_leftovers(self, process_start: ProcessStart) -> int:
        """Remove the folders of workers that are provably dead; how many that were."""
        return sum(
            _removed(path, needs_lock=lives is None)
            for path in self._place.glob("*-*-*-*")
            if path != self.path and not (lives := self._owner_lives(path, process_start))
        )

    def _owner_lives(self, path: Path, process_start: ProcessStart) -> bool | None:
        """By its process, and `None` when that cannot be seen. What is not ours is left alone."""
        found = _NAME.match(path.name)
        if found is None or not self._identity.pid_start:
            return True
        if int(found["namespace"]) != _namespace_number(self._identity):
            return None
        started = process_start(int(found["pid"]))
        return None if started == UNSEEN else started == int(found["start"])


def _removed(path: Path, *, needs_lock: bool) -> bool:
    """Whether the folder was removed: not while somebody holds its lock, and where there are no
    locks only when none is needed.
    """
    try:
        lock = _locked(path)
    except OSError:
        return False
    if lock is None and needs_lock:
        return False
    try:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        if lock is not None:
            os.close(lock)
    return True


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; `None` on a file system without locks.

    Raises `OSError`: `BlockingIOError` while somebody holds it, `FileNotFoundError` when the folder
    goes, or another takes its place, meanwhile.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(descriptor, folder):
            raise FileNotFoundError(f"{folder} is another folder now")
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open folder is the one that is at ``path`` now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


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


def place_of(chosen: Path | None) -> Path:
    """Where workers of this user have their folders: as chosen, or the standard place."""
    return chosen or _default_place()


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
