"""`auxot-tools up`: worker and router that stay up, and how to use them.

One job: fill in what a first use needs (a key, a worker key, the tools on offer), start the two
processes, and say what to type next. Settings that the operator made are never changed.
"""

import fcntl
import os
import secrets
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import anyio
import click

from auxot_tools.assembly import load_registry
from auxot_tools.cli.check import keys_of, text_of_line
from auxot_tools.cli.stack import STOP_S, Stack, running_stack
from auxot_tools.cli.start import loaded_config, run
from auxot_tools.config import Config, LoadedConfig
from auxot_tools.doctor.environment import Machine, Verdict, look_around
from auxot_tools.doctor.environment_there import look_at_engine, look_at_upstreams
from auxot_tools.doctor.key import Redactor
from auxot_tools.doctor.report import cleaned_values
from auxot_tools.errors import AuxotError, Unavailable
from auxot_tools.router.key_file import (
    append_key,
    entry_for,
    hint_of,
    new_secret,
    read_key_file,
    remove_key,
)

_KEY_NAME = "local"
_LOOKS = {"engine": look_at_engine, "upstream": look_at_upstreams}
NOTES_S = 15.0  # an upstream that says nothing is known for that within 9 s
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: the terminal was closed


@click.command()
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".state/up"),
    show_default=True,
    help="Where the key and the logs are kept.",
)
@click.pass_context
def up(ctx: click.Context, state_dir: Path) -> None:
    """Start a worker and a router, print how to use them, and stay until Ctrl-C."""
    loaded = loaded_config(ctx, keys_needed=True)
    state_dir = state_dir.absolute()
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _locked(state_dir)
    environment, key = _filled_in(loaded, state_dir)

    async def stay() -> str:
        """Until a signal (then it is empty), or until one of the two ends (then it says which)."""
        ended, hurry = "", anyio.Event()
        with anyio.open_signal_receiver(*_SIGNALS) as signals:
            async with anyio.create_task_group() as tasks:
                with anyio.CancelScope() as staying:
                    tasks.start_soon(_leave_on_signals, signals, staying, hurry)
                    async with running_stack(state_dir, environment, loaded.file, hurry) as stack:
                        _explain(stack, key, state_dir, loaded)
                        tasks.start_soon(_tell_notes, loaded.config)
                        ended = await stack.first_to_end()
                tasks.cancel_scope.cancel()
        return ended

    try:
        ended = run(stay)
    except ExceptionGroup as group:  # one of them did not start
        ours, others = group.split(AuxotError)
        if ours is None or others is not None:
            raise
        raise ours.exceptions[0] from None
    finally:
        lock.close()
    if ended:
        raise Unavailable(ended)


