"""`auxot-tools connect`: a tools worker for an Auxot router, in place of Auxot's own."""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from auxot_tools.assembly import run_connect
from auxot_tools.cli.start import run, set_up_log
from auxot_tools.config import load_config, read_credentials, with_bare_credentials

_ARGV = (
    "--tools-key can be seen by everybody who can list processes: use --tools-key-file, or set "
    "AUXOT_TOOLS_KEY."
)


@click.command()
@click.option("--router-url", help="The router. [AUXOT_ROUTER_URL; default: wss://auxot.com/ws]")
@click.option(
    "--tools-key", help="The tools key, seen by whoever lists processes. [AUXOT_TOOLS_KEY]"
)
@click.option(
    "--tools-key-file",
    type=click.Path(dir_okay=False),
    help="A file that holds the tools key. [AUXOT_TOOLS_KEY_FILE]",
)
@click.option(
    "--worker", help="Run jobs on this gRPC worker: host:port or unix:/path. Default: here."
)
@click.option(
    "--deny-by-default",
    is_flag=True,
    help="Without AUXOT_ALLOWED_TOOLS offer no tool, in place of all.",
)
@click.option("--log-level", help="debug, info, warn or error. [AUXOT_LOG_LEVEL]")
@click.pass_context
def connect(  # noqa: PLR0917 - click passes by name
    ctx: click.Context,
    router_url: str | None,
    tools_key: str | None,
    tools_key_file: str | None,
    worker: str | None,
    deny_by_default: bool,
    log_level: str | None,
) -> None:
    """Run tools for an Auxot router, as its own tools worker does.

    AUXOT_ROUTER_URL says where it is, AUXOT_TOOLS_KEY is the key, AUXOT_ALLOWED_TOOLS names the
    tools that are offered. SIGTERM or Ctrl-C finishes the running jobs; a second one exits at once.
    """
    given = {
        "AUXOT_CONNECT__ROUTER_URL": router_url,
        "AUXOT_CONNECT__TOOLS_KEY": tools_key,
        "AUXOT_CONNECT__TOOLS_KEY_FILE": None if tools_key else tools_key_file,
        "AUXOT_CONNECT__WORKER": worker,
        "AUXOT_CONNECT__DENY_BY_DEFAULT": "true" if deny_by_default else None,
        "AUXOT_LOG__LEVEL": log_level,
    }
    if tools_key is not None:
        click.echo(f"auxot-tools: {_ARGV}", err=True)
    _run(ctx, {name: value for name, value in given.items() if value is not None})


def _run(ctx: click.Context, given: Mapping[str, str]) -> None:
    """What was given on the command line wins over the environment."""
    environ = with_bare_credentials({**os.environ, **given})
    path = Path(ctx.find_root().obj) if ctx.find_root().obj else None
    config = load_config(path, environ, Path.cwd()).config
    set_up_log(config.log)
    credentials = read_credentials(environ, config.worker.secrets_dir)
    run(lambda: run_connect(config, credentials))
