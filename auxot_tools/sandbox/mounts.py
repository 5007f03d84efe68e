"""Where the engine sees a path of ours, when this very process runs in one of its containers.

One job: that translation. The engine mounts paths of its own machine. A worker in a container that
shares a folder with it (a volume, a bind mount) has that folder under another name, which the
engine knows: it made the mount. On the machine itself, and on engines that do not know our
container, a path is what it is. Whether it works is for the launcher to try.
"""

import logging
import re
from collections.abc import Mapping
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


def own_container(mountinfo: str) -> str:
    """The id of the container that has these mounts; empty on a machine itself. Pure."""
    found = _OWN_FILE.search(mountinfo)
    return "" if found is None else found["id"]


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


def own_mounts(client: docker.APIClient, mountinfo: Path = _MOUNTINFO) -> Mounts:
    """The mounts of the container that this process runs in; none when it runs in none that this
    engine knows. Blocking. Raises `EngineUnavailable`.
    """
    container = own_container(_text(mountinfo))
    if not container:
        return Mounts({})
    try:
        with engine_errors():
            mounts = mounts_of(client.inspect_container(container))
    except NotFound:  # of another engine, such as the one around an engine in a container
        return Mounts({})
    log.info("this worker runs in container %s of the engine", container[:12])
    return mounts


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
