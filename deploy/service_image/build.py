"""Makes the image of our services: router, worker and connect in one, without any image registry.

    python -m deploy.service_image.build [--output FILE] [--fresh FOLDER] [--print-tag]

One job: three layers (Python, the packages of the lock, our wheel), their configuration, and the
engine's copy. The same inputs give the same image id: nothing here has a time. What the layers are
made of lies in `recipe.toml`; the versions of Debian's packages are an input too. It needs root and
Debian or Ubuntu, as `auxot-tools sandbox build` does; the other two layers are made with this very
Python, which must be the image's version.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from auxot_tools.errors import AuxotError, ConfigError, Unavailable
from auxot_tools.sandbox.debian_packages import (
    debian_sources,
    planned_packages,
    run_mmdebstrap,
)
from auxot_tools.sandbox.engine import connect, engine_errors
from auxot_tools.sandbox.profile import LABEL
from deploy.service_image.archive import image_config, write_archive
from deploy.service_image.debian import known_packages, note_packages
from deploy.service_image.layers import Content, Extra, Layer, layer_of, write_layer
from deploy.service_image.pins import Unpinned, service_pins

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent
REPOSITORY = "auxot-tools/service"
PACKAGES_LABEL = f"{LABEL}.debian-packages"
CACHE = ROOT / ".state" / "service-image"
VARIANT = "extract"  # unpacked, with no script of theirs run
PACKAGES_PLACE = "usr/local/lib/python{version}/dist-packages"
HOME = "/var/lib/auxot-tools"
STEP_LIMIT_S = 900  # of one program; pip needed 25 s here, mmdebstrap 20 s
LOAD_LIMIT_S = 300  # for the engine to take the archive; 3 s here

PROGRAM = """\
#!/usr/bin/python3 -I
import sys

from auxot_tools.cli.main import main

sys.exit(main())
"""
USERS = """\
root:x:0:0:root:/root:/usr/sbin/nologin
{user}:x:{uid}:{uid}::{home}:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GROUP = "root:x:0:\n{user}:x:{uid}:\nnogroup:x:65534:\n"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that the image depends on; ``debian`` are packages with their versions."""

    recipe: Mapping[str, Any]
    arch: str
    codename: str
    debian: tuple[str, ...]
    pins: str
    wheel: Path

    @property
    def base_key(self) -> str:
        """Of the layer with Python."""
        key = _recipe_key(self.arch, self.codename)
        return _digest(key.encode(), *(one.encode() for one in self.debian))

    @property
    def packages_key(self) -> str:
        return _digest(self.base_key.encode(), self.pins.encode())

    @property
    def tag(self) -> str:
        code = sorted(path.read_bytes() for path in FOLDER.glob("*.py"))
        key = _digest(self.packages_key.encode(), *code, self.wheel.read_bytes())
        return f"{REPOSITORY}:{key}"


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="also write the image to this file")
    parser.add_argument("--fresh", type=Path, help="use no layer made before; work in this folder")
    parser.add_argument("--print-tag", action="store_true", help="only say what it will be called")
    options = parser.parse_args(arguments)
    begun = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - begun:5.1f} s] {line}\n")

    try:
        with tempfile.TemporaryDirectory(prefix="auxot-service-") as scratch:
            cache = options.fresh or CACHE
            inputs = read_inputs(Path(scratch), cache, say)
            if not options.print_tag:
                build(inputs, cache, Path(scratch), options.output, say)
            sys.stdout.write(f"{inputs.tag}\n")
    except ConfigError as error:
        sys.stderr.write("\n".join(error.mistakes) + "\n")
        return 2
    except (AuxotError, Unpinned) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def read_inputs(scratch: Path, cache: Path, say: Say) -> Inputs:
    """Blocking: asks the engine for its architecture and the mirror for its packages, and makes our
    wheel.
    """
    client = connect()
    try:
        with engine_errors():
            arch = str(client.version()["Arch"])
    finally:
        client.close()
    pins = service_pins()
    recipe = tomllib.loads((FOLDER / "recipe.toml").read_text())
    sources = debian_sources(arch)

    def planned() -> tuple[str, ...]:
        packages = recipe["packages"]
        return planned_packages(scratch, sources, variant=VARIANT, packages=packages)

    debian = known_packages(cache, _recipe_key(arch, sources.codename), planned, say)
    return Inputs(recipe, arch, sources.codename, debian, pins, _wheel(scratch))


def build(inputs: Inputs, cache: Path, scratch: Path, output: Path | None, say: Say) -> str:
    """Make the image and hand it to the engine, unless it is there; its id."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    layers = {
        "Debian's Python": _cached(cache / f"{inputs.base_key}-base.tar", inputs, _base, say),
        "requirements.lock": _cached(
            cache / f"{inputs.packages_key}-packages.tar", inputs, _packages, say
        ),
        "auxot-tools": _program(inputs, scratch),
    }
    _forget_older(cache, {layer.path for layer in layers.values()})
    note_packages(cache, _recipe_key(inputs.arch, inputs.codename), inputs.debian)
    archive = output or scratch / "image.tar"
    config = image_config(inputs.arch, settings(inputs), layers)
    image_id = write_archive(config, list(layers.values()), inputs.tag, archive)
    size = sum(layer.path.stat().st_size for layer in layers.values())
    for name, layer in layers.items():
        say(f"{layer.path.stat().st_size / 1e6:6.1f} MB  {layer.diff_id}  {name}")
    say(f"{size / 1e6:6.1f} MB  {image_id}  the image")
    client = connect(timeout_s=LOAD_LIMIT_S)
    try:
        with engine_errors(), archive.open("rb") as file:
            client.load_image(file, quiet=True)  # type: ignore[no-untyped-call]
    finally:
        client.close()
    return image_id


