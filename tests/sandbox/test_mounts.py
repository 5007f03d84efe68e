"""A worker in a container: the engine is told its paths as the engine has them."""

from pathlib import Path
from typing import Any, cast

import docker
import pytest
from docker.errors import NotFound

from auxot_tools.sandbox.mounts import Mounts, mounts_of, own_container, own_mounts
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


class FakeEngine:
    def __init__(self, *, knows: bool) -> None:
        self.knows, self.asked = knows, 0

    def inspect_container(self, container: str) -> dict[str, Any]:
        self.asked += 1
        if not self.knows:
            raise NotFound("no such container")
        return INSPECTED


@pytest.mark.parametrize(
    ("text", "knows", "asked", "count"),
    [(OWN.format("hosts"), True, 1, 2), (OWN.format("hosts"), False, 1, 0), (ROOT, True, 0, 0)],
)
def test_only_the_engine_that_runs_this_container_tells_its_mounts(
    tmp_path: Path, text: str, knows: bool, asked: int, count: int
) -> None:
    (tmp_path / "mountinfo").write_text(text + "\n")
    engine = FakeEngine(knows=knows)
    mounts = own_mounts(cast("docker.APIClient", engine), tmp_path / "mountinfo")
    assert (engine.asked, len(mounts.sources)) == (asked, count)


def test_on_the_machine_itself_nothing_changes(tmp_path: Path) -> None:
    mounts = own_mounts(cast("docker.APIClient", FakeEngine(knows=True)), tmp_path / "none")
    assert mounts == Mounts({})
    assert mounts.engine_path("/run/auxot-tools/x") == "/run/auxot-tools/x"
