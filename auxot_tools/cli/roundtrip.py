"""`auxot-tools roundtrip`: examines a Messages endpoint, and says what it does right and wrong.

One job: options in, a run or a replay, and its results out. What is checked is in `roundtrip/`.
"""

import json
import logging
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from auxot_tools.assembly.serving import serving
from auxot_tools.cli.option_values import Seconds, listener_at
from auxot_tools.cli.roundtrip_files import try_out, write
from auxot_tools.cli.roundtrip_table import Progress, print_changes, print_rules, print_score
from auxot_tools.cli.start import run
from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.endpoint import KeyForm, endpoint_of
from auxot_tools.roundtrip.inputs import inputs_for
from auxot_tools.roundtrip.judging import Changed, Score, changes, chosen, judge
from auxot_tools.roundtrip.page import as_html
from auxot_tools.roundtrip.performing import RUN_S, Run
from auxot_tools.roundtrip.plan import DEFAULT_TOOL, Plan
from auxot_tools.roundtrip.recording import Recording, load, save
from auxot_tools.roundtrip.redaction import Redactor
from auxot_tools.roundtrip.replaying import plan_of, requests_of
from auxot_tools.roundtrip.report import as_json, as_junit, rule_as_json
from auxot_tools.roundtrip.rule import Rule
from auxot_tools.roundtrip.upstream import PlayedUpstream

