"""The inputs of the endpoint's tool, as the user gives them.

One job: from options to patterns, and every mistake in them.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.plan import DEFAULT_INPUTS, DEFAULT_TOOL, INPUT_KINDS
from auxot_tools.types import JSON

_FILE_BYTES = 2**20


def inputs_for(tool: str, echo: str | None, file: Path | None) -> Mapping[str, JSON]:
    """The patterns by kind: the file's, with ``echo`` in place of its own; without both those that
    belong to the default tool. Raises ``ConfigError``.
    """
    made: dict[str, JSON] = dict(DEFAULT_INPUTS) if tool == DEFAULT_TOOL and not file else {}
    if file is not None:
        made |= _from_file(file)
    if echo is not None:
        made["echo"] = _object(echo, "--tool-input")
    if "echo" not in made:
        example = """--tool-input '{"text": "MARK"}'"""
        raise ConfigError([f"There is no input for the tool {tool}: give one, such as {example}."])
    return made


def _from_file(file: Path) -> dict[str, JSON]:
    try:
        with file.open("rb") as opened:
            data = opened.read(_FILE_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise ConfigError([f"--tool-inputs: {file} cannot be read: {reason}."]) from None
    if len(data) > _FILE_BYTES:
        raise ConfigError([f"--tool-inputs: {file} is larger than {_FILE_BYTES} bytes."])
    given = _object(data, f"--tool-inputs: {file}")
    strange = [name for name in given if name not in INPUT_KINDS]
    if strange:
        kinds = ", ".join(INPUT_KINDS)
        raise ConfigError(
            [f"--tool-inputs: {file} has {strange[0]!r:.40}, which is none of {kinds}."]
        )
    wrong = [name for name, value in given.items() if not isinstance(value, dict)]
    if wrong:
        raise ConfigError([f"--tool-inputs: {file}: {wrong[0]} is no JSON object."])
    return given


def _object(text: str | bytes, whose: str) -> JSON:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError([f"{whose} is not valid JSON."]) from None
    if not isinstance(value, dict):
        raise ConfigError([f"{whose} is no JSON object."])
    return value
