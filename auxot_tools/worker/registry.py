"""Knows the tools of this worker: reads its tools folders, checks each tool, keeps it frozen.

One job: from folders to tools that can be called, and a list of those that cannot, with reasons.
It must not know how a call is run. Blocks while loading.
"""

import json
import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from auxot_tools.errors import ConfigError
from auxot_tools.ports import BoxLimits
from auxot_tools.share import share_dir
from auxot_tools.types import TOOL_NAME_PATTERN, ToolSpec
from auxot_tools.worker.declaration import OperatorRules, Source, checked, make_tool
from auxot_tools.worker.isolation import IsolationPolicy
from auxot_tools.worker.limits import DEFAULT_CEILINGS
from auxot_tools.worker.shell_tools import found_command, read_shell_tool
from auxot_tools.worker.tool import Quarantined, Tool
from auxot_tools.worker.tool_folder import (
    DECLARATION,
    DESCRIPTOR,
    list_tools_dir,
    read_declaration,
    read_tool_files,
)
from auxot_tools.worker.validation import InputValidator, compile_schema

__all__ = ["Quarantined", "Registry", "Tool"]

logger = logging.getLogger(__name__)

_NAME = re.compile(TOOL_NAME_PATTERN)
_ANY_POLICY = IsolationPolicy()


@dataclass(frozen=True, slots=True)
class Registry:
    """All tools of this worker, by name, and those in quarantine. Never changes after ``load``."""

    tools: Mapping[str, Tool]
    quarantined: tuple[Quarantined, ...] = ()

    @classmethod
    def load(
        cls,
        dirs: Sequence[Path],
        ceilings: BoxLimits = DEFAULT_CEILINGS,
        policy: IsolationPolicy = _ANY_POLICY,
        *,
        hosted: Collection[str] = (),
        host_tools: Collection[str] = (),
        open_hosts: Collection[str] = (),
        allowed: Collection[str] | None = None,
    ) -> "Registry":
        """Read every tool in ``dirs``. A bad tool is quarantined and logged; the others work.

        All but ``dirs`` is the operator's: ``hosted`` names what the worker implements itself,
        ``host_tools`` the programs that run on the host, ``open_hosts`` what tools may reach
        (``*``: everything), ``allowed`` the only tools there are (``None``: all). When two folders
        hold a tool of one name, the first in order stays. Raises ``ConfigError`` when a folder of
        ``dirs`` cannot be listed.
        """
        rules = OperatorRules(ceilings, policy, hosted, host_tools, open_hosts, allowed)
        check = compile_schema(json.loads((share_dir("tools") / "tool.schema.json").read_bytes()))
        tools: dict[str, Tool] = {}
        quarantined: list[Quarantined] = []
        for found in (found for tools_dir in dirs for found in _found(tools_dir)):
            read = _read(found, check, rules, tools)
            if isinstance(read, Tool):
                tools[read.spec.name] = read
            elif read is not None:
                quarantined.append(read)
        return cls(MappingProxyType(dict(sorted(tools.items()))), tuple(quarantined))

    async def refresh(self) -> None:
        """Nothing changes here; see ``LiveRegistry``."""

    def specs(self) -> tuple[ToolSpec, ...]:
        """What models are told, ordered by name."""
        return tuple(tool.spec for tool in self.tools.values())


class _Found(NamedTuple):
    """What should be a tool. A file's name is no more than a guess at the tool's."""

    name: str
    path: Path
    source: Callable[[Path, InputValidator], Source]
    is_file: bool = True


def _found(tools_dir: Path) -> Iterator[_Found]:
    listed = list_tools_dir(tools_dir)
    for folder in listed.folders:
        yield _Found(folder.name, folder, _folder_source, is_file=False)
    for descriptor in listed.descriptors:
        yield _Found(descriptor.name.removesuffix(DESCRIPTOR), descriptor, read_shell_tool)
    for program in listed.stray:
        yield _Found(program.stem, program, _stray_source)


def _read(
    found: _Found, check: InputValidator, rules: OperatorRules, loaded: Mapping[str, Tool]
) -> Tool | Quarantined | None:
    """The tool, or why there is none; ``None`` when the operator wants none of this name."""
    name = found.name
    try:
        source = None
        if found.is_file or not rules.leaves_out(name):
            source = found.source(found.path, check)
            name = source.name
        if source is None or rules.leaves_out(name):
            logger.debug("tool %r is not in worker.allowed_tools", name[:64])
            return None
        _check_name(name, loaded)
        return make_tool(source, rules)
    except ConfigError as error:
        shown = name.encode("utf-8", "replace").decode()[:64]
        logger.warning("tool %r is in quarantine: %s", shown, "; ".join(error.mistakes))
        return Quarantined(shown, str(error), found.path)


def _plain(name: str) -> str:
    """Credentials are named so, in the environment: two tools must not share theirs."""
    return name.lower().replace("-", "_")


def _check_name(name: str, loaded: Mapping[str, Tool]) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(["its name must be 1 to 64 letters, digits, `_` or `-`"])
    alike = next((one for one in loaded if _plain(one) == _plain(name)), name)
    if alike != name:
        raise ConfigError(
            [f"its name is too like that of `{alike}`: they differ in case, `-`, `_`"]
        )
    if name in loaded:
        raise ConfigError([f"a tool of this name was already read from {loaded[name].path}"])


def _folder_source(folder: Path, check: InputValidator) -> Source:
    declared = checked(check, read_declaration(folder), DECLARATION)
    files = read_tool_files(folder)
    says_what = (
        not declared.keys().isdisjoint({"command", "code"}) or declared.get("runs") == "host"
    )
    command = () if says_what else found_command(folder, files)
    return Source(folder.name, folder, declared, files, command)


def _stray_source(program: Path, check: InputValidator) -> Source:  # noqa: ARG001 - one of three
    missing = f"{program.stem}{DESCRIPTOR}"
    raise ConfigError([f"`{program.name}` has no descriptor: there is no {missing} beside it"])
