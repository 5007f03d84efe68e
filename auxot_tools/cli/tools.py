"""`auxot-tools list` and `auxot-tools call`: what there is, and one call of it."""

import base64
import json
import secrets
import sys
from contextlib import aclosing, suppress
from pathlib import Path

import click

from auxot_tools.assembly import load_registry, remote_dispatcher
from auxot_tools.cli.option_values import Seconds
from auxot_tools.cli.start import loaded_config, run, set_up_log, started
from auxot_tools.config import Config
from auxot_tools.errors import ConfigError
from auxot_tools.types import (
    CallLimits,
    Deadline,
    InputFile,
    Status,
    ToolCall,
    ToolResult,
    text_result,
)
from auxot_tools.worker.registry import Tool


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_context
def list_tools(ctx: click.Context, as_json: bool) -> None:
    """Show the tools in the worker's folders, and those in quarantine with the reason."""
    loaded = loaded_config(ctx)
    set_up_log(loaded.config.log.model_copy(update={"level": "error"}))  # the list says it all
    registry = load_registry(loaded.config)
    if as_json:
        tools = [_tool_as_json(tool) for tool in registry.tools.values()]
        bad = [{"name": q.name, "reason": q.reason} for q in registry.quarantined]
        click.echo(json.dumps({"tools": tools, "quarantined": bad}, indent=2))
        return
    for tool in registry.tools.values():
        summary = tool.spec.title or tool.spec.description.partition(".")[0]
        click.echo(f"{tool.spec.name:28} {_where(tool):8} {summary}")
    for bad_tool in registry.quarantined:
        click.echo(f"{bad_tool.name:28} QUARANTINED: {bad_tool.reason}")
    if not registry.tools and not registry.quarantined:
        click.echo("There are no tools in the worker's folders.")


def _where(tool: Tool) -> str:
    """How calls of it are isolated, or that they are in no box."""
    return tool.isolation if tool.runs == "box" else tool.runs


def _tool_as_json(tool: Tool) -> dict[str, str]:
    spec = tool.spec
    return {
        "name": spec.name,
        "title": spec.title,
        "description": spec.description,
        "isolation": _where(tool),
    }


@click.command()
@click.argument("name")
@click.option("--input", "input_text", default="{}", help="The input as JSON; @FILE or - reads it.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Seconds(min=0, min_open=True, max=86_400),
    help="Seconds; the tool's own limit holds too.",
)
@click.option(
    "--file",
    "paths",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file for the call's working folder; may be repeated.",
)
@click.option(
    "--save",
    "save_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for the files that the call leaves behind; none is overwritten.",
)
@click.option("--json", "as_json", is_flag=True, help="The exact result as one JSON object.")
@click.pass_context
def call(  # noqa: PLR0917 - click passes by name
    ctx: click.Context,
    name: str,
    input_text: str,
    timeout_s: float | None,
    paths: tuple[Path, ...],
    save_dir: Path | None,
    as_json: bool,
) -> None:
    """Call the tool NAME on the running worker (router.worker)."""
    config = started(ctx)
    tool_call = ToolCall(
        tool_use_id=f"toolu_cli_{secrets.token_hex(6)}",
        name=name,
        input_json=_input_bytes(input_text),
        tenant="cli",
        session=secrets.token_hex(6),
        limits=CallLimits(timeout_s=timeout_s),
        files=tuple(InputFile(path.name, path.read_bytes()) for path in paths),
    )
    result = run(lambda: _call(config, tool_call))
    if as_json:
        click.echo(json.dumps(_as_json(result), indent=2))
    else:
        _print(result)
        if result.status is Status.UNAVAILABLE:
            click.echo(f"-- the worker asked was {config.router.worker} (router.worker)", err=True)
        if result.status is Status.UNKNOWN_TOOL and _is_in_quarantine(config, name):
            click.echo(f"-- {name} is in quarantine; `auxot-tools list` says why", err=True)
    if save_dir is not None:
        _save(result, save_dir)
    sys.exit(1 if result.is_error else 0)


def _is_in_quarantine(config: Config, name: str) -> bool:
    """Whether the folders that this configuration names hold such a tool."""
    with suppress(ConfigError):
        return any(name == one.name for one in load_registry(config).quarantined)
    return False


def _save(result: ToolResult, folder: Path) -> None:
    """Write the result's files. Their names are the program's choice: none leads out of here."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for artifact in result.artifacts:
            path = folder / Path(artifact.name).name
            with path.open("xb") as file:
                file.write(artifact.data)
            click.echo(f"-- saved {path}", err=True)
    except FileExistsError as error:
        raise click.ClickException(f"{error.filename} is there already; it was kept") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the name cannot be used"
        raise click.ClickException(f"a file cannot be saved in {folder}: {reason}") from None


def _input_bytes(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise ConfigError([f"--input: {text[1:]} cannot be read: {error.strerror}"]) from None


async def _call(config: Config, tool_call: ToolCall) -> ToolResult:
    deadline = Deadline.after(config.router.call_timeout_s)
    async with (
        remote_dispatcher(config) as worker,
        aclosing(worker.execute(tool_call, deadline)) as events,
    ):
        async for event in events:
            if isinstance(event, ToolResult):
                return event
    text = "The worker gave no result."
    return text_result(tool_call.tool_use_id, Status.INTERNAL, text)


def _print(result: ToolResult) -> None:
    for number, block in enumerate(result.content, 1):
        if block.get("type") == "text":
            click.echo(block["text"])
        else:
            click.echo(f"[{block.get('type')} {number}]")
    facts = [str(result.status)]
    if result.exit_code is not None:
        facts.append(f"exit code {result.exit_code}")
    if result.signal is not None:
        facts.append(f"signal {result.signal}")
    if result.omitted_bytes:
        facts.append(f"{result.omitted_bytes} bytes left out")
    if result.box_id:
        facts.append(f"container {result.box_id[:12]} ({result.isolation})")
        facts.append(f"{result.duration_s:.3f} s")
    click.echo(f"-- {', '.join(facts)}", err=True)


def _as_json(result: ToolResult) -> dict[str, object]:
    return {
        "tool_use_id": result.tool_use_id,
        "status": str(result.status),
        "is_error": result.is_error,
        "content": list(result.content),
        "exit_code": result.exit_code,
        "signal": result.signal,
        "omitted_bytes": result.omitted_bytes,
        "isolation": result.isolation,
        "box_id": result.box_id,
        "duration_s": result.duration_s,
        "artifacts": [
            {
                "name": artifact.name,
                "media_type": artifact.media_type,
                "data": base64.b64encode(artifact.data).decode(),
            }
            for artifact in result.artifacts
        ],
        "output_handle": result.output_handle,
    }
