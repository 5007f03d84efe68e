"""Looks at this machine: Python, configuration, tools, keys, policy, disk.

One job: files and folders. It changes nothing and asks nobody.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from auxot_tools.assembly import load_registry
from auxot_tools.doctor.environment import UP_DIR, Line, Machine, aside, failed, noted, passed
from auxot_tools.router.key_file import read_key_file
from auxot_tools.worker.policy_file import read_policy
from auxot_tools.worker.registry import Registry

_LEAST_PYTHON = (3, 11)
_LEAST_FREE_BYTES = 2**30  # boxes, logs and the memory of keys
_IMAGE_FREE_BYTES = 2 * 2**30  # `sandbox build` needs it
_SHOWN_NAMES = 12


async def look_at_python(_machine: Machine) -> Sequence[Line]:
    """Its version, and the system: boxes need Linux."""
    version, system = platform.python_version(), platform.system()
    if sys.version_info < _LEAST_PYTHON:
        return [failed("python", f"Python {version}", "Use Python 3.11 or newer.")]
    if system != "Linux":
        return [noted("python", f"Python {version} on {system}: a worker with boxes needs Linux")]
    return [passed("python", f"Python {version} on {system}")]


async def look_at_configuration(machine: Machine) -> Sequence[Line]:
    """Every mistake in it is a line."""
    where = str(machine.file) if machine.file else "no auxot.toml here: the defaults"
    name = "configuration"
    do = "Correct it: `auxot-tools config reference` lists every setting."
    if machine.mistakes:
        lines = [failed(name, mistake, do) for mistake in machine.mistakes]
        return [*lines, noted(name, "what follows was looked at with the defaults")]
    lines = [failed(name, mistake, "Set it before the router starts.")
             for mistake in machine.unset_keys]  # fmt: skip
    return lines or [passed(name, f"valid ({where})")]


async def look_at_tools(machine: Machine) -> Sequence[Line]:
    """Those that load, and those in quarantine by name."""
    registry: Registry = await aside(partial(load_registry, machine.config))
    bad = [
        failed("tools", f"{one.name} is in quarantine: {one.reason}", f"Correct {one.path}.")
        for one in registry.quarantined
    ]
    names = list(registry.tools)
    if not names:
        empty = failed("tools", "there is no tool", "Name folders with tools in worker.tools_dirs.")
        return [*bad, empty]
    more = ", \u2026" if len(names) > _SHOWN_NAMES else ""
    told = f"{len(names)} load: {', '.join(names[:_SHOWN_NAMES])}{more}"
    offered = machine.config.router.allowed_tools
    lost = [name for name in offered if name not in registry.tools]
    lines = [passed("tools", told), *bad]
    lines += [
        failed("tools", f"router.allowed_tools names {name}, which is not here",
               "Correct the name, or add the tool.")
        for name in lost
    ]  # fmt: skip
    if not offered:
        lines.append(
            noted(
                "tools",
                "by this folder's configuration a router offers models no tools of ours "
                "(router.allowed_tools is empty)",
            )
        )
    return lines


async def look_at_keys(machine: Machine) -> Sequence[Line]:
    """The clients' keys of a router here."""
    if machine.mistakes:
        return [noted("keys file", "not looked at: the configuration must say where it is")]
    path = machine.config.router.keys_file
    make = "Make one: `auxot-tools keys create --name NAME` (`make up` makes its own)."
    if machine.environ.get("AUXOT_ROUTER_URL") and not await aside(path.exists):
        return [noted("keys file", f"{path} is not there: only a router of ours needs it")]
    is_there = await aside(path.exists)
    if not is_there and _is_nothing_set_up(machine):
        return [noted("keys file", await aside(partial(_how_to_begin, machine.cwd, path)))]
    if not is_there:
        return [failed("keys file", f"{path} is not there: no client can be let in", make)]
    entries = (await aside(partial(read_key_file, path))).keys
    now = datetime.fromtimestamp(machine.now(), UTC)
    old = [one.name for one in entries if one.expires is not None and one.expires <= now]
    if not entries:
        return [failed("keys file", f"{path} holds no key", make)]
    if len(old) == len(entries):
        return [failed("keys file", f"every key in {path} has expired", make)]
    told = f"{len(entries)} in {path}" + (f", expired: {', '.join(old)}" if old else "")
    return [passed("keys file", told)]


def _is_nothing_set_up(machine: Machine) -> bool:
    """No file and no variable says that a router with keys is wanted here."""
    names = {"AUXOT_ROUTER__KEYS_FILE", "AUXOT_ROUTER__LISTEN"}
    return machine.file is None and not names & machine.environ.keys()


def _how_to_begin(folder: Path, path: Path) -> str:
    made = UP_DIR / "keys.toml"
    if (folder / made).exists():
        return (
            f"{path} is not there; that of `make up` is. To look at that one: `export "
            f'AUXOT_WORKER_KEY="$(cat {UP_DIR}/worker.key)" AUXOT_ROUTER__KEYS_FILE={made} '
            f"AUXOT_WORKER__STATE_DIR={UP_DIR}`, and repeat"
        )
    return (
        f"{path} is not there yet: `make up` makes one of its own, `auxot-tools keys create "
        "--name NAME` one for another router"
    )


async def look_at_policy(machine: Machine) -> Sequence[Line]:
    """Only where there is one."""
    path = machine.config.worker.policy_file
    if path is None:
        return []
    policy = await aside(partial(read_policy, path))
    return [passed("policy", f"{len(policy.rules)} rules in {path}")]


async def look_at_disk(machine: Machine) -> Sequence[Line]:
    """Free space where things are written."""
    folders = {
        "worker.state_dir": machine.cwd if machine.mistakes else machine.config.worker.state_dir,
        "temporary files": Path(tempfile.gettempdir()),
    }
    lines = []
    for what, folder in folders.items():
        there = await aside(partial(_nearest, folder))
        free = (await aside(partial(shutil.disk_usage, there))).free
        told = f"{free / 2**30:.1f} GiB free for {what} ({there})"
        if not os.access(there, os.W_OK):
            lines.append(failed("disk", f"{there} ({what}) cannot be written", _OTHER_FOLDER))
        elif free < _LEAST_FREE_BYTES:
            lines.append(failed("disk", told, "Free some: at least 1 GiB."))
        elif free < _IMAGE_FREE_BYTES and what == "temporary files":
            lines.append(noted("disk", f"{told}: `sandbox build` needs 2 GiB"))
        else:
            lines.append(passed("disk", told))
    return lines


_OTHER_FOLDER = "Name another folder in the setting (or TMPDIR), or run as a user who may."


def _nearest(folder: Path) -> Path:
    """The folder, or that above it which exists."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
