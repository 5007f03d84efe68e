"""`auxot-tools keys`: the keys that clients of the router use."""

import click

from auxot_tools.cli.start import loaded_config
from auxot_tools.router.keys import append_key, create_key


@click.group()
def keys() -> None:
    """Keys for clients of the router."""


@keys.command()
@click.option("--name", required=True, help="Who the key is for: letters, digits, . _ -")
@click.pass_context
def create(ctx: click.Context, name: str) -> None:
    """Make a key, store its hash in router.keys_file, and show the key this once."""
    path = loaded_config(ctx).config.router.keys_file
    made = create_key(name)
    append_key(path, made.entry)
    click.echo(f"The hash is in {path}. The key is shown this once:", err=True)
    click.echo(made.secret)
