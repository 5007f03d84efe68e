"""`auxot-tools approvals`: an operator's answers to calls that wait for one.

One job: show what waits on the running worker (`router.worker`), and send a yes or a no. What a
model wrote is shown so that a terminal cannot act on it. Must not know what a decision does.
"""

import json
import os
import pwd
from collections.abc import Sequence
from typing import Any

import anyio
import click

from auxot_tools.assembly import remote_dispatcher
from auxot_tools.cli.start import run, started
from auxot_tools.config import Config
from auxot_tools.errors import Unavailable
from auxot_tools.ports import WaitingCall

SHOWN_BYTES = 4096  # an input of this length was cut, as `WaitingCall` says

WATCH_S = 1.0  # between two looks; a call waits for a minute and more


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_context
def approvals(ctx: click.Context, as_json: bool) -> None:
    """Calls that wait for an operator's yes; without a command they are listed."""
    if ctx.invoked_subcommand is not None:
        return
    config = started(ctx)
    waiting = run(lambda: _waiting(config))
    if as_json:
        click.echo(json.dumps({"approvals": [_as_json(call) for call in waiting]}, indent=2))
        return
    for call in waiting:
        _print(call)
    if not waiting:
        click.echo("No call waits for approval.", err=True)


@approvals.command()
@click.argument("approval_id", metavar="ID")
@click.pass_context
def allow(ctx: click.Context, approval_id: str) -> None:
    """Let the call run that waits under ID."""
    _decide(ctx, approval_id, is_allowed=True)


@approvals.command()
@click.argument("approval_id", metavar="ID")
@click.pass_context
def deny(ctx: click.Context, approval_id: str) -> None:
    """Refuse the call that waits under ID."""
    _decide(ctx, approval_id, is_allowed=False)


@approvals.command()
@click.pass_context
def watch(ctx: click.Context) -> None:
    """Show calls as they begin to wait, until Ctrl-C."""
    config = started(ctx)
    run(lambda: _watch(config))


def escaped(text: str) -> str:
    """`text` on one line, every character that is not plainly visible written as its escape."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _decide(ctx: click.Context, approval_id: str, *, is_allowed: bool) -> None:
    config = started(ctx)
    run(lambda: _send(config, approval_id, is_allowed))
    verdict = "may run" if is_allowed else "is refused"
    click.echo(f"The call {escaped(approval_id)} {verdict}.")


async def _waiting(config: Config) -> Sequence[WaitingCall]:
    async with remote_dispatcher(config) as worker:
        return await worker.list_approvals()


async def _watch(config: Config) -> None:
    """Every call once; a worker that is away is told once, and asked again."""
    shown: frozenset[str] = frozenset()
    problem = ""
    async with remote_dispatcher(config) as worker:
        while True:
            try:
                waiting = await worker.list_approvals()
            except Unavailable as error:
                if str(error) != problem:
                    click.echo(f"auxot-tools: {error}", err=True)
                problem = str(error)
            else:
                for call in waiting:
                    if call.id not in shown:
                        _print(call)
                shown, problem = frozenset(call.id for call in waiting), ""
            await anyio.sleep(WATCH_S)


async def _send(config: Config, approval_id: str, is_allowed: bool) -> None:
    async with remote_dispatcher(config) as worker:
        await worker.decide_approval(approval_id, allow=is_allowed, by=_operator())


def _operator() -> str:
    """Who sits here, for the audit log: the name of this process's user."""
    user_id = os.getuid()
    try:
        name = pwd.getpwuid(user_id).pw_name
    except KeyError:  # a container's user need not have a name
        name = str(user_id)
    return f"cli:{name}"


def _print(call: WaitingCall) -> None:
    click.echo(_line(call))
    cut = " (cut here)" if len(call.input_json) >= SHOWN_BYTES else ""
    click.echo(f"    {escaped(_text(call.input_json))}{cut}")


def _line(call: WaitingCall) -> str:
    words = f"waited {call.waited_s:.0f} s, {call.left_s:.0f} s left"
    shown = (escaped(word) for word in (call.id, call.tool_name, call.tenant))
    return "  ".join((*shown, words))


def _as_json(call: WaitingCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "tool": call.tool_name,
        "key": call.tenant,
        "input": _text(call.input_json),
        "waited_seconds": round(call.waited_s, 1),
        "left_seconds": round(call.left_s, 1),
    }


def _text(input_json: bytes) -> str:
    return input_json.decode("utf-8", "backslashreplace")
