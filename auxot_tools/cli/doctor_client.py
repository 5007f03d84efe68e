"""`auxot-tools doctor client`: which client shape fits.

One job: options in, lines out. The advice is `doctor/client_shape.py`.
"""

import json
import os
import sys
from pathlib import Path

import click

from auxot_tools.cli.doctor_input import MAX_TIMEOUT_S, given_key, options, text_of, url_or_refusal
from auxot_tools.cli.option_values import Seconds
from auxot_tools.cli.start import run
from auxot_tools.doctor.base_url import BaseUrl
from auxot_tools.doctor.client_shape import MAX_CHARS, Advice, advise
from auxot_tools.doctor.key import KeyFacts, Redactor
from auxot_tools.doctor.report import cleaned_values
from auxot_tools.doctor.shape_probes import ask_dialects

_SHAPE_NAMES = (
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "OPENAI_BASE_URL",
    "OPENAI_API_KEY",
)


@click.command()
@click.option("--url", help="A server: it is tried which dialects answer there.")
@click.option("--have", multiple=True, help='What you have: "openai sdk", "claude code", ...')
@click.option("--snippet", type=click.Path(path_type=Path), help="Your program, or a request; -.")
@click.option("--key", help="The key; better in a file or in $ANTHROPIC_API_KEY.")
@click.option("--key-file", type=click.Path(path_type=Path), help="A file that holds the key.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Authorities to trust.")
@click.option("--timeout", "timeout_s", type=Seconds(0.2, MAX_TIMEOUT_S, clamp=True), default=20.0)
@click.option("--json", "is_json", is_flag=True, help="One JSON object, for programs.")
def client(  # noqa: PLR0917 - click passes by name
    url: str | None,
    have: tuple[str, ...],
    snippet: Path | None,
    key: str | None,
    key_file: Path | None,
    ca: str | None,
    timeout_s: float,
    is_json: bool,
) -> None:
    """Which client shape fits what you have: OpenAI or Anthropic.

    Variables such as ANTHROPIC_BASE_URL or OPENAI_BASE_URL count too. Exit code: 0 decided,
    1 nothing decides it or the server does not speak it, 2 the command line is wrong.
    """
    texts = [*have, text_of(snippet, MAX_CHARS, "--snippet") if snippet else ""]
    names = {name: "" for name in _SHAPE_NAMES if os.environ.get(name)}
    base, attempts, facts = None, [], KeyFacts()
    if url is not None:
        base = BaseUrl(url_or_refusal(url))
        if base.problem:
            raise click.UsageError(f"--url: {base.problem}")
        facts = given_key(key, key_file, os.environ, may_ask=False)
        sent = facts.clean if facts.is_there and facts.clean.isascii() else ""
        target, chosen = base, options(timeout_s, ca)
        attempts = run(lambda: ask_dialects(target, sent, chosen))
    advice = advise(texts, names, base, attempts)
    _print_advice(advice, Redactor([facts]), is_json=is_json)


def _print_advice(advice: Advice, redactor: Redactor, *, is_json: bool) -> None:
    told = {
        "shape": advice.shape.value if advice.shape else None,
        "fits": advice.fits,
        "advice": list(advice.lines),
        "facts": list(advice.facts),
    }
    told = cleaned_values(told, redactor)
    if is_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(told["advice"]))
        click.echo("\nThe facts:" if told["facts"] else "\nNo fact is known.")
        for fact in told["facts"]:
            click.echo(f"  - {fact}")
    sys.exit(0 if advice.fits else 1)