def settings(inputs: Inputs) -> dict[str, Any]:
    """How a container of the image runs, unless it is told otherwise. No secrets."""
    uid = inputs.recipe["uid"]
    return {
        "User": f"{uid}:{uid}",
        "WorkingDir": "/etc/auxot-tools",
        "Entrypoint": ["/usr/local/bin/auxot-tools"],
        "Cmd": ["--help"],
        "StopSignal": "SIGTERM",
        "Env": [
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "LANG=C.UTF-8",
            f"HOME={HOME}",
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            f"AUXOT_WORKER__STATE_DIR={HOME}",
            "AUXOT_SANDBOX__RUN_DIR=/run/auxot-tools/boxes",
        ],
        "Labels": {
            LABEL: "1",
            "org.opencontainers.image.title": "auxot-tools",
            "org.opencontainers.image.description": "Router, worker and connect of auxot-tools",
            "org.opencontainers.image.version": _version(),
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.base.name": inputs.codename,
            PACKAGES_LABEL: " ".join(inputs.debian),
        },
    }


# -- the layers


def _cached(
    path: Path, inputs: Inputs, make: Callable[[Inputs, Path, Path, Say], None], say: Say
) -> Layer:
    if not path.exists():
        with tempfile.TemporaryDirectory(prefix="auxot-layer-", dir=path.parent) as name:
            unfinished = Path(name) / "layer.tar"
            make(inputs, Path(name), unfinished, say)
            unfinished.replace(path)
    return layer_of(path)


def _forget_older(cache: Path, used: set[Path]) -> None:
    """Layers of other recipes and locks: 190 MB each time, and quickly made again."""
    for path in cache.glob("*.tar"):
        if path not in used:
            path.unlink(missing_ok=True)


def _base(inputs: Inputs, work: Path, target: Path, say: Say) -> None:
    """Debian's Python, trimmed, with its modules compiled, and the files that its scripts make."""
    say(f"Collecting Python of {inputs.codename} with mmdebstrap: about half a minute.")
    sources = debian_sources(inputs.arch)
    root_tar = run_mmdebstrap(
        work, sources, variant=VARIANT, packages=inputs.debian, excluded_paths=()
    )
    root = work / "root"
    root.mkdir()
    _run(["tar", "--extract", f"--file={root_tar}", f"--directory={root}", "--exclude=./dev/*"])
    authorities = "".join(
        path.read_text() for path in sorted(root.glob("usr/share/ca-certificates/**/*.crt"))
    )
    _trim(root, inputs.recipe["keep"], inputs.recipe["drop"])
    if not (root / f"usr/lib/python{_python()}/os.py").exists():
        raise ConfigError([f"{inputs.codename} has another Python than this one, {_python()}."])
    _compile(root / "usr/lib/python3", root)
    _compile(root / f"usr/lib/python{_python()}", root)
    recipe = inputs.recipe
    names = {"user": recipe["user"], "uid": recipe["uid"], "home": HOME}
    extras = {
        "/etc/ssl/certs/ca-certificates.crt": Extra(authorities),
        "/etc/passwd": Extra(USERS.format(**names)),
        "/etc/group": Extra(GROUP.format(**names)),
        "/etc/nsswitch.conf": Extra("passwd: files\ngroup: files\nhosts: files dns\n"),
        "/tmp": Extra(None, 0o1777),  # noqa: S108 - in the image
        "/etc/auxot-tools": Extra(None, 0o755),
        **{place: Extra(None, 0o700, recipe["uid"]) for place in recipe["folders"]},
    }
    write_layer(Content(root, extras), target)


