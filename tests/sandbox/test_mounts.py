"""A worker in a container: the engine is told its paths as the engine has them."""

from pathlib import Path
from typing import Any, cast

import docker
import pytest
from docker.errors import NotFound

from auxot_tools.sandbox.mounts import Mounts, held_by, mounts_of, own_container, own_mounts
from auxot_tools.sandbox.profile import HostFiles

ID = "0123456789abcdef" * 4
ROOT = "587 575 0:54 / / ro,relatime master:1 - overlay overlay rw,lowerdir=/var/lib/docker/x"
OWN = f"612 587 254:1 /var/lib/docker/containers/{ID}/{{0}} /etc/{{0}} rw - ext4 /dev/vda rw"
POD = "613 587 254:1 /var/lib/kubelet/pods/1/etc-hosts /etc/hosts rw - ext4 /dev/vda rw"
INSPECTED = {
    "Mounts": [
        {"Type": "volume", "Source": "/var/lib/docker/volumes/v/_data", "Destination": "/run/a"},
        {"Type": "bind", "Source": "/srv/inner", "Destination": "/run/a/inner"},
        {"Type": "tmpfs", "Source": "", "Destination": "/tmp"},
    ]
}


@pytest.mark.parametrize("name", ["hostname", "hosts", "resolv.conf"])
def test_a_container_knows_its_own_id_by_its_mounts(name: str) -> None:
    assert own_container(f"{ROOT}\n{OWN.format(name)}\n") == ID


@pytest.mark.parametrize("text", ["", ROOT, f"{ROOT}\n{POD}\n"])
def test_what_is_no_container_of_an_engine_has_no_id(text: str) -> None:
    assert own_container(text) == ""


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/run/a/w-1/run", "/var/lib/docker/volumes/v/_data/w-1/run"),
        ("/run/a", "/var/lib/docker/volumes/v/_data"),
        ("/run/a/inner/x", "/srv/inner/x"),
        ("/run/ab/x", "/run/ab/x"),
        ("/tmp/x", "/tmp/x"),
    ],
)
def test_a_path_is_told_as_the_engine_has_it(path: str, seen: str) -> None:
    assert mounts_of(INSPECTED).engine_path(path) == seen


def test_all_files_of_a_box_are_told_so() -> None:
    files = mounts_of(INSPECTED).engine_files(HostFiles("/run/a/b/run", "/run/a/b/m", "/etc/c"))
    base = "/var/lib/docker/volumes/v/_data/b"
    assert files == HostFiles(f"{base}/run", f"{base}/m", "/etc/c")


def mount(place: str, root: str) -> str:
    return f"614 587 254:1 {root} {place} rw,relatime - ext4 /dev/vda rw"


VOLUME = "/var/lib/docker/volumes/v/_data"
BOXES = mount("/run/a", VOLUME)


@pytest.mark.parametrize(
    ("path", "place", "root"),
    [
        ("/run/a/w-1", "/run/a", VOLUME),
        ("/run/a", "/run/a", VOLUME),
        ("/run/ab", "/", "/"),
        ("/run/a b/x", "/run/a b", "/srv/b"),
        ("/run/c/x", "/run/c", "/later"),
    ],
)
def test_the_mount_that_holds_a_path_is_found(path: str, place: str, root: str) -> None:
    lines = [
        *(ROOT, BOXES, mount(r"/run/a\040b", "/srv/b")),
        *(mount("/run/c", "/before"), mount("/run/c", "/later")),
    ]
    held = held_by("\n".join(lines) + "\n", Path(path))
    assert (str(held.place), str(held.root)) == (place, root)


def container(**sources: str) -> dict[str, Any]:
    """By place under /run."""
    return {
        "Mounts": [
            {"Source": source, "Destination": f"/run/{name}"} for name, source in sources.items()
        ]
    }


class FakeEngine:
    """Knows one container by the id `ID`, and lists others."""

    def __init__(self, known: dict[str, Any] | None, *others: dict[str, Any]) -> None:
        self.known, self.others = known, list(others)

    def inspect_container(self, container: str) -> dict[str, Any]:
        if self.known is None or container != ID:
            raise NotFound("no such container")
        return self.known

    def containers(self) -> list[dict[str, Any]]:
        return self.others


OURS = container(a=VOLUME, b="/srv/b")
SAME = {"/run/a": VOLUME}
ELSEWHERE = container(a="/var/lib/docker/volumes/another/_data")


@pytest.mark.parametrize(
    ("engine", "sources"),
    [
        (FakeEngine(OURS), SAME | {"/run/b": "/srv/b"}),
        (FakeEngine(None, OURS), {}),  # an engine that does not know us has no say
        (FakeEngine(container(), OURS), SAME),
        (FakeEngine(ELSEWHERE, ELSEWHERE, OURS), SAME),
        (FakeEngine(container(), OURS, container(a=VOLUME)), SAME),
        (FakeEngine(container(), container(), ELSEWHERE), {}),
    ],
    ids=[
        "its own",
        "of another engine",
        "of another network without mounts",
        "of another network with other mounts",
        "beside its twin",
        "nowhere",
    ],
)
def test_the_container_that_has_our_mount_tells_where_it_is(
    tmp_path: Path, engine: FakeEngine, sources: dict[str, str]
) -> None:
    (tmp_path / "mountinfo").write_text("\n".join((ROOT, OWN.format("hosts"), BOXES)) + "\n")
    client = cast("docker.APIClient", engine)
    mounts = own_mounts(client, Path("/run/a/w"), tmp_path / "mountinfo")
    assert {str(place): str(source) for place, source in mounts.sources.items()} == sources


def test_two_places_that_look_alike_tell_nothing(tmp_path: Path) -> None:
    whole = mount("/run/a", "/")  # a file system of its own: the kernel tells no path
    (tmp_path / "mountinfo").write_text("\n".join((ROOT, OWN.format("hosts"), whole)) + "\n")
    engine = FakeEngine(container(), container(a="/mnt/1"), container(a="/mnt/2"))
    client = cast("docker.APIClient", engine)
    assert own_mounts(client, Path("/run/a"), tmp_path / "mountinfo") == Mounts({})


@pytest.mark.parametrize("root", ["/@/var/lib/docker/volumes/v/_data", "/volumes/v/_data"])
def test_a_file_system_that_is_not_the_machine_s_root_tells_the_end_of_the_path(
    tmp_path: Path, root: str
) -> None:
    lines = (ROOT, OWN.format("hosts"), mount("/run/a", root))
    (tmp_path / "mountinfo").write_text("\n".join(lines) + "\n")
    client = cast("docker.APIClient", FakeEngine(OURS))
    mounts = own_mounts(client, Path("/run/a/w"), tmp_path / "mountinfo")
    assert mounts.engine_path("/run/a/w") == f"{VOLUME}/w"


def test_on_the_machine_itself_nothing_changes(tmp_path: Path) -> None:
    client = cast("docker.APIClient", FakeEngine(OURS, OURS))
    for text in ("", ROOT + "\n", BOXES + "\n"):
        (tmp_path / "mountinfo").write_text(text)
        mounts = own_mounts(client, Path("/run/a"), tmp_path / "mountinfo")
        assert mounts == Mounts({})
        assert mounts.engine_path("/run/auxot-tools/x") == "/run/auxot-tools/x"
    assert own_mounts(client, Path("/run/a"), tmp_path / "none") == Mounts({})
