"""`auxot-tools sandbox`: the box that programs run in, and what of it is on the engine now."""

import dataclasses
import json
import time
from collections.abc import Sequence

import click

from auxot_tools.assembly import build_sandbox_image, listed_boxes, reap_boxes
from auxot_tools.cli.sandbox_bench import bench
from auxot_tools.cli.sandbox_check import check
from auxot_tools.cli.start import loaded_config, set_up_log, started
from auxot_tools.config import Config
from auxot_tools.sandbox.reaper import ListedBox

_HEADINGS = ("CONTAINER", "WORKER", "MODE", "FORM", "STATE", "AGE", "OWNER")
_OWNER = {True: "alive", False: "dead", None: "unknown"}
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))  # the first that fits


@click.group()
def sandbox() -> None:
    """The sandbox that programs run in."""


sandbox.add_command(check)
sandbox.add_command(bench)


@sandbox.command()
@click.pass_context
def build(ctx: click.Context) -> None:
    """Make the sandbox image, unless this engine has it."""
    report = build_sandbox_image(started(ctx), click.echo)
    if report.built:
        size_mb = report.size_bytes / 1e6
        click.echo(f"Built {report.tag}: {size_mb:.0f} MB in {report.duration_s:.1f} s.")


@sandbox.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list, for programs.")
@click.pass_context
def ps(ctx: click.Context, as_json: bool) -> None:
    """Show the containers of all workers on this engine, the oldest first.

    The owner is the worker that made a container: alive, dead (`reap` removes it), or unknown,
    because it runs on another machine or in a container of its own.
    """
    boxes = listed_boxes(_quietly(ctx))
    if as_json:
        click.echo(json.dumps([_as_json(box) for box in boxes], indent=2))
        return
    if not boxes:
        click.echo("There are no sandbox containers on this engine.")
        return
    for line in _table(boxes, time.time()):
        click.echo(line)


@sandbox.command()
@click.pass_context
def reap(ctx: click.Context) -> None:
    """Remove what dead workers left on this engine. Nothing of a living worker is touched."""
    removed = reap_boxes(_quietly(ctx))
    click.echo(f"Removed {removed} container{'' if removed == 1 else 's'} of dead workers.")


def _quietly(ctx: click.Context) -> Config:
    """The configuration, with a log that does not repeat what the command prints."""
    config = loaded_config(ctx).config
    set_up_log(config.log.model_copy(update={"level": "error"}))
    return config


def _as_json(box: ListedBox) -> dict[str, object]:
    told = dataclasses.asdict(box)
    del told["owner_lives"]
    return told | {"owner": _OWNER[box.owner_lives]}


def _table(boxes: Sequence[ListedBox], now_unix_s: float) -> list[str]:
    rows = [_HEADINGS, *(_row(box, now_unix_s) for box in boxes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(box: ListedBox, now_unix_s: float) -> tuple[str, ...]:
    age = _age(now_unix_s - box.created_unix_s)
    told = (box.id, box.worker, box.mode, box.form, box.state, age, _OWNER[box.owner_lives])
    return tuple(cell or "-" for cell in told)


def _age(age_s: float) -> str:
    whole_s = max(0, int(age_s))
    size_s, unit = next((one for one in _UNITS if whole_s >= one[0]), _UNITS[-1])
    return f"{whole_s // size_s} {unit}"
