"""Composes the seccomp profile of each form of a box from the files in `sandbox/seccomp/`.

One job: the base's allow-list and a form's extra rules become the one text that travels with a
container. What is allowed, and why, is in the files; nothing is decided here.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from auxot_tools.sandbox.kind import Form
from auxot_tools.share import share_dir
from auxot_tools.types import JSON

_EXTRAS: dict[Form, str] = {"uid": "uid.json", "ns": "namespaces.json"}


def read_profiles(folder: Path | None = None) -> Mapping[Form, str]:
    """The profile of each form as JSON text. Blocking."""
    folder = folder or share_dir("sandbox") / "seccomp"
    base = json.loads((folder / "base.json").read_text())
    return {
        form: json.dumps(compose(base, json.loads((folder / name).read_text())))
        for form, name in _EXTRAS.items()
    }


def compose(base: JSON, extra: JSON) -> JSON:
    """``base`` with the rules of ``extra``, each of which takes the place of the base's rules for
    the calls that it names.
    """
    replaced = {name for rule in extra["syscalls"] for name in rule["names"]}
    kept = [_without(rule, replaced) for rule in base["syscalls"]]
    return {**base, "syscalls": [rule for rule in kept if rule["names"]] + extra["syscalls"]}


def _without(rule: JSON, names: set[str]) -> JSON:
    return {**rule, "names": [name for name in rule["names"] if name not in names]}
