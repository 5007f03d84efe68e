"""Makes a tool of what its tool.json says, within what the operator allows.

One job: from a checked declaration to a ``Tool``, or sentences why there is none. It must not know
folders: the files that travel, and the program when it is found and not declared, are given to it.
"""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auxot_tools.errors import ConfigError
from auxot_tools.ports import BoxLimits, CollectLimits, Isolation
from auxot_tools.types import JSON, InputFile, ToolSpec
from auxot_tools.worker.isolation import IsolationPolicy, chosen_isolation
from auxot_tools.worker.limits import DEFAULT_CEILINGS, combine_limits
from auxot_tools.worker.open_hosts import is_host, is_open
from auxot_tools.worker.program import Recipe, read_code_fields
from auxot_tools.worker.tool import Runs, Tool, is_positive_number
from auxot_tools.worker.validation import InputValidator, compile_schema
from auxot_tools.worker.violations import Violations, nearest, show


@dataclass(frozen=True, slots=True)
class OperatorRules:
    """What the operator allows tools.

    ``hosted``: names that the worker implements itself. ``host_tools``: tools that run on the host.
    ``open_hosts``: what tools may reach. ``allowed``: the only tools there are; ``None``: all.
    """

    ceilings: BoxLimits = DEFAULT_CEILINGS
    policy: IsolationPolicy = field(default_factory=IsolationPolicy)
    hosted: Collection[str] = ()
    host_tools: Collection[str] = ()
    open_hosts: Collection[str] = ()
    allowed: Collection[str] | None = None

    def leaves_out(self, name: str) -> bool:
        """Whether no tool of this name is to be offered."""
        return self.allowed is not None and name not in self.allowed


@dataclass(frozen=True, slots=True)
class Source:
    """Where a tool comes from, and what lies there. ``command`` starts the program found there."""

    name: str
    path: Path
    declared: JSON
    tool_files: tuple[InputFile, ...] = ()
    command: tuple[str, ...] = ()


def checked(check: InputValidator, text: bytes, called: str) -> JSON:
    """The declaration in ``text``. Raises ``ConfigError`` with what does not fit."""
    declared = check.check(text)
    if isinstance(declared, dict):
        return declared
    raise ConfigError(mistakes(declared, called))


def mistakes(violations: Violations, called: str) -> list[str]:
    """The violations of a declaration in the file ``called``, a sentence each."""
    listed = [
        f"{' '.join((called, one.pointer)).rstrip()}: {one.message}" for one in violations.listed
    ]
    return [*listed, f"and {violations.more} more"] if violations.more else listed


def make_tool(source: Source, rules: OperatorRules) -> Tool:
    """The tool. Raises ``ConfigError`` with a sentence for each reason why there is none."""
    declared = _with_allowed_sessions(source.declared, rules.policy)
    source = dataclasses.replace(source, declared=declared)
    runs = _where(source, rules)
    limits = declared.get("limits", {})
    timeout_field = limits.get("timeout_from_input", "")
    session_field = declared.get("session_from_input", "")
    schema = declared["input_schema"]
    hosts = _hosts(declared, runs, rules.open_hosts)
    return Tool(
        spec=ToolSpec(
            name=source.name,
            description=declared["description"],
            input_schema=schema,
            title=declared.get("title", ""),
            idempotent=declared.get("idempotent", False),
            parallel=declared.get("parallel", True),
            stateful=bool(session_field) or declared.get("isolation") == "session",
        ),
        validator=_compile_input_schema(schema),
        recipe=Recipe() if runs == "hosted" else _recipe(source),
        limits=combine_limits(rules.ceilings, dataclasses.asdict(BoxLimits()) | limits),
        isolation=_isolation(declared, runs, hosts, rules.policy),
        hosts=hosts,
        timeout_from_input=timeout_field,
        default_timeout_s=_default_timeout_s(timeout_field, schema),
        path=source.path,
        runs=runs,
        session_field=session_field,
        session_default=_session_default(session_field, schema),
    )


