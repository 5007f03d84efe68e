"""`auxot-tools worker` and `auxot-tools router`: the two processes."""

from collections.abc import Sequence

import click

from auxot_tools.assembly import run_router, run_worker
from auxot_tools.cli.start import credentials, run, started


@click.command()
@click.pass_context
def worker(ctx: click.Context) -> None:
    """Run tools for routers, over gRPC.

    SIGTERM or Ctrl-C finishes the running calls; a second one exits at once.
    """
    config = started(ctx)
    run(lambda: run_worker(config, _worker_is_ready, credentials(config)))


@click.command()
@click.pass_context
def router(ctx: click.Context) -> None:
    """Answer Messages requests, running our tools on the way."""
    config = started(ctx, keys_needed=True)
    run(lambda: run_router(config, _router_is_ready))


# The first line on stdout says where: people read it, and so do scripts that start us.
def _worker_is_ready(addresses: Sequence[str]) -> None:
    click.echo(f"worker ready: {' '.join(addresses)}")


def _router_is_ready(origin: str) -> None:
    click.echo(f"router ready: {origin}")
