"""The image is fixed by content, made once, and its failures say what to do."""

import shutil
import threading
from pathlib import Path

import pytest

from auxot_tools.errors import ConfigError, EngineUnavailable, Unavailable
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.engine import connect
from auxot_tools.sandbox.image import BASE_REPOSITORY, ImageReport, build_image, image_tag
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.share import share_dir
from tests.support.engine import run_program, sandbox_image


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A copy of the recipe, to be changed."""
    return Path(shutil.copytree(share_dir("sandbox"), tmp_path / "sandbox"))


def test_the_tag_depends_on_content_architecture_and_base_alone(recipe: Path) -> None:
    tag = image_tag("amd64", "", recipe)
    assert tag == image_tag("amd64")
    assert tag.startswith("auxot-tools/sandbox:")
    assert len({tag, image_tag("arm64", "", recipe), image_tag("amd64", "debian:12", recipe)}) == 3
    for name in (
        "init/init.py",
        "init/node.cjs",
        "image/recipe.toml",
        "image/Dockerfile",
        "image/install.sh",
        "image/kept.py",
    ):
        file = recipe / name
        old = file.read_bytes()
        file.write_bytes(old + b"\n# changed\n")
        assert image_tag("amd64", "", recipe) != tag, name
        file.write_bytes(old)
    (recipe / "README.md").write_text("changed")
    (recipe / "seccomp" / "base.json").write_text("{}")
    assert image_tag("amd64", "", recipe) == tag


def test_each_selection_of_packages_has_an_image_of_its_own() -> None:
    tags = {image_tag("amd64", packages=packages) for packages in ("standard", "data")}
    assert len(tags) == 2
    assert image_tag("amd64") in tags


@pytest.mark.engine
def test_a_selection_of_packages_that_is_not_known_is_named() -> None:
    with pytest.raises(ConfigError, match="`dat`; there are standard, data"):
        build_image(packages="dat")


def test_a_build_without_an_engine_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="ensure-engine"):
        build_image(base_url=f"unix://{tmp_path}/nobody.sock")


@pytest.mark.engine
def test_an_image_that_is_there_is_not_built_again() -> None:
    tag = sandbox_image()
    lines: list[str] = []
    report = build_image(progress=lines.append)
    assert (report.tag, report.built) == (tag, False)
    assert len(lines) == 1
    assert "is there" in lines[0]


@pytest.mark.engine
@pytest.mark.anyio
async def test_an_image_upon_another_base_runs_programs(recipe: Path) -> None:
    """With a local image as the base: the way that `FROM debian` takes, without a registry."""
    sandbox_image()
    base = local_base()
    change(recipe)
    lines: list[str] = []
    report = build_image(base, progress=lines.append, folder=recipe)
    try:
        assert report.built
        assert report.size_bytes > 50_000_000
        assert not any("mmdebstrap" in line for line in lines)
        async with DockerSandbox(SandboxOptions(ready=0), worker_id="test-base") as sandbox:
            ran = await run_program(sandbox, "echo", "hello", image=report.tag)
        assert ran.stdout == "hello\n"
    finally:
        remove_image(report.tag)


@pytest.mark.engine
def test_two_builds_at_once_make_one_image(recipe: Path) -> None:
    sandbox_image()
    base = local_base()
    change(recipe)
    reports: list[ImageReport] = []

    def build() -> None:
        reports.append(build_image(base, folder=recipe))

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    remove_image(reports[0].tag)
    assert sorted(report.built for report in reports) == [False, True]


@pytest.mark.engine
def test_a_base_that_cannot_be_had_is_named() -> None:
    with pytest.raises(Unavailable, match=r"no-such-base.invalid/x:1.*can be pulled"):
        build_image("no-such-base.invalid/x:1")


@pytest.mark.engine
def test_the_image_carries_our_label_and_nothing_of_this_machine() -> None:
    client = connect()
    try:
        config = client.inspect_image(sandbox_image())["Config"]  # type: ignore[no-untyped-call]
    finally:
        client.close()
    assert config["Labels"] == {"io.auxot.tools": "1"}
    assert not any("proxy" in setting.lower() for setting in config["Env"] or [])


def change(recipe: Path) -> None:
    """Give the recipe a content, and so an image, of its own."""
    file = recipe / "image/recipe.toml"
    file.write_text(f"{file.read_text()}# {recipe}\n")


def local_base() -> str:
    """The image of packages that the default build keeps."""
    client = connect()
    try:
        (tag, *_) = client.images(name=BASE_REPOSITORY)[0]["RepoTags"]
    finally:
        client.close()
    return str(tag)


def remove_image(tag: str) -> None:
    client = connect()
    try:
        client.remove_image(tag)
    finally:
        client.close()