def _where(source: Source, rules: OperatorRules) -> Runs:
    declared, name = source.declared, source.name
    programs = [key for key in ("command", "code") if key in declared]
    says_host = declared.get("runs") == "host"
    if says_host and not programs and not source.command:
        if name not in rules.hosted:
            raise ConfigError(
                ["it runs on the host, and the worker has no implementation of that name"]
            )
        return "hosted"
    if len(programs) != 1 and (programs or not source.command):
        given = "not both" if programs else "and has neither"
        raise ConfigError(
            [f'tool.json: a tool that runs in a box needs a "command" or "code", {given}']
        )
    if name not in rules.host_tools:
        if says_host:
            text = "it wants to run on the host, outside every sandbox"
            raise ConfigError([f"{text}; the operator must name it in `worker.host_tools`"])
        return "box"
    if "code" in programs:
        raise ConfigError(
            ["`worker.host_tools` names it, but code that a model wrote runs in a box only"]
        )
    return "host"


def _hosts(declared: JSON, runs: Runs, open_hosts: Collection[str]) -> tuple[str, ...]:
    asked = declared.get("network", "none")
    if (
        asked in ("none", []) or runs == "host"
    ):  # on the host nothing stands between it and the network
        return ()
    if runs == "hosted":
        raise ConfigError(["tool.json /network: a tool of the worker's own has no such list"])
    hosts = tuple(dict.fromkeys(host.lower() for host in asked))
    bad = [host for host in hosts if not is_host(host)]
    if bad:
        forms = "example.org, *.example.org and example.org:8443"
        raise ConfigError(
            [
                f"tool.json /network: {show(host)} is no host; hosts look like {forms}"
                for host in bad
            ]
        )
    closed = [host for host in hosts if not is_open(host, open_hosts)]
    if closed:
        raise ConfigError(
            [f"it needs {host}, which `worker.open_hosts` does not allow" for host in closed]
        )
    return hosts


def _isolation(
    declared: JSON, runs: Runs, hosts: tuple[str, ...], policy: IsolationPolicy
) -> Isolation:
    if runs != "box":
        return "call"
    asked: Isolation | None = declared.get("isolation")
    if not hosts:
        return chosen_isolation(asked, policy)
    if asked == "session" or "session_from_input" in declared:
        raise ConfigError(["tool.json /network: a tool with a network cannot keep a session"])
    return "call"


def _with_allowed_sessions(declared: JSON, policy: IsolationPolicy) -> JSON:
    """Where no session may be kept, a tool that only offers one is there without the offer."""
    name = declared.get("session_from_input", "")
    if not name or "session" in policy.allowed:
        return declared
    _session_default(name, declared["input_schema"])  # raises for a field that is not there
    schema = dict(declared["input_schema"])
    schema["properties"] = {key: one for key, one in schema["properties"].items() if key != name}
    schema["required"] = [key for key in schema.get("required", ()) if key != name]
    description = f"{declared['description']}\n\nOn this worker no sessions are kept."
    kept = {key: value for key, value in declared.items() if key != "session_from_input"}
    return kept | {"input_schema": schema, "description": description}


def _recipe(source: Source) -> Recipe:
    declared = source.declared
    code = declared.get("code")
    collect = declared.get("artifacts")
    return Recipe(
        command=() if code is not None else tuple(declared.get("command", source.command)),
        code=None if code is None else read_code_fields(code, declared["input_schema"]),
        tool_files=source.tool_files,
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


def _default_timeout_s(name: str, schema: JSON) -> float | None:
    if not name:
        return None
    default = _field("limits.timeout_from_input", name, schema, "integer", "number").get("default")
    return default if is_positive_number(default) else None


def _session_default(name: str, schema: JSON) -> bool:
    if not name:
        return False
    return _field("session_from_input", name, schema, "boolean").get("default") is True


def _field(key: str, name: str, schema: JSON, *types: str) -> JSON:
    """What the schema says of the field that ``key`` names. Raises ``ConfigError``."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    if name not in properties:
        close = nearest(name, list(properties))
        hint = f"; did you mean `{close}`?" if close else ""
        raise ConfigError([f"{key}: the input has no field `{name}`{hint}"])
    declared = properties[name]
    if not isinstance(declared, dict) or declared.get("type") not in types:
        raise ConfigError([f"{key}: the field `{name}` must have the type {' or '.join(types)}"])
    return declared
