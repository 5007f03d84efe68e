"""Knows the tools of this worker: reads ``tools/<name>/tool.json``, checks it, keeps it frozen.

One job: from folders to tools that can be called, and a list of those that cannot, with reasons.
It must not know how a call is run. Blocks while loading, which happens at start only.
"""

import json
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from auxot_tools.errors import ConfigError
from auxot_tools.ports import BoxLimits
from auxot_tools.share import share_dir
from auxot_tools.types import TOOL_NAME_PATTERN, ToolSpec
from auxot_tools.worker.declaration import OperatorRules, Source, checked, make_tool
from auxot_tools.worker.isolation import IsolationPolicy
from auxot_tools.worker.limits import DEFAULT_CEILINGS
from auxot_tools.worker.tool import Quarantined, Tool
from auxot_tools.worker.tool_folder import read_declaration, read_tool_files, tool_folders
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
        for folder in (folder for tools_dir in dirs for folder in tool_folders(tools_dir)):
            if rules.leaves_out(folder.name):
                logger.debug("tool %r is not in worker.allowed_tools", folder.name)
                continue
            try:
                _check_name(folder.name, tools)
                tool = make_tool(_read(folder, check), rules)
            except ConfigError as error:
                name = folder.name.encode("utf-8", "replace").decode()[:64]
                logger.warning("tool %r is in quarantine: %s", name, "; ".join(error.mistakes))
                quarantined.append(Quarantined(name, str(error), folder))
                continue
            tools[tool.spec.name] = tool
        return cls(MappingProxyType(dict(sorted(tools.items()))), tuple(quarantined))

    def specs(self) -> tuple[ToolSpec, ...]:
        """What models are told, ordered by name."""
        return tuple(tool.spec for tool in self.tools.values())


def _check_name(name: str, loaded: Mapping[str, Tool]) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(["its name must be 1 to 64 letters, digits, `_` or `-`"])
    if name in loaded:
        raise ConfigError([f"a tool of this name was already read from {loaded[name].path}"])


def _read(folder: Path, check: InputValidator) -> Source:
    declared = checked(check, read_declaration(folder), "tool.json")
    return Source(folder.name, folder, declared, read_tool_files(folder))
