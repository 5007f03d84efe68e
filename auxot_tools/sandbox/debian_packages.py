"""Collects Debian or Ubuntu packages into a tar, from the mirror that this machine's apt uses.

One job: `mmdebstrap`, without any image registry, with its failures in our words. It must not know
what the packages are for. Blocking code for a command line.
"""

import os
import platform
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
_LIMIT_S = 900  # one run of mmdebstrap; 35 s on the machines measured


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


def run_mmdebstrap(
    workdir: Path,
    sources: DebianSources,
    *,
    variant: str,
    packages: Sequence[str],
    excluded_paths: Sequence[str],
) -> Path:
    """The path of a tar with the packages and all that they depend on, in ``workdir``.

    The same versions of packages give the same bytes. Raises `Unavailable`.
    """
    root, entries = workdir / TAR, workdir / "sources.list"
    entries.write_text("\n".join(sources.lines) + "\n")
    command = [
        "env",
        f"TMPDIR={workdir}",
        "SOURCE_DATE_EPOCH=0",
        "mmdebstrap",
        "--quiet",
        "--format=tar",
        f"--variant={variant}",
        f"--include={','.join(packages)}",
        '--aptopt=Acquire::Languages "none"',
        *(f"--aptopt={line}" for line in _apt_network_settings()),
        *(f"--dpkgopt=path-exclude={path}" for path in excluded_paths),
        # The machine's mirror and proxy are nobody's business inside a sandbox.
        '--customize-hook=rm -rf "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/apt/sources.list*',
        sources.codename,
        str(root),
        str(entries),
    ]
    with subprocess.Popen(  # noqa: S603 - no shell, no foreign words
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            _, errors = process.communicate(timeout=_LIMIT_S)
        except BaseException as error:
            process.terminate()  # it removes its own tree and mounts
            if isinstance(error, subprocess.TimeoutExpired):
                raise Unavailable(f"mmdebstrap did not end within {_LIMIT_S} s.") from error
            raise
    if process.returncode != 0:
        raise Unavailable(_mmdebstrap_failure(errors.decode(errors="replace")))
    return root


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
