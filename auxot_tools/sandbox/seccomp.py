"""Composes the seccomp profile of each form of a box from the files in `sandbox/seccomp/`.

One job: the base's allow-list and the extra rules become the one text that travels with a
container. What is allowed, and why, is in the files; nothing is decided here.
"""

import json
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Literal

from auxot_tools.sandbox.kind import BoxKind, Form
from auxot_tools.share import share_dir
from auxot_tools.types import JSON

Profile = Literal["uid", "ns", "hosts"]  # of each form, and of boxes that may reach hosts

_EXTRAS: dict[Profile, tuple[str, ...]] = {
    "uid": ("uid.json",),
    "ns": ("namespaces.json",),
    "hosts": ("uid.json", "hosts.json"),
}


def read_profiles(folder: Path | None = None) -> Mapping[Profile, str]:
    """Every profile as JSON text. Blocking."""
    folder = folder or share_dir("sandbox") / "seccomp"
    base = json.loads((folder / "base.json").read_text())
    profiles: dict[Profile, str] = {}
    for profile, names in _EXTRAS.items():
        extras = [json.loads((folder / name).read_text()) for name in names]
        profiles[profile] = json.dumps(reduce(compose, extras, base))
    return profiles


def profile_of(kind: BoxKind, form: Form) -> Profile:
    """Which profile a box gets. One with hosts is never of form `ns`: it serves one call."""
    return "hosts" if kind.hosts else form


def compose(base: JSON, extra: JSON) -> JSON:
    """``base`` with the rules of ``extra``, each of which takes the place of the base's rules for
    the calls that it names.
    """
    replaced = {name for rule in extra["syscalls"] for name in rule["names"]}
    kept = [_without(rule, replaced) for rule in base["syscalls"]]
    return {**base, "syscalls": [rule for rule in kept if rule["names"]] + extra["syscalls"]}


def _without(rule: JSON, names: set[str]) -> JSON:
    return {**rule, "names": [name for name in rule["names"] if name not in names]}
