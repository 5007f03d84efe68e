"""Makes the sandbox image, once for each content of its recipe.

One job: after `build_image` the engine has the image that `image_tag` names. The recipe itself is
data in `sandbox/image/`. Blocking code for a command line: it must not be called on an event loop.
"""

import fcntl
import hashlib
import io
import logging
import os
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage

import docker
from docker.errors import ImageNotFound

from auxot_tools.errors import ConfigError, Unavailable
from auxot_tools.sandbox.debian_packages import debian_sources, run_mmdebstrap
from auxot_tools.sandbox.engine import connect, engine_errors
from auxot_tools.sandbox.profile import LABEL
from auxot_tools.share import share_dir
from auxot_tools.types import JSON

log = logging.getLogger(__name__)

STANDARD = "standard"  # the packages that every image has
REPOSITORY = "auxot-tools/sandbox"
BASE_REPOSITORY = "auxot-tools/sandbox-base"

_LAYER_FILES = ("image/Dockerfile", "image/install.sh", "image/kept.py")
_INIT_FOLDER = "init"  # all of it goes into the image
_RECIPE = "image/recipe.toml"
_BUILD_LIMIT_S = 900  # one call of the engine or of mmdebstrap; 35 s on the machines measured
_NEEDED_BYTES = 2 * 2**30  # the unpacked tree, its tar, and the engine's copy

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ImageReport:
    """What `build_image` did: `built` is False when the image was there already."""

    tag: str
    built: bool
    size_bytes: int
    duration_s: float


def image_tag(
    engine_arch: str, base: str = "", folder: Path | None = None, packages: str = STANDARD
) -> str:
    """The name of the image that the recipe in `folder` makes on `base`: fixed by content.

    `packages` is `standard`, or one of the recipe's variants, which have more.
    """
    folder = folder or share_dir("sandbox")
    files = (_RECIPE, *_layer_files(folder))
    return f"{REPOSITORY}:{_digest(folder, files, engine_arch, base, *_variant(packages))}"


def build_image(
    base: str = "",
    base_url: str | None = None,
    progress: Progress = lambda _line: None,
    folder: Path | None = None,
    packages: str = STANDARD,
) -> ImageReport:
    """Make the image unless it is there. `base` "" means: from Debian packages, without a registry;
    otherwise the name of an image to build upon, which the engine pulls when it must. `packages`
    is as in `image_tag`.

    `progress` gets one line per step. Raises `EngineUnavailable`, `Unavailable` (a step failed, a
    full disk, another build that does not end) or `ConfigError` (not root, a missing program).
    """
    folder = folder or share_dir("sandbox")
    begun = time.monotonic()

    def say(line: str) -> None:
        progress(f"[{time.monotonic() - begun:5.1f} s] {line}")

    client = connect(base_url, _BUILD_LIMIT_S)
    try:
        with engine_errors():
            arch = str(client.version()["Arch"])
        tag = image_tag(arch, base, folder, packages)
        size = _size(client, tag)
        if size is None:
            with _build_lock(say):
                size = _size(client, tag)
                if size is None:
                    build = _Build(client, folder, arch, base, packages, say)
                    size = build.add_our_layer(tag)
                    return ImageReport(tag, True, size, time.monotonic() - begun)
        say(f"The image {tag} is there ({size / 1e6:.0f} MB).")
        return ImageReport(tag, False, size, time.monotonic() - begun)
    finally:
        client.close()


