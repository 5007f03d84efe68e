"""The image of the services: the same files give the same bytes, and only what is needed."""

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.errors import Unavailable
from auxot_tools.sandbox.debian_packages import planned_in
from deploy.service_image.archive import image_config, write_archive
from deploy.service_image.build import PACKAGES_LABEL, Inputs, forget_scripts, settings
from deploy.service_image.debian import known_packages, note_packages
from deploy.service_image.layers import Content, Extra, Layer, layer_of, write_layer
from deploy.service_image.pins import Unpinned, needed, pinned

LOCK = """\
first==2.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
Second_Part==1.0 ; sys_platform == 'linux' \\
    --hash=sha256:cc
third==9 \\
    --hash=sha256:dd
"""


def tree(folder: Path, *, seen_at: int) -> Path:
    """The same files, made in another order, at another time, with other rights for others."""
    (folder / "b").mkdir(parents=True)
    names = ["a", "b/x", "b/y"]
    for name in names if seen_at % 2 else reversed(names):
        (folder / name).write_text(name)
        (folder / name).chmod(0o666 if seen_at % 2 else 0o600)
        os.utime(folder / name, (seen_at, seen_at))
    (folder / "b/y").chmod(0o4755)
    (folder / "link").symlink_to("b/x")
    return folder


def layer(tmp_path: Path, name: str, **content: object) -> Layer:
    return write_layer(Content(**content), tmp_path / f"{name}.tar")  # type: ignore[arg-type]


def read(tar: tarfile.TarFile, name: str) -> Any:
    member = tar.extractfile(name)
    assert member is not None
    return json.load(member)


def test_a_layer_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    layers = [
        layer(tmp_path, str(seen_at), folder=tree(tmp_path / f"tree{seen_at}", seen_at=seen_at))
        for seen_at in (1, 2_000_000)
    ]
    assert layers[0].diff_id == layers[1].diff_id
    (tmp_path / "tree1/a").write_text("other")
    other = layer(tmp_path, "other", folder=tmp_path / "tree1")
    assert other.diff_id != layers[0].diff_id


def test_a_layer_holds_no_times_no_names_of_users_and_no_setuid_bits(tmp_path: Path) -> None:
    folder = tree(tmp_path / "tree", seen_at=1)
    extras = {"/run/own": Extra(None, 0o700, 10001), "/etc/x": Extra("text")}
    made = layer(tmp_path, "one", folder=folder, extras=extras)
    with tarfile.open(made.path) as tar:
        members = {member.name: member for member in tar}
    names = list(members)
    assert names == sorted(names)
    assert {member.mtime for member in members.values()} == {0}
    assert {member.uname for member in members.values()} == {""}
    assert members["b/y"].mode == 0o755
    assert (members["run/own"].uid, members["run/own"].mode) == (10001, 0o700)
    assert (members["run"].uid, members["etc"].mode) == (0, 0o755)
    assert members["link"].linkname == "b/x"


def test_the_folder_that_an_image_is_made_in_is_not_in_it(tmp_path: Path) -> None:
    kept = "uvicorn/main.py,sha256=cc,9\nuvicorn-1.dist-info/RECORD,,\n"
    for name, script in (("here", "sha256=aa,201"), ("elsewhere", "sha256=bb,231")):
        info = tmp_path / name / "uvicorn-1.dist-info"
        info.mkdir(parents=True)
        (info / "RECORD").write_text(f"../../bin/uvicorn,{script}\n{kept}")
        forget_scripts(tmp_path / name)
        assert (info / "RECORD").read_text() == kept
    layers = [layer(tmp_path, each, folder=tmp_path / each) for each in ("here", "elsewhere")]
    assert layers[0].diff_id == layers[1].diff_id


