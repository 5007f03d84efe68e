"""Knows the tools of this worker: reads ``tools/<name>/tool.json``, checks it, keeps it frozen.

One job: from folders to tools that can be called, and a list of those that cannot, with reasons.
It must not know how a call is run. Blocks while loading, which happens at start only.
"""

import dataclasses
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from auxot_tools.errors import ConfigError
from auxot_tools.ports import BoxLimits, CollectLimits, Isolation
from auxot_tools.share import share_dir
from auxot_tools.types import JSON, TOOL_NAME_PATTERN, ToolSpec
from auxot_tools.worker.isolation import IsolationPolicy, chosen_isolation
from auxot_tools.worker.limits import DEFAULT_CEILINGS, combine_limits
from auxot_tools.worker.program import Recipe, read_code_fields
from auxot_tools.worker.tool_folder import read_declaration, read_tool_files, tool_folders
from auxot_tools.worker.validation import InputValidator, compile_schema
from auxot_tools.worker.violations import Violations, nearest

logger = logging.getLogger(__name__)

_NAME = re.compile(TOOL_NAME_PATTERN)
_ANY_POLICY = IsolationPolicy()


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool that can be called.

    ``limits`` and ``isolation`` are the tool's own, already capped by what the operator allows.
    ``timeout_from_input`` names the input field by which the model lowers ``limits.timeout_s``;
    ``default_timeout_s`` counts when that field is left out.
    """

    spec: ToolSpec
    validator: InputValidator
    recipe: Recipe
    limits: BoxLimits
    isolation: Isolation = "call"
    network: str = "none"
    timeout_from_input: str = ""
    default_timeout_s: float | None = None
    path: Path = Path()

    def chosen_timeout_s(self, arguments: JSON) -> float | None:
        """The time limit that the input asks for, in seconds; ``None`` when it asks for none."""
        if not self.timeout_from_input:
            return None
        chosen = arguments.get(self.timeout_from_input, self.default_timeout_s)
        return chosen if _is_positive_number(chosen) else None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A tool that is not offered, and why, in one or more sentences."""

    name: str
    reason: str
    path: Path


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
    ) -> "Registry":
        """Read every tool in ``dirs``. A bad tool is quarantined and logged; the others work.

        ``ceilings`` and ``policy`` are the operator's. When two folders hold a tool of one name,
        the first in order stays. Raises ``ConfigError`` when a folder of ``dirs`` cannot be listed.
        """
        check = compile_schema(json.loads((share_dir("tools") / "tool.schema.json").read_bytes()))
        tools: dict[str, Tool] = {}
        quarantined: list[Quarantined] = []
        for folder in (folder for tools_dir in dirs for folder in tool_folders(tools_dir)):
            try:
                _check_name(folder.name, tools)
                tool = _read_tool(folder, check, ceilings, policy)
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


def _read_tool(
    folder: Path, check: InputValidator, ceilings: BoxLimits, policy: IsolationPolicy
) -> Tool:
    declared = _read_declared(folder, check)
    validator = _compile_input_schema(declared["input_schema"])
    limits = declared.get("limits", {})
    field = limits.get("timeout_from_input", "")
    properties = declared["input_schema"].get("properties", {})
    return Tool(
        spec=ToolSpec(
            name=folder.name,
            description=declared["description"],
            input_schema=declared["input_schema"],
            title=declared.get("title", ""),
            idempotent=declared.get("idempotent", False),
            parallel=declared.get("parallel", True),
        ),
        validator=validator,
        recipe=_read_recipe(folder, declared),
        limits=combine_limits(ceilings, dataclasses.asdict(BoxLimits()) | limits),
        isolation=chosen_isolation(declared.get("isolation"), policy),
        network=declared.get("network", "none"),
        timeout_from_input=field,
        default_timeout_s=_default_timeout_s(field, properties),
        path=folder,
    )


def _read_declared(folder: Path, check: InputValidator) -> JSON:
    """What tool.json says, when it says what it may, and can be done here."""
    declared = check.check(read_declaration(folder))
    if isinstance(declared, Violations):
        raise ConfigError(
            [
                f"{' '.join(('tool.json', one.pointer)).rstrip()}: {one.message}"
                for one in declared.listed
            ]
            + ([f"and {declared.more} more"] if declared.more else [])
        )
    if declared.get("runs") == "host":
        raise ConfigError(
            ["it runs on the host, and the worker has no implementation of that name"]
        )
    if ("command" in declared) is ("code" in declared):
        given = "not both" if "code" in declared else "and has neither"
        raise ConfigError(
            [f'tool.json: a tool that runs in a box needs a "command" or "code", {given}']
        )
    return declared


def _read_recipe(folder: Path, declared: JSON) -> Recipe:
    code = declared.get("code")
    collect = declared.get("artifacts")
    return Recipe(
        command=tuple(declared.get("command", ())),
        code=None if code is None else read_code_fields(code, declared["input_schema"]),
        tool_files=read_tool_files(folder),
        collect=None if collect is None else _collect_limits(collect),
    )


def _collect_limits(declared: Mapping[str, float]) -> CollectLimits:
    whole = {name: int(value) for name, value in declared.items()}  # JSON writes 8.0 for 8 too
    return CollectLimits(**whole)


def _compile_input_schema(schema: JSON) -> InputValidator:
    try:
        return compile_schema(schema)
    except ConfigError as error:
        raise ConfigError([f"input_schema: {mistake}" for mistake in error.mistakes]) from None


def _default_timeout_s(field: str, properties: Mapping[str, Any]) -> float | None:
    if not field:
        return None
    if field not in properties:
        close = nearest(field, list(properties))
        hint = f"; did you mean `{close}`?" if close else ""
        raise ConfigError([f"limits.timeout_from_input: the input has no field `{field}`{hint}"])
    declared = properties[field]
    if not isinstance(declared, dict) or declared.get("type") not in {"integer", "number"}:
        raise ConfigError(
            [f"limits.timeout_from_input: the field `{field}` must have the type integer or number"]
        )
    default = declared.get("default")
    return default if _is_positive_number(default) else None


def _is_positive_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