_KEY_NAMES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_KEY_BYTES = 8192
_RUNS = {"auto": None, "yes": True, "no": False}
_SCRIPTED = "scripted"  # the model's name when it does not matter: ours answers to any
# What a recording says already, and what belongs to a run alone.
_NOT_WITH_REPLAY = ("tool", "tool_input", "tool_inputs", "quiet_s")
_OF_A_RUN = ("key", "key_file", "header_form", "model", "runs_tools", "upstream_listen", "record")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What was asked for on the command line."""

    url: str | None
    key: str | None
    key_file: Path | None
    header_form: str
    model: str | None
    tool: str | None
    tool_input: str | None
    tool_inputs: Path | None
    runs_tools: str
    upstream_listen: str | None
    quiet_s: float
    limit_s: float
    only: tuple[str, ...]
    is_list: bool
    is_json: bool
    junit: Path | None
    html: Path | None
    record: Path | None
    replay: Path | None


_FILE: Any = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--url", help="The endpoint's base URL; it may end in /v1 or /v1/messages.")
@click.option("--key", help="The key; others on this machine can see it here. Better: the next.")
@click.option("--key-file", type=_FILE, help=f"A file with the key. Else ${_KEY_NAMES[0]} counts.")
@click.option(
    "--header-form",
    type=click.Choice([form.value for form in KeyForm]),
    default=KeyForm.X_API_KEY.value,
    show_default=True,
    help="How the key is sent.",
)
@click.option("--model", help="The model to ask for. Needed unless the upstream is scripted.")
@click.option("--tool", help=f"A tool that the endpoint runs itself. Default: {DEFAULT_TOOL}.")
@click.option("--tool-input", help="Its input as JSON; MARK in it is what the result repeats.")
@click.option("--tool-inputs", type=_FILE, help="A JSON file with its inputs by kind; see --list.")
@click.option(
    "--runs-tools",
    type=click.Choice(list(_RUNS)),
    default="auto",
    show_default=True,
    help="Whether the endpoint runs the tool itself; auto: look.",
)
@click.option(
    "--upstream-listen",
    metavar="HOST:PORT",
    help="Serve the scripted upstream here; the endpoint must ask it.",
)
@click.option(
    "--quiet-s",
    type=Seconds(0.5, 120),
    default=15.0,
    show_default=True,
    help="Seconds that a stream may be silent.",
)
@click.option(
    "--limit-s",
    type=Seconds(10, 3600),
    default=RUN_S,
    show_default=True,
    help="Seconds for the whole run.",
)
@click.option("--only", multiple=True, metavar="GROUP|ID", help="These checks alone; repeatable.")
@click.option("--list", "is_list", is_flag=True, help="Show the checks and where they come from.")
@click.option("--json", "is_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--junit", type=_FILE, help="Write JUnit's XML there too.")
@click.option("--html", type=_FILE, help="Write one HTML page there too.")
@click.option("--record", type=_FILE, help="Keep all that was sent and came in this file, no keys.")
@click.option(
    "--replay", type=_FILE, help="Judge a recording; with --url send its requests anew and compare."
)
def roundtrip(**given: Any) -> None:
    """Examine a Messages endpoint: round trips of tool use, and all they rest on.

    It exits with 0 when nothing failed, 1 when a check failed, 2 when it could not be tried: nobody
    answers, nothing was testable, or the time was over before all was tried.
    """
    options = _Options(**given)
    _refuse_what_would_not_count(options)
    rules = chosen(options.only)
    if options.is_list:
        _list(rules, is_json=options.is_json)
        return
    if options.url is None and options.replay is None:
        raise click.UsageError("name an endpoint with --url, or a recording with --replay")
    try_out((options.junit, options.html, options.record))
    before = None if options.replay is None else load(options.replay)
    recording = before if options.url is None else _perform(options, before)
    if recording is None:
        raise click.UsageError("there is nothing to judge")
    score = judge(recording, rules)
    changed = None
    if before is not None and recording is not before:
        changed = changes(judge(before, rules), score)
    _show(score, changed, is_json=options.is_json)
    _save(options, recording, score)
    sys.exit(_exit_code(score))


def _refuse_what_would_not_count(options: _Options) -> None:
    """Nobody shall think that an option was heeded which was not."""
    if options.replay is None:
        return
    ctx = click.get_current_context()
    typed = [
        name
        for name in (*_NOT_WITH_REPLAY, *_OF_A_RUN)
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    for name in typed:
        option = f"--{name.replace('_', '-')}"
        if name in _NOT_WITH_REPLAY:
            raise click.UsageError(f"{option} is as the recording has it: leave it out")
        if options.url is None:
            raise click.UsageError(f"{option} is for a run: name its endpoint with --url")


def _exit_code(score: Score) -> int:
    if not score.is_good:
        return 1
    return 0 if score.is_conclusive else 2


def _list(rules: Sequence[Rule], *, is_json: bool) -> None:
    if is_json:
        click.echo(json.dumps({"checks": [rule_as_json(rule) for rule in rules]}, indent=2))
    else:
        print_rules(rules)


def _perform(options: _Options, before: Recording | None) -> Recording:
    endpoint = endpoint_of(options.url or "", _key(options), KeyForm(options.header_form))
    plan = _plan(options, before)
    with Progress(is_shown=not options.is_json) as progress:
        made = Run(
            plan,
            endpoint,
            runs_tools=_RUNS[options.runs_tools],
            sent_before={} if before is None else requests_of(before, plan.run_id),
            on_done=progress.note,
            on_wait=progress.wait,
            limit_s=options.limit_s,
            made_by=f"auxot-tools {version('auxot-tools')}",
        )
        return run(partial(_run, made, options.upstream_listen))


async def _run(made: Run, upstream_listen: str | None) -> Recording:
    if upstream_listen is None:
        return await made.perform()
    listener = listener_at(upstream_listen, "--upstream-listen", "127.0.0.1:9009")
    if not listener.is_private:
        click.echo(f"{listener.host} is off loopback: whoever reaches it is answered.", err=True)
    upstream = PlayedUpstream(made.plan, Redactor([made.endpoint.key]))
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # scripted faults are no news
    async with serving(upstream, listener) as origin:
        click.echo(f"scripted upstream: {origin}", err=True)
        try:
            return await replace(made, upstream=upstream).perform()
        except ConfigError as error:
            mistake = error  # told when the server is gone: its task group would wrap it
    raise mistake


def _plan(options: _Options, before: Recording | None) -> Plan:
    """What is to be done; without options as the recording says."""
    run_id, has_upstream = secrets.token_hex(4), options.upstream_listen is not None
    model = options.model or (_SCRIPTED if has_upstream else None)
    if before is not None:
        plan = plan_of(before, run_id)
        model = options.model or plan.model
    else:
        tool = options.tool or DEFAULT_TOOL
        inputs = inputs_for(tool, options.tool_input, options.tool_inputs)
        plan = Plan("", run_id, tool, inputs, quiet_s=options.quiet_s)
    if model is None:
        raise click.UsageError("name a model with --model: the upstream is a real one")
    return replace(plan, model=model, has_upstream=has_upstream)


def _key(options: _Options) -> str:
    """The key. Raises ``ConfigError`` when its file cannot be read."""
    if options.key is not None:
        return options.key
    if options.key_file is None:
        return next(filter(None, (os.environ.get(name, "") for name in _KEY_NAMES)), "")
    try:
        with options.key_file.open("rb") as file:
            data = file.read(_KEY_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise ConfigError([f"--key-file {options.key_file} cannot be read: {reason}."]) from None
    if len(data) > _KEY_BYTES:
        raise ConfigError([f"--key-file {options.key_file} is too long to be a key."])
    return data.decode("utf-8", "replace").strip()


def _show(score: Score, changed: Sequence[Changed] | None, *, is_json: bool) -> None:
    if is_json:
        click.echo(json.dumps(as_json(score, changed), indent=2))
        return
    print_score(score)
    if changed is not None:
        print_changes(changed)


def _save(options: _Options, recording: Recording, score: Score) -> None:
    """After the results were shown: no full disk takes them away."""
    for path, text in ((options.junit, as_junit), (options.html, as_html)):
        if path is not None:
            write(path, text(score))
    if options.record is not None:
        save(recording, options.record)
