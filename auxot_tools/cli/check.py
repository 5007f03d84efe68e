"""`auxot-tools check`: is this machine ready? One line each, PASS or what to do.

One job: gather what is looked at, print, and the exit code: 0 ready, 1 something is to be done.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from auxot_tools.cli.start import run
from auxot_tools.config import load_config
from auxot_tools.doctor import environment_here as here
from auxot_tools.doctor import environment_there as there
from auxot_tools.doctor.environment import Line, Look, Machine, Verdict, look_around
from auxot_tools.doctor.key import KeyFacts, Redactor
from auxot_tools.doctor.report import cleaned_values
from auxot_tools.errors import ConfigError

_SECRET_NAMES = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")  # of any program's variables
_LEAST_SECRET_CHARS = 8  # a shorter one is in too many words
LOOKS: Mapping[str, Look] = {
    "python": here.look_at_python,
    "configuration": here.look_at_configuration,
    "engine": there.look_at_engine,
    "tools": here.look_at_tools,
    "policy": here.look_at_policy,
    "worker": there.look_at_worker,
    "router": there.look_at_router,
    "keys file": here.look_at_keys,
    "upstream": there.look_at_upstreams,
    "Auxot router": there.look_at_connect,
    "clock": there.look_at_clock,
    "disk": here.look_at_disk,
}


@click.command()
@click.option("--json", "is_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_context
def check(ctx: click.Context, is_json: bool) -> None:
    """Look whether this machine is ready: configuration, engine, image, tools, addresses, keys.

    Nothing is changed. Exit code: 0 ready, 1 something is to be done.
    """
    logging.disable(logging.CRITICAL)  # the lines say it all
    machine = machine_here(ctx.find_root().obj, os.environ, Path.cwd())
    lines = run(lambda: look_around(machine, LOOKS))
    redactor = Redactor(keys_of(machine))
    if is_json:
        told = {"ok": is_ready(lines), "lines": [_as_json(one) for one in lines]}
        click.echo(json.dumps(cleaned_values(told, redactor), indent=2, ensure_ascii=False))
    else:
        for one in lines:
            click.echo(cleaned_values(text_of_line(one), redactor))
    sys.exit(0 if is_ready(lines) else 1)


def machine_here(path: str | None, environ: Mapping[str, str], cwd: Path) -> Machine:
    """The configuration, or what is wrong with it and the defaults. Never raises for it."""
    given = Path(path) if path else None
    try:
        loaded = load_config(given, environ, cwd)
    except ConfigError as error:
        defaults = load_config(None, {}, Path(os.devnull)).config
        return Machine(defaults, error.mistakes, environ=environ, cwd=cwd)
    unset: tuple[str, ...] = ()
    try:
        load_config(given, environ, cwd, keys_needed=True)
    except ConfigError as error:
        unset = error.mistakes
    return Machine(loaded.config, (), loaded.file, unset, environ, cwd)


def is_ready(lines: list[Line]) -> bool:
    return all(one.verdict is not Verdict.FAIL for one in lines)


def text_of_line(line: Line) -> str:
    """`PASS  name: what`; of a FAIL what to do follows in the same line."""
    end = "" if line.says.endswith((".", "!", "?")) or not line.do else "."
    do = f"{end} {line.do}" if line.do else ""
    return f"{line.verdict.value}  {line.name}: {line.says}{do}"


def _as_json(line: Line) -> dict[str, str]:
    return {"name": line.name, "verdict": line.verdict.value, "says": line.says, "do": line.do}


def keys_of(machine: Machine) -> list[KeyFacts]:
    """Every secret of the configuration: none may be shown, wherever it comes from."""
    config = machine.config
    secrets = [config.worker.key, config.router.worker_key, config.connect.tools_key]
    secrets += [config.upstream.api_key, *(one.api_key for one in config.providers)]
    values = [one.get_secret_value() for one in secrets]
    named = (value for name, value in machine.environ.items() if name.endswith(_SECRET_NAMES))
    values += [value for value in named if len(value) >= _LEAST_SECRET_CHARS]
    return [KeyFacts(value) for value in values if value]
