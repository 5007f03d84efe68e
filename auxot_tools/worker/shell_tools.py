"""Finds the program of a tool whose declaration names none: an executable file beside it.

One job: from files to the command that starts one of them. Of a tool of two files, ``NAME.sh`` and
``NAME.tool.json``, it makes the whole ``Source``: such descriptors are Auxot's (``name``,
``description``, ``parameters``), and may say whatever a tool.json says. It must not know what the
operator allows. Blocks.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from auxot_tools.errors import ConfigError
from auxot_tools.types import JSON, InputFile
from auxot_tools.worker.declaration import Source, mistakes
from auxot_tools.worker.input_json import parse_input
from auxot_tools.worker.start_line import start_command
from auxot_tools.worker.tool_folder import (
    DESCRIPTOR,
    MAX_DECLARATION_BYTES,
    MAX_FILES_BYTES,
    is_executable,
    programs_of,
    read_file,
)
from auxot_tools.worker.validation import InputValidator
from auxot_tools.worker.violations import Violation, Violations, nearest

logger = logging.getLogger(__name__)

TIMEOUT_S = 60.0  # what such a tool has with Auxot
_ANY_OBJECT: JSON = {"type": "object"}
_OWN_KEYS = ("name", "parameters")
_MAX_SHOWN = 5


def read_shell_tool(descriptor: Path, check: InputValidator) -> Source:
    """The tool whose descriptor this is. Raises ``ConfigError`` with why there is none."""
    called = descriptor.name
    parsed = parse_input(read_file(descriptor, descriptor.parent, MAX_DECLARATION_BYTES))
    if isinstance(parsed, Violation):
        raise ConfigError(mistakes(Violations((parsed,)), called))
    name = _name(parsed, called)
    declared = _declared(parsed, check, called)
    if "command" in declared or "code" in declared:
        return Source(name, descriptor, declared)
    program = _program(descriptor)
    data = read_file(program, descriptor.parent, MAX_FILES_BYTES)
    command = start_command(program.name, data)
    return Source(name, descriptor, declared, (InputFile(program.name, data),), command)


def found_command(folder: Path, files: Sequence[InputFile]) -> tuple[str, ...]:
    """The command that starts the program among a tool's ``files``, which lie in ``folder``.

    It is the only executable one, or of several the one called ``main.*`` or like the folder.
    Raises ``ConfigError`` when there is none, or more than one.
    """
    ready = [file for file in files if is_executable(folder / file.name)]
    named = [file for file in ready if Path(file.name).stem in {"main", folder.name}]
    chosen = ready if len(ready) == 1 else named
    if len(chosen) == 1:
        return start_command(chosen[0].name, chosen[0].data)
    if ready:
        names = ", ".join(file.name for file in ready[:_MAX_SHOWN])
        advice = 'call one of them main, or give the tool a "command"'
        raise ConfigError([f"several of its files are executable ({names}); {advice}"])
    what = 'a tool that runs in a box needs a "command" or "code", and has neither'
    raise ConfigError([f"tool.json: {what}, nor is one of its files executable"])


def _name(parsed: JSON, called: str) -> str:
    name = parsed.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError([f"{called}: missing required field `name`, the tool's name"])
    return name


def _declared(parsed: JSON, check: InputValidator, called: str) -> JSON:
    """The descriptor as a tool.json says it, checked as one."""
    if "parameters" in parsed and "input_schema" in parsed:
        raise ConfigError([f'{called}: it needs "parameters" or "input_schema", not both'])
    declared = {key: value for key, value in parsed.items() if key not in _OWN_KEYS}
    schema = parsed.get("parameters", parsed.get("input_schema")) or _ANY_OBJECT
    if isinstance(schema, dict):
        schema = _ANY_OBJECT | schema
    declared["input_schema"] = schema
    known = [*check.schema["properties"], *_OWN_KEYS]
    for key in [key for key in declared if key not in known and not nearest(key, known)]:
        logger.info("%s: nothing is known by the name of %r; it is ignored", called, key[:64])
        del declared[key]
    violations = check.violations(declared)
    if violations is not None:
        raise ConfigError(mistakes(violations, called))
    declared["limits"] = {"timeout_s": TIMEOUT_S} | declared.get("limits", {})
    return declared


def _program(descriptor: Path) -> Path:
    """The one executable beside the descriptor; ``NAME.sh`` before all others."""
    stem = descriptor.name.removesuffix(DESCRIPTOR)
    found = programs_of(descriptor)
    ready = [path for path in found if is_executable(path)]
    shell = [path for path in ready if path.name == f"{stem}.sh"]
    if shell or len(ready) == 1:
        return (shell or ready)[0]
    if ready:
        names = ", ".join(path.name for path in ready[:_MAX_SHOWN])
        raise ConfigError([f"several executable files could be its program: {names}; leave one"])
    if found:
        name = found[0].name
        raise ConfigError([f"its program `{name}` is not executable: chmod +x {name}"])
    raise ConfigError([f"there is no program beside {descriptor.name}, for example `{stem}.sh`"])