def test_an_archive_is_what_engines_load_and_its_id_is_its_content(tmp_path: Path) -> None:
    layers = {"files": layer(tmp_path, "one", folder=tree(tmp_path / "tree", seen_at=1))}
    config = image_config("amd64", {"User": "1:1"}, layers)
    ids = [write_archive(config, list(layers.values()), "a/b:c", tmp_path / name) for name in "xy"]
    assert ids[0] == ids[1]
    assert layer_of(tmp_path / "x") == Layer(tmp_path / "x", layer_of(tmp_path / "y").diff_id)
    with tarfile.open(tmp_path / "x") as tar:
        (entry,) = read(tar, "manifest.json")
        found = read(tar, entry["Config"])
        assert entry["RepoTags"] == ["a/b:c"]
        assert f"sha256:{entry['Config'].removesuffix('.json')}" == ids[0]
        assert found["rootfs"]["diff_ids"] == [layers["files"].diff_id]
        assert set(entry["Layers"]) < set(tar.getnames())


def test_the_services_need_what_the_project_asks_for_and_no_tools() -> None:
    names = needed(["starlette>=1", "pydantic>=2", "docker"])
    assert {"starlette", "anyio", "pydantic", "pydantic-core", "docker", "urllib3"} <= names
    assert not names & {"pytest", "ruff", "mypy", "trio"}
    assert "standard" not in names


def test_extras_and_markers_are_followed() -> None:
    assert "pytest" not in needed(["anyio"])
    assert needed(["docker ; sys_platform == 'win32'"]) == set()


def test_pins_keep_their_hashes_and_a_missing_one_is_named() -> None:
    found = pinned(LOCK, {"second-part", "first"})
    assert found.splitlines()[0].startswith("first==2.1")
    assert "sha256:bb" in found
    assert "sha256:cc" in found
    assert "third" not in found
    with pytest.raises(Unpinned, match="fourth"):
        pinned(LOCK, {"first", "fourth"})
    with pytest.raises(Unpinned, match="no-such-package-here is not installed"):
        needed(["no-such-package-here"])


PLAN = """\
I: simulate downloading packages with apt...
Inst libssl3 (3.0.22-1~deb12u2 Debian:12.12/oldstable, Debian-Security:12 [amd64]) []
Inst zlib1g (1:1.2.13.dfsg-1 Debian:12.12/oldstable [amd64])
Conf zlib1g (1:1.2.13.dfsg-1 Debian:12.12/oldstable [amd64])
"""
PACKAGES = ("libssl3=3.0.22-1~deb12u2", "zlib1g=1:1.2.13.dfsg-1")


def test_what_the_mirror_has_is_read_with_its_versions() -> None:
    assert planned_in(PLAN) == PACKAGES
    with pytest.raises(Unavailable, match="which packages"):
        planned_in("I: simulate downloading packages with apt...\n")


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    (tmp_path / "ours.whl").write_bytes(b"wheel")
    return tmp_path / "ours.whl"


def image_of(wheel: Path, *packages: str) -> Inputs:
    return Inputs({"uid": 1}, "amd64", "bookworm", packages, "first==2.1", wheel)


def test_an_image_of_older_packages_has_another_tag(wheel: Path) -> None:
    now, again = (image_of(wheel, *PACKAGES) for _ in range(2))
    old = image_of(wheel, PACKAGES[0].replace("u2", "u1"), PACKAGES[1])
    assert now.tag == again.tag != old.tag
    assert now.base_key == again.base_key != old.base_key  # else its layer would be taken again


def test_an_image_says_which_packages_it_is_made_of(wheel: Path) -> None:
    labels = settings(image_of(wheel, *PACKAGES))["Labels"]
    assert labels[PACKAGES_LABEL].split() == list(PACKAGES)


def nobody_answers() -> tuple[str, ...]:
    raise Unavailable("The mirror cannot be reached.")


def test_the_mirror_of_now_counts_and_the_last_note_when_it_cannot_be_asked(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(Unavailable, match="mirror"):
        known_packages(tmp_path, "key", nobody_answers, said.append)
    note_packages(tmp_path, "another", PACKAGES)
    note_packages(tmp_path, "key", PACKAGES)
    assert known_packages(tmp_path, "key", lambda: ("newer=2",), said.append) == ("newer=2",)
    assert said == []
    assert known_packages(tmp_path, "key", nobody_answers, said.append) == PACKAGES
    assert "The mirror cannot be reached. Taking the versions" in said[0]
    assert [one.name for one in tmp_path.iterdir()] == ["key-debian.txt"]
