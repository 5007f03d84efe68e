"""`auxot-tools doctor`: what is wrong between a client, a base URL and a key, and the fix.

One job: options in, lines out. What is tried is in `doctor/probes.py`, what it means in
`doctor/table.py`.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path

import click

from auxot_tools.cli.doctor_input import (
    MAX_TIMEOUT_S,
    URL_NAME,
    given_key,
    options,
    text_of,
    url_or_refusal,
)
from auxot_tools.cli.option_values import Seconds
from auxot_tools.cli.start import run
from auxot_tools.doctor.base_url import BaseUrl, Client
from auxot_tools.doctor.key import KeyFacts
from auxot_tools.doctor.observations import Observations
from auxot_tools.doctor.pasted import MAX_CHARS, observe_pasted
from auxot_tools.doctor.probes import Question, observe
from auxot_tools.doctor.proxies import proxies_for
from auxot_tools.doctor.report import as_json, lines
from auxot_tools.doctor.rules import diagnose
from auxot_tools.doctor.table import RULES

# subcommand -> module:function; loaded when it is called, as `sketch` needs the worker's tools
_MORE = {
    "sketch": "auxot_tools.cli.doctor_sketch:sketch",
    "client": "auxot_tools.cli.doctor_client:client",
}


class _Subcommands(click.Group):
    """`doctor --url …` is `doctor url --url …`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {"url", *_MORE, *ctx.help_option_names}
        return super().parse_args(ctx, args if args and args[0] in known else ["url", *args])

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_MORE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MORE:
            return super().get_command(ctx, cmd_name)
        module, _, name = _MORE[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=_Subcommands)
def doctor() -> None:
    """Find out why a client gets no answer, and say the fix in one line.

    Without a subcommand it is `doctor url`.
    """


@doctor.command("url")
@click.option("--url", help=f"The base URL as the client has it. Default: ${URL_NAME}.")
@click.option("--key", help="The key; others on this machine can see it here. Better: the next.")
@click.option(
    "--key-file", type=click.Path(path_type=Path), help="A file that holds the key; - for stdin."
)
@click.option("--header", "headers", multiple=True, help="'Name: value' that the client sends.")
@click.option(
    "--client",
    type=click.Choice([one.value for one in Client]),
    default=Client.ANTHROPIC.value,
    show_default=True,
    help="Who uses the URL: an official SDK or Claude Code, or the Vercel AI SDK.",
)
@click.option("--model", default="", help="The model to ask for. Default: one that is served.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Authorities to trust.")
@click.option(
    "--pasted",
    type=click.Path(path_type=Path),
    help="A file with an answer (curl -i, curl -v, an SDK's error); - for stdin. No network.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=Seconds(0.2, MAX_TIMEOUT_S, clamp=True),
    default=20.0,
    show_default=True,
    help=f"Seconds to wait for each answer; at most {MAX_TIMEOUT_S:g}.",
)
@click.option("--json", "is_json", is_flag=True, help="One JSON object, for programs.")
def url_command(  # noqa: PLR0917 - click passes by name
    url: str | None,
    key: str | None,
    key_file: Path | None,
    headers: tuple[str, ...],
    client: str,
    model: str,
    ca: str | None,
    pasted: Path | None,
    timeout_s: float,
    is_json: bool,
) -> None:
    """Unstick a 401, a 404 or a base URL, by trying what is wrong.

    The key goes only to the host that you name. Two of the requests ask a model, for at most 80
    tokens. Exit code: 0 all is well, 1 something was found, 2 the command line is wrong.
    """
    if pasted is not None:
        text = text_of(pasted, MAX_CHARS, "--pasted")
        if not text.strip():
            raise click.UsageError("--pasted: there is nothing in it")
        seen = observe_pasted(text, url or "", given_key(key, key_file, {}))
        if not seen.attempts and not seen.key.faults:
            raise click.UsageError(
                "--pasted: no HTTP status and no known error is in it; paste the whole output of "
                "`curl -i`, or the error with its status"
            )
    else:
        base = BaseUrl(url_or_refusal(url), Client(client))
        own = dict(_header(one) for one in headers)
        question = Question(
            base=base,
            key=_key_in(own) or given_key(key, key_file, os.environ),
            headers=own,
            model=model,
            proxies=proxies_for(os.environ, base.scheme, base.host),
        )
        seen = run(lambda: observe(question, options(timeout_s, ca)))
    _tell(seen, is_json=is_json)


def _tell(seen: Observations, *, is_json: bool) -> None:
    findings = diagnose(seen, RULES)
    if is_json:
        click.echo(json.dumps(as_json(seen, findings), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(lines(seen, findings)))
    sys.exit(0 if all(one.is_note for one in findings) else 1)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip().replace("-", "").replace("_", "").isalnum():
        raise click.UsageError("--header: write it as 'Name: value'")
    return name.strip(), value.strip()


def _key_in(headers: dict[str, str]) -> KeyFacts | None:
    """The key that the client's own headers carry."""
    named = {name.lower(): value for name, value in headers.items()}
    if "x-api-key" in named:
        return KeyFacts(named["x-api-key"])
    scheme, _, key = named.get("authorization", "").partition(" ")
    return KeyFacts(key or scheme) if scheme else None