@dataclass(frozen=True, slots=True)
class _Build:
    """One build: where, from what, and whom to tell."""

    client: docker.APIClient
    folder: Path
    arch: str
    base: str
    packages: str
    say: Progress

    def add_our_layer(self, tag: str) -> int:
        """Make `tag` and return its size."""
        recipe = _recipe(self.folder, self.packages)
        parent = self.base or self._packages_image(recipe)
        self.say(f"Adding PID 1 and the folders of the sandbox to {parent}.")
        with engine_errors():
            steps = self.client.build(
                fileobj=_build_context(self.folder),
                custom_context=True,
                tag=tag,
                buildargs={"BASE": parent, "PACKAGES": " ".join(recipe["packages"])},
                network_mode=None if self.base else "none",
                rm=True,
                forcerm=True,
                decode=True,
            )
            for step in steps:
                if "error" in step:
                    raise Unavailable(_build_failure(parent, str(step["error"]).strip()))
        size = _size(self.client, tag)
        if size is None:
            raise Unavailable("The engine built the sandbox image and does not have it. Try again.")
        self.say(f"Built {tag} ({size / 1e6:.0f} MB).")
        return size

    def _packages_image(self, recipe: JSON) -> str:
        """The image of Debian packages alone; kept, so that a new PID 1 costs a second only."""
        version = _digest(self.folder, (_RECIPE,), self.arch, *_variant(self.packages))
        tag = f"{BASE_REPOSITORY}:{version}"
        if _size(self.client, tag) is not None:
            return tag
        with tempfile.TemporaryDirectory(prefix="auxot-image-", ignore_cleanup_errors=True) as name:
            workdir = Path(name)
            if disk_usage(workdir).free < _NEEDED_BYTES:
                raise Unavailable(
                    f"Building the sandbox image needs {_NEEDED_BYTES // 2**30} GiB free "
                    f"in {workdir.parent}."
                )
            sources = debian_sources(self.arch)
            self.say(
                f"Collecting packages of {sources.codename} with mmdebstrap: about half a minute."
            )
            run_mmdebstrap(
                workdir,
                sources,
                variant=recipe["variant"],
                packages=recipe["packages"],
                excluded_paths=recipe["excluded_paths"],
            )
            self.say("Handing the packages to the engine.")
            with engine_errors():
                self.client.import_image_from_file(
                    str(workdir / "root.tar"), BASE_REPOSITORY, version, [f"LABEL {LABEL}=1"]
                )
        return tag


def _variant(packages: str) -> tuple[str, ...]:
    return () if packages == STANDARD else (packages,)


def _recipe(folder: Path, packages: str) -> JSON:
    """The recipe with all packages of a variant. Raises `ConfigError` when it has none such."""
    recipe = tomllib.loads((folder / _RECIPE).read_text())
    variants = {STANDARD: [], **recipe["variants"]}
    if packages not in variants:
        known = ", ".join(variants)
        raise ConfigError([f"There is no selection of packages `{packages}`; there are {known}."])
    return recipe | {"packages": [*recipe["packages"], *variants[packages]]}


def _build_failure(parent: str, detail: str) -> str:
    log.error("building on %s failed: %s", parent, detail)
    if "no space left" in detail.lower():
        return "The disk of the Docker engine is full: the sandbox image was not built."
    return (
        f"The engine could not build the sandbox image on {parent}. Is that the name of an image "
        "that is here or can be pulled, and is it Debian or Ubuntu? The log has the details."
    )


def _size(client: docker.APIClient, tag: str) -> int | None:
    """The size of an image in bytes; `None` when the engine does not have it."""
    with engine_errors():
        try:
            return int(client.inspect_image(tag)["Size"])  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return None


def _layer_files(folder: Path) -> tuple[str, ...]:
    """The names of the files that our layer is made of, relative to `folder`."""
    found = (path for path in (folder / _INIT_FOLDER).iterdir() if path.suffix in {".py", ".cjs"})
    return (*_LAYER_FILES, *sorted(f"{_INIT_FOLDER}/{path.name}" for path in found))


def _digest(folder: Path, names: tuple[str, ...], *facts: str) -> str:
    """16 hex digits over the files' content and the facts; a change of any changes it."""
    digest = hashlib.sha256()
    for name in names:
        data = (folder / name).read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    for fact in facts:
        digest.update(f"{fact}\0".encode())
    return digest.hexdigest()[:16]


def _build_context(folder: Path) -> io.BytesIO:
    """The files that the Dockerfile copies, without times or owners of this machine."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in _layer_files(folder):
            data = (folder / name).read_bytes()
            entry = tarfile.TarInfo(name.removeprefix("image/"))
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    buffer.seek(0)
    return buffer


@contextmanager
def _build_lock(say: Progress) -> Iterator[None]:
    """One build at a time on a machine; another is waited for at most as long as one may take."""
    path = Path(tempfile.gettempdir()) / f"auxot-tools-sandbox-build-{os.geteuid()}.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        give_up_at, told = time.monotonic() + _BUILD_LIMIT_S, False
        while not _try_lock(fd):
            if time.monotonic() > give_up_at:
                raise Unavailable(
                    "Another build of the sandbox image has been running for too long."
                )
            if not told:
                say("Another build of the sandbox image is running: waiting for it.")
                told = True
            time.sleep(0.5)
        yield
    finally:
        os.close(fd)  # the lock goes with it; the file stays, as removing it would break the lock


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
