"""`auxot-tools`: the commands, and how every failure is told to a person.

One job: names of commands to functions, errors to one clear message and an exit code (0 done, 1 it
did not work, 2 the configuration or the command line is wrong). A command's module is loaded when
it is called, so that the help and `list` do not wait for gRPC, and `demo` alone needs the SDK.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

import click

from auxot_tools.cli.bare_connect import with_connect
from auxot_tools.errors import AuxotError, ConfigError


class Listed(NamedTuple):
    """A command: its place as module:function, and its line in the help."""

    place: str
    about: str


# heading -> command -> what it is
HEADINGS: Mapping[str, Mapping[str, Listed]] = {
    "Serve": {
        "worker": Listed("serve:worker", "Run tools for routers, over gRPC."),
        "router": Listed("serve:router", "Answer Messages requests, running our tools on the way."),
        "connect": Listed(
            "connect:connect", "Run tools for an Auxot router, as its own worker does."
        ),
        "up": Listed("up:up", "A worker and a router that stay up, with keys and what to type."),
        "demo": Listed("demo:demo", "A real request through router, worker and sandbox, shown."),
    },
    "Tools": {
        "list": Listed("tools:list_tools", "The tools here, and those in quarantine."),
        "call": Listed("tools:call", "One call of a tool on the running worker."),
        "new": Listed("new:new", "Make a tool, with a passing case."),
        "test": Listed("cases:test", "Play the cases of tools in real boxes."),
        "sandbox": Listed(
            "sandbox:sandbox", "Build, check, time, list and reap what programs run in."
        ),
    },
    "Operate": {
        "check": Listed(
            "check:check", "Whether this machine is ready: a line each, with what to do."
        ),
        "health": Listed("health:health", "Whether the worker or router here is well, for probes."),
        "config": Listed("config:config", "Every setting in force, and what there is to set."),
        "keys": Listed("keys:keys", "Keys for clients of the router."),
        "approvals": Listed("approvals:approvals", "The calls that wait for an operator's yes."),
        "memory": Listed("memory:memory", "The files that models keep with the tool `memory`."),
    },
    "Examine": {
        "doctor": Listed("doctor:doctor", "Why a client gets no answer, and the fix in one line."),
        "roundtrip": Listed("roundtrip:roundtrip", "Judge the tool use of any Messages endpoint."),
        "scripted-model": Listed(
            "scripted_model:scripted_model", "Serve a scenario as a model, to test against."
        ),
    },
}
COMMANDS = {name: listed for group in HEADINGS.values() for name, listed in group.items()}


class _Commands(click.Group):
    """A group whose commands are loaded by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = COMMANDS[cmd_name].place.partition(":")
        try:
            command = getattr(import_module(f"auxot_tools.cli.{module}"), name)
        except ModuleNotFoundError as error:
            if error.name != "anthropic":
                raise
            return click.Command(cmd_name, callback=_needs_sdk, help="Needs the extra [demo].")
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """From the table: no command is loaded to say what it does."""
        for heading, commands in HEADINGS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, listed.about) for name, listed in commands.items()])


def _needs_sdk() -> None:
    raise click.ClickException(
        "this command needs the official SDK: pip install 'auxot-tools[demo]'"
    )


@click.group(cls=_Commands)
@click.version_option(package_name="auxot-tools")
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False),
    help="The configuration file. Default: $AUXOT_CONFIG, else ./auxot.toml if it exists.",
)
@click.pass_context
def cli(ctx: click.Context, config_path: str | None) -> None:
    """Runs the tools a language model calls, safely and fast, behind any Messages client."""
    ctx.obj = config_path


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script."""
    given = with_connect(sys.argv[1:] if arguments is None else arguments, os.environ)
    try:
        cli.main(args=given, prog_name="auxot-tools")
    except ConfigError as error:
        click.echo("\n".join(f"auxot-tools: {mistake}" for mistake in error.mistakes), err=True)
        sys.exit(2)
    except AuxotError as error:
        click.echo(f"auxot-tools: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
