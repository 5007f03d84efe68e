"""Collects Debian or Ubuntu packages into a tar, from the mirror that this machine's apt uses.

One job: `mmdebstrap`, without any image registry, with its failures in our words. It must not know
what the packages are for. Blocking code for a command line.
"""

import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from auxot_tools.errors import ConfigError, Unavailable
from auxot_tools.sandbox.apt_sources import archive_lines

INSTALL_MMDEBSTRAP = "apt-get install -y mmdebstrap"
ENGINE_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}  # the kernel's name -> the engine's
TAR = "root.tar"
# What apt says of a package that it would install: `Inst NAME (VERSION ORIGIN [ARCH])`.
_PLANNED = re.compile(r"^Inst (\S+) \((\S+) ", re.MULTILINE)
_LIMIT_S = 900  # one run of mmdebstrap; 35 s on the machines measured
_PLAN_LIMIT_S = 120  # one that only asks the mirror; 4 s there


@dataclass(frozen=True, slots=True)
class DebianSources:
    """Where packages come from: apt's own entries, and the name of the release."""

    lines: tuple[str, ...]
    codename: str


def debian_sources(arch: str) -> DebianSources:
    """This machine's, for packages of the engine's architecture. Raises `ConfigError` when it
    cannot collect any: no root, no mmdebstrap, another architecture, no archive.
    """
    mistakes = []
    if which("mmdebstrap") is None:
        mistakes.append(f"mmdebstrap is not installed. As root: `{INSTALL_MMDEBSTRAP}`.")
    if os.geteuid() != 0:
        mistakes.append(
            "Building the image from Debian packages needs root: `sudo auxot-tools sandbox build`. "
            "Or name an image to build upon in the setting for the sandbox's base image."
        )
    if ENGINE_ARCH.get(platform.machine()) != arch:
        mistakes.append(
            f"This machine cannot make an image for the engine's architecture ({arch})."
        )
    files = {
        str(path): path.read_text(errors="replace")
        for path in (
            Path("/etc/apt/sources.list"),
            *Path("/etc/apt/sources.list.d").glob("*.list"),
            *Path("/etc/apt/sources.list.d").glob("*.sources"),
        )
        if path.is_file()
    }
    codename = _codename()
    lines = archive_lines(files, codename) if codename else []
    if not lines:
        mistakes.append(
            "This machine's apt configuration names no Debian or Ubuntu archive to take packages "
            "from. Name an image to build upon in the setting for the sandbox's base image."
        )
    if mistakes:
        raise ConfigError(mistakes)
    return DebianSources(tuple(lines), codename)


def _codename() -> str:
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        return ""


def planned_packages(
    workdir: Path, sources: DebianSources, *, variant: str, packages: Sequence[str]
) -> tuple[str, ...]:
    """What `run_mmdebstrap` would collect now, as the mirror has it: `name=version`, sorted.

    Downloads the mirror's indexes and no package: some seconds. What it gives may be given to
    `run_mmdebstrap` as `packages`, which then collects exactly these. Raises `Unavailable`.
    """
    asking = ("--simulate", "--verbose")
    told = _mmdebstrap(workdir, sources, variant, packages, *asking, limit_s=_PLAN_LIMIT_S)
    return planned_in(told)


def planned_in(told: str) -> tuple[str, ...]:
    """The packages in what a simulation said. Pure. Raises `Unavailable` when there are none."""
    planned = tuple(sorted(f"{found[1]}={found[2]}" for found in _PLANNED.finditer(told)))
    if not planned:
        raise Unavailable("mmdebstrap did not say which packages it would collect.")
    return planned


def run_mmdebstrap(
    workdir: Path,
    sources: DebianSources,
    *,
    variant: str,
    packages: Sequence[str],
    excluded_paths: Sequence[str],
) -> Path:
    """The path of a tar with the packages and all that they depend on, in ``workdir``.

    A package is a name, or `name=version`. The same versions give the same bytes. Raises
    `Unavailable`.
    """
    options = (
        "--quiet",
        *(f"--dpkgopt=path-exclude={path}" for path in excluded_paths),
        # The machine's mirror and proxy are nobody's business inside a sandbox.
        '--customize-hook=rm -rf "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/apt/sources.list*',
    )
    _mmdebstrap(workdir, sources, variant, packages, *options)
    return workdir / TAR


def _mmdebstrap(
    workdir: Path,
    sources: DebianSources,
    variant: str,
    packages: Sequence[str],
    *options: str,
    limit_s: float = _LIMIT_S,
) -> str:
    """Run it to its end; what it wrote to stderr. Raises `Unavailable`."""
    entries = workdir / "sources.list"
    entries.write_text("\n".join(sources.lines) + "\n")
    command = [
        "env",
        f"TMPDIR={workdir}",
        "SOURCE_DATE_EPOCH=0",
        "LC_ALL=C",
        "mmdebstrap",
        *options,
        "--format=tar",
        f"--variant={variant}",
        f"--include={','.join(packages)}",
        '--aptopt=Acquire::Languages "none"',
        *(f"--aptopt={line}" for line in _apt_network_settings()),
        sources.codename,
        str(workdir / TAR),
        str(entries),
    ]
    with subprocess.Popen(  # noqa: S603 - no shell, no foreign words
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            _, told = process.communicate(timeout=limit_s)
        except BaseException as error:
            process.terminate()  # it removes its own tree and mounts
            if isinstance(error, subprocess.TimeoutExpired):
                raise Unavailable(f"mmdebstrap did not end within {limit_s:g} s.") from error
            raise
    text = told.decode(errors="replace")
    if process.returncode != 0:
        raise Unavailable(_mmdebstrap_failure(text))
    return text


def _mmdebstrap_failure(errors: str) -> str:
    if "no space left" in errors.lower():
        return "The disk is full: no image was built. Temporary files have been removed."
    last = [line for line in errors.splitlines() if line.startswith("E: ")][-3:]
    return (
        "mmdebstrap could not collect the packages of the image. Does `apt-get update` "
        "work on this machine? Its last words: " + " ".join(last or errors.splitlines()[-1:])
    )


def _apt_network_settings() -> Iterator[str]:
    """The machine's proxy and certificate settings for apt, as `apt-config` prints them."""
    dump = subprocess.run(
        ["apt-config", "dump", "Acquire"],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    for line in dump.stdout.splitlines():
        key = line.split(" ", 1)[0].lower()
        if key.startswith(("acquire::http", "acquire::https")) and key.endswith(
            ("::proxy", "::cainfo", "::proxy-auto-detect")
        ):
            yield line