def _packages(inputs: Inputs, work: Path, target: Path, say: Say) -> None:
    """What the lock pins, each file checked against its hash."""
    say(f"Installing the {inputs.pins.count('==')} packages that the services need.")
    root = work / "root"
    place = root / PACKAGES_PLACE.format(version=_python())
    (work / "pins.txt").write_text(inputs.pins)
    _pip("--require-hashes", "--only-binary=:all:", f"--target={place}", f"-r{work / 'pins.txt'}")
    _trim(place, (), inputs.recipe["drop_python"], prefix="")
    forget_scripts(place)
    _compile(place, root)
    write_layer(Content(root), target)


def _program(inputs: Inputs, scratch: Path) -> Layer:
    """Our wheel, unpacked, and the command."""
    root = scratch / "root"
    place = root / PACKAGES_PLACE.format(version=_python())
    place.mkdir(parents=True)
    with zipfile.ZipFile(inputs.wheel) as wheel:
        wheel.extractall(place)
    _compile(place, root)
    extras = {"/usr/local/bin/auxot-tools": Extra(PROGRAM, 0o755)}
    return write_layer(Content(root, extras), scratch / "program.tar")


def _trim(root: Path, keep: object, drop: object, prefix: str = "/") -> None:
    """Remove the files that `drop` names and `keep` does not."""

    def matches(name: str, patterns: Any) -> bool:
        return any(fnmatch(name, pattern) for pattern in patterns)

    for path in list(root.rglob("*")):
        name = prefix + str(path.relative_to(root))
        is_file = path.is_symlink() or not path.is_dir()
        if is_file and matches(name, drop) and not matches(name, keep):
            path.unlink()


def forget_scripts(place: Path) -> None:
    """Take packages' commands out of their lists of files, `RECORD`.

    pip lists them at `../../bin/`, with a size and digest that depend on the path of the Python
    that ran it. They are not in the layer, so two folders would give two images for nothing.
    """
    for record in place.glob("*.dist-info/RECORD"):
        lines = record.read_text("utf-8").splitlines(keepends=True)
        record.write_text("".join(line for line in lines if not line.startswith("../")), "utf-8")


def _compile(folder: Path, root: Path) -> None:
    """Modules compiled once for all containers, whose root cannot be written."""
    if folder.is_dir():
        _run(
            [
                *(sys.executable, "-m", "compileall", "-q", "-s", str(root), "-p", "/"),
                *("--invalidation-mode", "unchecked-hash", str(folder)),
            ],
            PYTHONHASHSEED="0",  # sets in constants keep their order
        )


def _wheel(scratch: Path) -> Path:
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(scratch)], cwd=ROOT)
    (wheel,) = scratch.glob("*.whl")
    return wheel


def _pip(*arguments: str) -> None:
    _run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-compile", *arguments),
        ]
    )


def _run(command: list[str], cwd: Path | None = None, **environment: str) -> None:
    done = subprocess.run(  # noqa: S603 - no shell, no foreign words
        command,
        cwd=cwd,
        env={**os.environ, "SOURCE_DATE_EPOCH": "315532800", **environment},  # zip knows no earlier
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=STEP_LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise Unavailable(
            f"`{Path(command[0]).name} {' '.join(command[1:4])}` failed: " + " ".join(last)
        )


def _version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return str(project["project"]["version"])


def _recipe_key(arch: str, codename: str) -> str:
    """Of what the layer with Python is made by and for, but for the versions of packages."""
    names = ("layers.py", "recipe.toml", "build.py")
    facts = (arch, codename, _python())
    return _digest(
        *((FOLDER / name).read_bytes() for name in names), *(one.encode() for one in facts)
    )


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}\0".encode() + part)
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
