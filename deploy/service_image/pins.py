"""The part of `requirements.lock` that the services need: no tests, no tools, no demo.

    python -m deploy.service_image.pins    prints it, for `pip install --require-hashes`

One job: follow the dependencies of `pyproject.toml` through what is installed here, and give their
pins with their hashes. It must not resolve or install anything.
"""

import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([\w.-]+)==([^ ;\\]+)(.*?)(?=^\w|\Z)", re.DOTALL | re.MULTILINE)


class Unpinned(Exception):
    """A package is needed and not installed, or not in the lock; the text says which."""


def needed(requirements: Iterable[str]) -> set[str]:
    """The names of all packages that these requirements lead to, on this machine's Python."""
    names: set[str] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one, extra = waiting.pop()
        if one.marker is not None and not one.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(one.name)
        key = (name, frozenset(one.extras))
        if key in seen:
            continue
        seen.add(key)
        names.add(name)
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            raise Unpinned(f"{name} is not installed here: run `make venv`") from None
        waiting += [(Requirement(text), e) for text in requires for e in ("", *one.extras)]
    return names


def pinned(lock: str, names: Iterable[str]) -> str:
    """The entries of these packages, as they are in the lock, sorted."""
    entries: dict[str, str] = {
        canonicalize_name(found[1]): found[0].rstrip() for found in PIN.finditer(lock)
    }
    missing = sorted(set(names) - entries.keys())
    if missing:
        raise Unpinned(f"not in requirements.lock: {', '.join(missing)}; run `make lock`")
    return "".join(f"{entries[name]}\n" for name in sorted(names))


def service_pins() -> str:
    """The pins of this project's services. Raises ``Unpinned``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = needed(project["project"]["dependencies"])
    return pinned((ROOT / "requirements.lock").read_text(), names)


if __name__ == "__main__":
    sys.stdout.write(service_pins())
