"""`auxot-tools new`: makes the folder of a tool, whose one case passes.

One job: these files. The tool that it makes counts the words of a text; whoever made it writes
theirs over it.
"""

import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import click

from auxot_tools.errors import ConfigError
from auxot_tools.share import share_dir
from auxot_tools.types import JSON, TOOL_NAME_PATTERN


class _Template(NamedTuple):
    file_name: str
    program: str


TEMPLATES = {
    "bash": _Template(
        "main.sh",
        """\
#!/bin/bash
# The input is one JSON object on standard input; what is printed is the result.
set -euo pipefail

text=$(jq -r .text)
wc -w <<< "$text"
""",
    ),
    "python": _Template(
        "main.py",
        '''\
#!/usr/bin/env python3
"""The input is one JSON object on standard input; what is printed is the result."""

import json
import sys

text = json.load(sys.stdin)["text"]
print(len(text.split()))
''',
    ),
    "node": _Template(
        "main.js",
        """\
#!/usr/bin/env node
// The input is one JSON object on standard input; what is printed is the result.
const { text } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
console.log(text.split(/\\s+/).filter(Boolean).length);
""",
    ),
}
_DECLARATION: JSON = {
    "title": "",
    "description": "Counts the words of a text. Returns one number.",
    "input_schema": {
        "type": "object",
        "properties": {"text": {"type": "string", "description": "The text."}},
        "required": ["text"],
        "additionalProperties": False,
    },
    "limits": {"timeout_s": 10},
    "idempotent": True,
}
_CASES = [
    {
        "name": "two words",
        "input": {"text": "two words"},
        "status": "completed",
        "exit_code": 0,
        "text": "2",
    }
]


@click.command()
@click.argument("name")
@click.option("--language", type=click.Choice(list(TEMPLATES)), default="bash", show_default=True)
@click.option(
    "--dir",
    "tools_dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tools"),
    show_default=True,
    help="The tools folder to make it in.",
)
def new(name: str, language: str, tools_dir: Path) -> None:
    """Make the tool NAME: a folder with its declaration, its program and a case that passes."""
    if not re.fullmatch(TOOL_NAME_PATTERN, name):
        raise ConfigError(["a tool's name is 1 to 64 letters, digits, `_` or `-`"])
    folder = tools_dir / name
    template = TEMPLATES[language]
    declaration = _DECLARATION | {"title": name.replace("_", " ").replace("-", " ").capitalize()}
    try:
        folder.mkdir(parents=True)
        (folder / "tool.json").write_text(_pretty(declaration))
        (folder / "cases.json").write_text(_pretty(_CASES))
        program = folder / template.file_name
        program.write_text(template.program)
        program.chmod(0o755)
    except FileExistsError:
        raise ConfigError([f"{folder} is there already; nothing was changed"]) from None
    except OSError as error:
        raise ConfigError([f"{folder} cannot be made: {error.strerror}"]) from None
    click.echo(_next(name, folder, template, tools_dir))


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _next(name: str, folder: Path, template: _Template, tools_dir: Path) -> str:
    shown = shlex.quote(str(tools_dir))
    both = dict.fromkeys((str(tools_dir), str(share_dir("tools"))))
    if tools_dir.resolve() == share_dir("tools").resolve():
        both = dict.fromkeys((str(tools_dir),))
    dirs = json.dumps(list(both))
    return f"""\
Made {folder}: tool.json, {template.file_name}, cases.json. It counts words.
1. Run its case in a sandbox:
     auxot-tools test {name} --dir {shown}
2. Make it yours: what it does and takes (tool.json), how ({template.file_name}), what must come out
   (cases.json).
3. Offer it beside the tools that come with auxot-tools: in auxot.toml, under [worker],
     tools_dirs = {dirs}
   A worker that runs with this setting sees every change within a second."""
