"""`auxot-tools`: the commands, and how every failure is told to a person.

One job: names of commands to functions, errors to one clear message and an exit code (0 done, 1 it
did not work, 2 the configuration or the command line is wrong). A command's module is loaded when
it is called, so that `list` does not wait for gRPC, and `demo` alone needs the SDK.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from auxot_tools.cli.bare_connect import with_connect
from auxot_tools.errors import AuxotError, ConfigError

# command -> module:function
COMMANDS = {
    "worker": "auxot_tools.cli.serve:worker",
    "router": "auxot_tools.cli.serve:router",
    "connect": "auxot_tools.cli.connect:connect",
    "health": "auxot_tools.cli.health:health",
    "list": "auxot_tools.cli.tools:list_tools",
    "call": "auxot_tools.cli.tools:call",
    "doctor": "auxot_tools.cli.doctor:doctor",
    "check": "auxot_tools.cli.check:check",
    "new": "auxot_tools.cli.new:new",
    "test": "auxot_tools.cli.cases:test",
    "sandbox": "auxot_tools.cli.sandbox:sandbox",
    "config": "auxot_tools.cli.config:config",
    "approvals": "auxot_tools.cli.approvals:approvals",
    "keys": "auxot_tools.cli.keys:keys",
    "memory": "auxot_tools.cli.memory:memory",
    "scripted-model": "auxot_tools.cli.scripted_model:scripted_model",
    "roundtrip": "auxot_tools.cli.roundtrip:roundtrip",
    "demo": "auxot_tools.cli.demo:demo",
    "up": "auxot_tools.cli.up:up",
}


class _Commands(click.Group):
    """A group whose commands are loaded by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = COMMANDS[cmd_name].partition(":")
        try:
            command = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            if error.name != "anthropic":
                raise
            return click.Command(cmd_name, callback=_needs_sdk, help="Needs the extra [demo].")
        return command if isinstance(command, click.Command) else None


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
