"""A tool's cases: calls, and what must come out of each, from its ``cases.json``.

One job: to read them, to play one, and to say in sentences what came out otherwise. It must not
know sandboxes, folders of tools, or who asks.
"""

import json
import secrets
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auxot_tools.errors import ConfigError
from auxot_tools.ports import ToolDispatcher
from auxot_tools.types import JSON, Deadline, Status, ToolCall, ToolResult
from auxot_tools.worker.tool_folder import DESCRIPTOR, read_file
from auxot_tools.worker.validation import compile_any_schema
from auxot_tools.worker.violations import show

CASES = "cases.json"
_MAX_BYTES = 4 * 2**20
_PATIENCE_S = 330.0  # for one call: longer than a tool may take unless the operator says otherwise
_MAX_SHOWN_CHARS = 600  # of a result, where it is not as declared
_STRINGS = {"type": "array", "items": {"type": "string"}}
_SCHEMA: JSON = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "before": {"type": "array", "items": {"type": "object"}},
            "input": {"type": "object"},
            "status": {"enum": [str(status) for status in Status]},
            "exit_code": {"type": "integer"},
            "signal": {"type": "integer"},
            "text": {"type": "string"},
            "contains": _STRINGS,
            "artifacts": _STRINGS,
        },
        "required": ["name", "input"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True, slots=True)
class Case:
    """One call and what must come out. ``None`` is not looked at.

    ``before`` holds inputs of calls that are made first, in the same session.
    """

    name: str
    input: JSON
    before: tuple[JSON, ...] = ()
    status: Status = Status.COMPLETED
    exit_code: int | None = None
    signal: int | None = None
    text: str | None = None
    contains: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()

    def faults(self, result: ToolResult) -> list[str]:
        """What ``result`` has otherwise; empty when it is as declared."""
        text = "".join(block.get("text", "") for block in result.content)
        names = tuple(artifact.name for artifact in result.artifacts)
        pairs: list[tuple[str, object, object]] = [
            ("status", str(self.status), str(result.status)),
            ("artifacts", list(self.artifacts), list(names)),
        ]
        if self.exit_code is not None:
            pairs.append(("exit code", self.exit_code, result.exit_code))
        if self.signal is not None:
            pairs.append(("signal", self.signal, result.signal))
        faults = [
            f"{what}: expected {json.dumps(wanted)}, got {json.dumps(got)}"
            for what, wanted, got in pairs
            if wanted != got
        ]
        if self.text is not None and text != self.text:
            faults.append(f"text: expected {show(self.text)}")
        faults += [f"text: {show(part)} is not in it" for part in self.contains if part not in text]
        return [*faults, f"the text was: {_shortened(text)}"] if faults else []


def cases_path(tool_path: Path) -> Path:
    """Where the cases of a tool are, which was read from a folder or from a descriptor."""
    if tool_path.name.endswith(DESCRIPTOR):
        return tool_path.with_name(f"{tool_path.name.removesuffix(DESCRIPTOR)}.{CASES}")
    return tool_path / CASES


def read_cases(path: Path) -> tuple[Case, ...]:
    """The cases in a file. Raises ``ConfigError`` with what is wrong with it. Blocks."""
    text = read_file(path, path.parent, _MAX_BYTES)
    try:
        declared = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError([f"{path} is not valid JSON"]) from None
    violations = compile_any_schema(_SCHEMA).violations(declared)
    if violations is not None:
        raise ConfigError([f"{path} {one.pointer}: {one.message}" for one in violations.listed])
    return tuple(map(_case, declared))


def _case(declared: JSON) -> Case:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in declared.items()
    }
    values["status"] = Status(declared.get("status", Status.COMPLETED))
    return Case(**values)


async def play(case: Case, tool_name: str, dispatcher: ToolDispatcher) -> list[str]:
    """Make the calls of ``case``, in a session of their own; what came out otherwise."""
    session = secrets.token_hex(8)
    for arguments in (*case.before, case.input):
        result = await _called(arguments, tool_name, session, dispatcher)
    return case.faults(result)


async def _called(
    arguments: JSON, tool_name: str, session: str, dispatcher: ToolDispatcher
) -> ToolResult:
    call = ToolCall(
        tool_use_id=f"toolu_case_{secrets.token_hex(6)}",
        name=tool_name,
        input_json=json.dumps(arguments).encode(),
        tenant="cases",
        session=session,
    )
    async with aclosing(dispatcher.execute(call, Deadline.after(_PATIENCE_S))) as events:
        async for event in events:
            if isinstance(event, ToolResult):
                return event
    return ToolResult(call.tool_use_id, Status.INTERNAL, ())


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]} …"
