"""`auxot-tools sandbox check`: tries on this host what no box may allow, and says what it found.

One job: the lines and the exit code. What is tried, and how it is judged, is `sandbox/posture.py`.
"""

import sys
from collections.abc import Sequence

import click

from auxot_tools.assembly import sandbox_options
from auxot_tools.cli.start import loaded_config, run, set_up_log
from auxot_tools.config import Config
from auxot_tools.ports import Isolation
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.posture import Finding, check_posture

_WORKER_ID = "check"
_MODES: tuple[Isolation, ...] = ("call", "warm", "session")


@click.command()
@click.option("--verbose", "-v", is_flag=True, help="Show what held as well.")
@click.pass_context
def check(ctx: click.Context, verbose: bool) -> None:
    """Try to get out of a box in each isolation mode, on this host.

    Prints PASS when everything held, else what is EXPOSED, and then exits with 1.
    """
    config = loaded_config(ctx).config
    set_up_log(config.log.model_copy(update={"level": "error"}))
    form, findings = run(lambda: _checked(config))
    for line in lines(form, findings, verbose=verbose):
        click.echo(line)
    if not all(finding.held for finding in findings):
        sys.exit(1)


async def _checked(config: Config) -> tuple[str, Sequence[Finding]]:
    options = sandbox_options(config, concurrency=1)
    async with DockerSandbox(options, worker_id=_WORKER_ID) as sandbox:
        findings = await check_posture(sandbox, _MODES, config.sandbox.image)
        return _FORMS[sandbox.namespaces], findings


# How `warm` boxes are kept apart here -> the sentence.
_FORMS = {
    True: "warm: namespaces of its own for each call",
    False: "warm: another user for each call (this host allows no namespaces in a container)",
    None: "warm: not tried",
}


def lines(form: str, findings: Sequence[Finding], *, verbose: bool) -> list[str]:
    """What is printed: the form in use, each thing exposed, and one line for each mode."""
    said = [form]
    for finding in findings:
        if not finding.held:
            said.append(f"EXPOSED  {finding.mode}: {finding.name}: {finding.detail}")
        elif verbose:
            said.append(f"held     {finding.mode}: {finding.name}")
    for mode in dict.fromkeys(finding.mode for finding in findings):
        of_mode = [finding for finding in findings if finding.mode == mode]
        held = sum(finding.held for finding in of_mode)
        word = "PASS" if held == len(of_mode) else "FAIL"
        said.append(f"{word}     {mode}: {held} of {len(of_mode)} held")
    return said
