"""`auxot-tools config`: what is in force, and what there is to set."""

import click

from auxot_tools.cli.start import loaded_config
from auxot_tools.config import describe, reference_markdown


@click.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@click.pass_context
def show(ctx: click.Context) -> None:
    """Print every setting in force, secrets redacted, and where each value came from."""
    loaded = loaded_config(ctx)
    lines = describe(loaded)
    name_width = max(len(line.name) for line in lines)
    value_width = min(40, max(len(line.value_text) for line in lines))
    click.echo(f"# file: {loaded.file or 'none'}")
    for line in lines:
        name, value = line.name.ljust(name_width), line.value_text.ljust(value_width)
        click.echo(f"{name} = {value}  # {line.source}")


@config.command()
def reference() -> None:
    """Print the table of all settings, as docs/settings.md has it."""
    click.echo(reference_markdown())
