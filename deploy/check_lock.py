"""Says what in `requirements.lock` does not fit `pyproject.toml`; needs no network.

One job: every requirement of the project is pinned to a version it accepts, every pin has hashes,
and the lock names no address. It must not resolve or install anything: `make lock` does that.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([\w.-]+)==([^ ;\\]+)(.*?)(?=^\w|\Z)", re.DOTALL | re.MULTILINE)


def requirements(project: Mapping[str, Any]) -> Iterator[Requirement]:
    """What `pyproject.toml` asks for: the project's, the extras', and the build system's."""
    extras = project["project"]["optional-dependencies"].values()
    groups = [project["project"]["dependencies"], *extras, project["build-system"]["requires"]]
    for group in groups:
        yield from (Requirement(text) for text in group)


def problems(project: Mapping[str, Any], lock: str) -> Iterator[str]:
    """One sentence for each thing that is wrong."""
    pins = {canonicalize_name(match[1]): (match[2], match[3]) for match in PIN.finditer(lock)}
    for name, (_, rest) in pins.items():
        if "--hash=sha256:" not in rest:
            yield f"{name} has no hash."
    for requirement in requirements(project):
        name = canonicalize_name(requirement.name)
        if name not in pins:
            yield f"{name} is not pinned."
        elif not requirement.specifier.contains(pins[name][0], prereleases=True):
            yield f"{name} is pinned to {pins[name][0]}, but pyproject.toml asks for {requirement}."
    if "://" in lock or re.search(r"^\s*--(?!hash)", lock, re.MULTILINE):
        yield "An address or an option is in it; only names, versions and hashes belong there."


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    found = list(problems(project, lock))
    for sentence in found:
        sys.stderr.write(f"requirements.lock: {sentence}\n")
    if found:
        sys.stderr.write("requirements.lock: run `make lock` and commit the result.\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
