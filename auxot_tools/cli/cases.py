"""`auxot-tools test`: plays the cases of tools as a worker would run them, and says what failed.

One job: the choice of tools, the lines and the exit code. What a case is, is `worker/cases.py`.
"""

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from auxot_tools.assembly import load_registry, local_executor
from auxot_tools.cli.start import credentials, loaded_config, run, set_up_log
from auxot_tools.config import Config
from auxot_tools.errors import ConfigError
from auxot_tools.worker.cases import Case, cases_path, play, read_cases
from auxot_tools.worker.registry import Registry
from auxot_tools.worker.violations import nearest


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--dir",
    "tools_dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A tools folder; left out: those of the worker (worker.tools_dirs).",
)
@click.pass_context
def test(ctx: click.Context, names: tuple[str, ...], tools_dir: Path | None) -> None:
    """Play the cases (cases.json) of the tools NAMES, or of all, in the sandbox.

    Exits with 1 when something came out otherwise, or there is no case.
    """
    config = loaded_config(ctx).config
    set_up_log(config.log.model_copy(update={"level": "error"}))
    if tools_dir is not None:
        worker = config.worker.model_copy(update={"tools_dirs": (tools_dir,)})
        config = config.model_copy(update={"worker": worker})
    chosen = _chosen(load_registry(config), names)
    failed = run(lambda: _played(config, chosen))
    total = sum(map(len, chosen.values()))
    click.echo(f"{total - failed} of {total} passed")
    if failed or not total:
        sys.exit(1)


def _chosen(registry: Registry, names: tuple[str, ...]) -> Mapping[str, tuple[Case, ...]]:
    """The cases of the tools that are asked for. Raises ``ConfigError``."""
    reasons = {one.name: one.reason for one in registry.quarantined}
    for name in names:
        if name not in registry.tools:
            close = nearest(name, [*registry.tools, *reasons])
            hint = f"; did you mean {close}?" if close else ""
            reason = reasons.get(name, f"there is no tool of this name{hint}")
            raise ConfigError([f"{name}: {reason}"])
    chosen = {}
    for name in names or registry.tools:
        path = cases_path(registry.tools[name].path)
        if path.exists():
            chosen[name] = read_cases(path)
        elif names:
            raise ConfigError([f"{name}: it has no cases; they are looked for in {path}"])
    return chosen


async def _played(config: Config, chosen: Mapping[str, tuple[Case, ...]]) -> int:
    """Play them all, one after another; how many failed."""
    failed = 0
    worker_id = f"cases-{secrets.token_hex(4)}"
    async with local_executor(config, worker_id, credentials(config)) as executor:
        for name, cases in chosen.items():
            for case in cases:
                faults = await play(case, name, executor)
                failed += bool(faults)
                click.echo(f"{'FAIL' if faults else 'PASS'}  {name}: {case.name}")
                for fault in faults:
                    click.echo(f"      {fault}")
    return failed
