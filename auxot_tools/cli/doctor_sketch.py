"""`auxot-tools doctor sketch`: the smallest exchange with a tool, printed or performed.

One job: options in, lines out. What is printed is `doctor/sketch.py`.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from auxot_tools.assembly import load_registry
from auxot_tools.cli.doctor_input import given_key, options
from auxot_tools.cli.option_values import Seconds
from auxot_tools.cli.start import loaded_config, run, set_up_log
from auxot_tools.doctor.base_url import BaseUrl
from auxot_tools.doctor.key import Redactor
from auxot_tools.doctor.report import cleaned_values
from auxot_tools.doctor.sample import sample_of
from auxot_tools.doctor.sketch import (
    Sketch,
    client_lines,
    endpoint_lines,
    endpoint_request,
    example_content,
    first_request,
    second_request,
)
from auxot_tools.doctor.sketch_run import Ran, run_client_form, run_endpoint_form
from auxot_tools.doctor.tool_source import MAX_TOOLS, read_tools
from auxot_tools.errors import ConfigError
from auxot_tools.types import JSON, ToolSpec
from auxot_tools.worker.validation import compile_any_schema

_DEFAULT_URL = "http://127.0.0.1:8080/api/anthropic"


@click.command()
@click.option(
    "--tool", "names", multiple=True, help="A tool of the worker. Default: code_executor."
)
@click.option("--tool-file", "files", multiple=True, type=click.Path(path_type=Path),
              help="A tool as JSON: name, description, input_schema.")  # fmt: skip
@click.option("--input", "input_text", help="The input as JSON, for one tool. Default: a sample.")
@click.option("--result", default="", help="The text that stands for the tool's answer.")
@click.option("--form", type=click.Choice(["client", "endpoint", "both"]), default=None,
              help="Who runs the tool. Default: both printed, client run.")  # fmt: skip
@click.option("--url", help="The base URL. Default: $ANTHROPIC_BASE_URL, else that of `make up`.")
@click.option("--key", help="The key; better in a file or in $ANTHROPIC_API_KEY.")
@click.option("--key-file", type=click.Path(path_type=Path), help="A file that holds the key.")
@click.option("--model", default="auto", show_default=True, help="The model to ask for.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Authorities to trust.")
@click.option("--timeout", "timeout_s", type=Seconds(1, 600), default=120.0)
@click.option("--run", "is_run", is_flag=True, help="Perform it, and show real ids and answers.")
@click.option("--json", "is_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_context
def sketch(  # noqa: PLR0917 - click passes by name
    ctx: click.Context,
    names: tuple[str, ...],
    files: tuple[Path, ...],
    input_text: str | None,
    result: str,
    form: str | None,
    url: str | None,
    key: str | None,
    key_file: Path | None,
    model: str,
    ca: str | None,
    timeout_s: float,
    is_run: bool,
    is_json: bool,
) -> None:
    """Sketch the smallest tool_use and tool_result exchange, as curl commands.

    The key is never in a command: it is "$ANTHROPIC_API_KEY". Exit code: 0 done, 1 the exchange
    did not come to its end, 2 the command line or a tool is wrong.
    """
    tools = [tool for path in files for tool in read_tools(path)]
    tools += _registered(ctx, names or (() if files else ("code_executor",)))
    if len(tools) > MAX_TOOLS:
        raise click.UsageError(f"at most {MAX_TOOLS} tools: it is to be small")
    base = BaseUrl(url if url is not None else os.environ.get("ANTHROPIC_BASE_URL", _DEFAULT_URL))
    if base.problem:
        raise click.UsageError(f"--url: {base.problem}")
    drawn = Sketch(base.asked_url, model, tools, _inputs(tools, input_text), result)
    if not is_run:
        _print_sketch(drawn, form or "both", is_json=is_json)
        return
    facts = given_key(key, key_file, os.environ)
    sent = facts.clean if facts.is_there else ""
    chosen = options(timeout_s, ca)

    async def perform() -> list[Ran]:
        forms = []
        if form in {"endpoint", "both"}:
            forms.append(await run_endpoint_form(drawn, base.origin(), sent, chosen))
        if form in {None, "client", "both"}:
            forms.append(await run_client_form(drawn, base.origin(), sent, chosen))
        return forms

    _print_run(run(perform), Redactor([facts]), is_json=is_json)


def _registered(ctx: click.Context, names: Sequence[str]) -> list[ToolSpec]:
    """Tools of the worker's folders. Raises `ConfigError`."""
    if not names:
        return []
    config = loaded_config(ctx).config
    set_up_log(config.log.model_copy(update={"level": "error"}))
    known = load_registry(config).tools
    missing = [name for name in names if name not in known]
    if missing:
        here = ", ".join(known)
        raise ConfigError([f"there is no tool {name} here; there are {here}" for name in missing])
    return [known[name].spec for name in names]


def _inputs(tools: Sequence[ToolSpec], input_text: str | None) -> list[JSON]:
    """What is given, or a sample for each tool; each fits its tool's schema."""
    if input_text is not None:
        if len(tools) != 1:
            raise click.UsageError("--input goes with one tool")
        inputs = [_json_object(input_text)]
    else:
        inputs = [sample_of(tool.input_schema) for tool in tools]
    for tool, value in zip(tools, inputs, strict=True):
        validator = compile_any_schema(tool.input_schema)
        if validator.violations(value) is not None:
            raise click.UsageError(
                f"the input for {tool.name} does not fit its schema: {json.dumps(value)[:200]}; "
                "write one with --input"
            )
    return inputs


def _json_object(text: str) -> JSON:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise click.UsageError("--input is not JSON") from None
    if not isinstance(value, dict):
        raise click.UsageError("--input is not a JSON object")
    return value


def _print_sketch(drawn: Sketch, form: str, *, is_json: bool) -> None:
    if is_json:
        told: dict[str, Any] = {"url": drawn.url}
        if form in {"endpoint", "both"}:
            told["endpoint"] = [endpoint_request(drawn)]
        if form in {"client", "both"}:
            content = example_content(drawn)
            told["client"] = [first_request(drawn), second_request(drawn, content)]
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    lines = endpoint_lines(drawn) if form in {"endpoint", "both"} else []
    lines += client_lines(drawn) if form in {"client", "both"} else []
    click.echo("\n".join(lines))


def _print_run(forms: Sequence[Ran], redactor: Redactor, *, is_json: bool) -> None:
    is_done = all(one.is_done for one in forms)
    if is_json:
        told = {
            "done": is_done,
            "lines": [line for one in forms for line in one.lines],
            "answers": [answer for one in forms for answer in one.answers],
        }
        click.echo(json.dumps(cleaned_values(told, redactor), indent=2, ensure_ascii=False))
    else:
        for line in (line for one in forms for line in one.lines):
            click.echo(cleaned_values(line, redactor))
    sys.exit(0 if is_done else 1)