def _locked(state_dir: Path) -> IO[str]:
    """A lock on the folder, held until it is closed: two would mix their logs and keys."""
    lock = (state_dir / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise Unavailable(
            f"another `auxot-tools up` runs with {state_dir}: end it, or give this one a folder of "
            "its own with --state-dir"
        ) from None
    return lock


async def _tell_notes(config: Config) -> None:
    for note in await notes(config):
        click.echo(f"\n{note}")


async def notes(config: Config, within_s: float = NOTES_S) -> list[str]:
    """What does not work yet of engine and upstream, and what to do, as `check` words it."""
    machine = Machine(config)
    found = await look_around(machine, _LOOKS, within_s)
    redactor = Redactor(keys_of(machine))
    bad = [replace(one, verdict=Verdict.NOTE) for one in found if one.verdict is Verdict.FAIL]
    return [cleaned_values(text_of_line(one), redactor) for one in bad]


async def _leave_on_signals(
    signals: AsyncIterator[signal.Signals], staying: anyio.CancelScope, hurry: anyio.Event
) -> None:
    await anext(signals)
    click.echo(f"\nStopping: running calls may finish, for at most {2 * STOP_S:g} s.")
    staying.cancel()
    await anext(signals)
    hurry.set()


def _filled_in(loaded: LoadedConfig, state_dir: Path) -> tuple[dict[str, str], str]:
    """Environment for what the operator has not set, and the key for clients ("" if not ours)."""
    config, sources = loaded.config, loaded.sources
    environment: dict[str, str] = {}
    if sources["worker.key"] == "default" and sources["router.worker_key"] == "default":
        environment["AUXOT_WORKER_KEY"] = _worker_key(state_dir / "worker.key")
    if sources["router.worker"] == "default":
        environment["AUXOT_ROUTER__WORKER"] = config.worker.listen[0]
    if sources["worker.state_dir"] == "default":
        environment["AUXOT_WORKER__STATE_DIR"] = str(state_dir.resolve())
    if sources["router.allowed_tools"] == "default":
        names = [spec.name for spec in load_registry(config).specs()]
        environment["AUXOT_ROUTER__ALLOWED_TOOLS"] = ",".join(names)
    key = ""
    if sources["router.keys_file"] == "default":
        keys_file = state_dir / "keys.toml"
        environment["AUXOT_ROUTER__KEYS_FILE"] = str(keys_file)
        key = kept_key(state_dir / "key", keys_file)
    return environment, key


def _worker_key(file: Path) -> str:
    """What the router shows to the worker; kept, so that `auxot-tools call` can show it too."""
    if not file.exists():
        _keep_secret(file, secrets.token_urlsafe(24))
    return file.read_text().strip()


def _keep_secret(file: Path, secret: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(secret + "\n")


def kept_key(key_file: Path, keys_file: Path) -> str:
    """The key of earlier runs, or a new one, kept in a file that only its owner can read."""
    entries = read_key_file(keys_file).keys if keys_file.exists() else ()
    ours = next((entry for entry in entries if entry.name == _KEY_NAME), None)
    if ours is not None and key_file.exists():
        secret = key_file.read_text().strip()
        if ours.hint == hint_of(secret):
            return secret
    if ours is not None:
        remove_key(keys_file, _KEY_NAME)
    secret = new_secret()
    _keep_secret(key_file, secret)
    append_key(keys_file, entry_for(secret, _KEY_NAME))
    return secret


def _program() -> str:
    """How to call this program from a shell."""
    if shutil.which("auxot-tools"):
        return "auxot-tools"
    return str(Path(sys.executable).parent / "auxot-tools")


def _model_in_words(config: Config) -> tuple[str, str]:
    """What to ask for, and what answers."""
    if config.providers:
        return "auto", ", ".join(f"{one.name} ({one.url})" for one in config.providers)
    if config.upstream.url == "demo":
        return "demo", "demo (embedded and scripted: no language model)"
    return config.upstream.model or "YOUR-MODEL", config.upstream.url


def _explain(stack: Stack, key: str, state_dir: Path, loaded: LoadedConfig) -> None:
    base_url = f"{stack.origin}/api/anthropic"
    key_text = key or "<one of the keys in your router.keys_file>"
    model_name, model = _model_in_words(loaded.config)
    has_own_key = loaded.sources["worker.key"] != "default"
    worker_key = "" if has_own_key else f'AUXOT_WORKER_KEY="$(cat {state_dir / "worker.key"})" '
    click.echo(f"""
auxot-tools is up.

  Messages endpoint   {base_url}/v1/messages
  worker (gRPC)       {stack.worker}
  upstream model      {model}
  key                 {key_text}{f"   (kept in {state_dir / 'key'})" if key else ""}
  logs                {stack.router_log}
                      {stack.worker_log}

Try it:

  curl -N {base_url}/v1/messages \\
    -H 'content-type: application/json' -H 'x-api-key: {key_text}' \\
    -d '{{"model": "{model_name}", "max_tokens": 1024, "stream": true,
         "messages": [{{"role": "user", "content": "run this python: print(6 * 7)"}}]}}'

One call of a tool, without any model:

  {worker_key}AUXOT_ROUTER__WORKER={stack.worker.split()[0]} \\
    {_program()} call code_executor --input '{{"code": "print(6 * 7)"}}'

Claude Code:

  export ANTHROPIC_BASE_URL={base_url}
  export ANTHROPIC_API_KEY={key_text}
  claude

Ctrl-C stops both; a second one at once.""")
