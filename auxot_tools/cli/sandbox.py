"""`auxot-tools sandbox`: the box that programs run in."""

import click

from auxot_tools.assembly import build_sandbox_image
from auxot_tools.cli.start import started


@click.group()
def sandbox() -> None:
    """The sandbox that programs run in."""


@sandbox.command()
@click.pass_context
def build(ctx: click.Context) -> None:
    """Make the sandbox image, unless this engine has it."""
    report = build_sandbox_image(started(ctx), click.echo)
    if report.built:
        size_mb = report.size_bytes / 1e6
        click.echo(f"Built {report.tag}: {size_mb:.0f} MB in {report.duration_s:.1f} s.")
