"""Where the engine sees a path of ours, when this very process runs in one of its containers.

One job: that translation. The engine mounts paths of its own machine. A worker in a container that
shares a folder with it (a volume, a bind mount) has that folder under another name, which the
engine knows: it made the mount. On the machine itself, and on engines that do not know our
container, a path is what it is. Whether it works is for the launcher to try.

Which container is ours the kernel does not say. The files of its network do, but those of a
container that joins another one's network are the other one's. So a container counts only when it
has the very mount that holds our folder.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import docker
from docker.errors import NotFound

from auxot_tools.sandbox.engine import engine_errors
from auxot_tools.sandbox.profile import HostFiles
from auxot_tools.types import JSON

log = logging.getLogger(__name__)

_MOUNTINFO = Path("/proc/self/mountinfo")
# Files that the engine keeps for a container and mounts into it; field 4 is where it has them.
_OWN_FILE = re.compile(
    r"^\S+ \S+ \S+ \S*/containers/(?P<id>[0-9a-f]{64})/\S+ /etc/(?:hostname|hosts|resolv\.conf) ",
    re.MULTILINE,
)
_MOUNT = re.compile(r"^\S+ \S+ \S+ (?P<root>/\S*) (?P<place>/\S*) ", re.MULTILINE)
_SAME_END = 2  # names at the end of a path: `NAME/_data` for a volume
_ESCAPED = re.compile(r"\\([0-7]{3})")  # as the kernel writes a space, and its kin


@dataclass(frozen=True, slots=True)
class Mounts:
    """What a container is shown: each path in it, and the path that the engine has it under."""

    sources: Mapping[PurePosixPath, PurePosixPath]

    def engine_path(self, path: str) -> str:
        """`path` as the engine sees it; unchanged when no mount holds it."""
        ours = PurePosixPath(path)
        for place in (ours, *ours.parents):  # the innermost mount counts
            if place in self.sources:
                return str(self.sources[place] / ours.relative_to(place))
        return path

    def engine_files(self, files: HostFiles) -> HostFiles:
        """The files of a box, as the engine sees them."""
        names = (files.socket_folder, files.meminfo, files.cpuinfo)
        return HostFiles(*map(self.engine_path, names))


@dataclass(frozen=True, slots=True)
class Held:
    """The mount of this process that holds a path: where it is, and what of its file system."""

    place: PurePosixPath
    root: PurePosixPath

    def is_of(self, mounts: Mounts) -> bool:
        """Whether these are the mounts of a container that has this one. The engine tells the path
        on its machine, the kernel the one within a file system: they begin differently.
        """
        source = mounts.sources.get(self.place)
        end = self.root.parts[1:][-_SAME_END:]
        return source is not None and source.parts[len(source.parts) - len(end) :] == end


def own_container(mountinfo: str) -> str:
    """The id of the container that has these mounts, or whose network its process has; empty on a
    machine itself. Pure.
    """
    found = _OWN_FILE.search(mountinfo)
    return "" if found is None else found["id"]


def held_by(mountinfo: str, path: Path) -> Held:
    """The innermost mount that holds `path`. Pure."""
    ours = PurePosixPath(path)
    mounts = {place: root for place, root in _mounts(mountinfo) if ours.is_relative_to(place)}
    place = max(mounts, key=lambda one: len(one.parts), default=PurePosixPath("/"))
    return Held(place, mounts.get(place, PurePosixPath("/")))


def _mounts(mountinfo: str) -> Iterator[tuple[PurePosixPath, PurePosixPath]]:
    """Place and root of each, in their order: what comes later covers what was there."""
    for found in _MOUNT.finditer(mountinfo):
        yield PurePosixPath(_plain(found["place"])), PurePosixPath(_plain(found["root"]))


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


def mounts_of(inspected: JSON) -> Mounts:
    """The mounts in the engine's answer for one container. Pure."""
    found = inspected.get("Mounts") or ()
    return Mounts(
        {
            PurePosixPath(one["Destination"]): PurePosixPath(one["Source"])
            for one in found
            if one.get("Source") and one.get("Destination")
        }
    )


def own_mounts(client: docker.APIClient, folder: Path, mountinfo: Path = _MOUNTINFO) -> Mounts:
    """The mounts of the container that this process runs in, if one of them holds `folder`; none
    when it runs in none that this engine knows. Blocking. Raises `EngineUnavailable`.
    """
    text = _text(mountinfo)
    container = own_container(text)
    if not container:
        return Mounts({})
    held = held_by(text, folder)
    try:
        with engine_errors():
            guess = mounts_of(client.inspect_container(container))
    except NotFound:  # of another engine, such as the one around an engine in a container
        return Mounts({})
    if held.is_of(guess):
        log.info("this worker runs in container %s of the engine", container[:12])
        return guess
    found = _elsewhere(client, held)
    if not found.sources:
        log.info("the engine has no container with a mount that holds %s here", folder)
    return found


def _elsewhere(client: docker.APIClient, held: Held) -> Mounts:
    """Of the containers that have the mount: all must have it from one place, ours among them."""
    with engine_errors():
        listed: Iterable[JSON] = client.containers()
    fitting = [mounts for mounts in map(mounts_of, listed) if held.is_of(mounts)]
    sources = {mounts.sources[held.place] for mounts in fitting}
    return Mounts({held.place: sources.pop()} if len(sources) == 1 else {})


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
