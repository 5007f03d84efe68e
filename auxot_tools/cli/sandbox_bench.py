"""`auxot-tools sandbox bench`: how fast calls are on this machine, in half a minute.

One job: the table. What is timed, and how, is `sandbox/measure.py`; the whole benchmark with peers
and throughput is `make bench`.
"""

import click

from auxot_tools.assembly import sandbox_options
from auxot_tools.cli.start import loaded_config, run, set_up_log
from auxot_tools.config import Config
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.measure import BARE_PYTHON, ModeSpeed, Speeds, measure

_WORKER_ID = "bench"


@click.command()
@click.option(
    "--calls", type=click.IntRange(1, 1000), default=20, show_default=True, help="Of each mode."
)
@click.pass_context
def bench(ctx: click.Context, calls: int) -> None:
    """Time one call in each isolation mode against a bare start of Python on this machine.

    First output and whole call are medians, counted from the claim of a box. Only the ratio says
    something about another machine; another load on this one makes both sides slower.
    """
    config = loaded_config(ctx).config
    set_up_log(config.log.model_copy(update={"level": "error"}))
    speeds = run(lambda: _measured(config, calls))
    for line in table(speeds):
        click.echo(line)


async def _measured(config: Config, calls: int) -> Speeds:
    options = sandbox_options(config, concurrency=1)
    async with DockerSandbox(options, worker_id=_WORKER_ID) as sandbox:
        return await measure(sandbox, calls, config.sandbox.image)


def table(speeds: Speeds) -> list[str]:
    """The lines that are printed."""
    bare = f"{' '.join(BARE_PYTHON[:2])} on this machine"
    head = f"{'p50':32}{'first output':>14}{'whole call':>14}{'ratio':>8}"
    return [
        head,
        f"{bare:32}{'':14}{speeds.bare_s * 1000:11.1f} ms{1:8.2f}",
        *(_row(speed) for speed in speeds.modes),
    ]


def _row(speed: ModeSpeed) -> str:
    if speed.problem:
        return f"{speed.mode:32}not measured: {speed.problem}"
    first_ms, total_ms = speed.first_output_s * 1000, speed.total_s * 1000
    return f"{speed.mode:32}{first_ms:11.1f} ms{total_ms:11.1f} ms{speed.ratio:8.2f}"
