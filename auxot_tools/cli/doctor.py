"""`auxot-tools doctor`: what is wrong between a client, a base URL and a key, and the fix.

One job: options in, lines out. What is tried is in `doctor/probes.py`, what it means in
`doctor/table.py`.
"""

import json
import os
import ssl
import sys
from dataclasses import replace
from pathlib import Path

import click

from auxot_tools.cli.start import run
from auxot_tools.doctor.base_url import BaseUrl, Client
from auxot_tools.doctor.key import MAX_KEY_BYTES, KeyFacts
from auxot_tools.doctor.observations import Observations
from auxot_tools.doctor.pasted import MAX_CHARS, observe_pasted
from auxot_tools.doctor.probes import ProbeOptions, Question, observe
from auxot_tools.doctor.proxies import proxies_for
from auxot_tools.doctor.report import as_json, lines
from auxot_tools.doctor.rules import diagnose
from auxot_tools.doctor.table import RULES

_KEY_NAMES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_URL_NAME = "ANTHROPIC_BASE_URL"


class _WithDefault(click.Group):
    """`doctor --url …` is `doctor url --url …`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["url", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_WithDefault)
def doctor() -> None:
    """Find out why a client gets no answer, and say the fix in one line.

    Without a subcommand it is `doctor url`.
    """


@doctor.command("url")
@click.option("--url", help=f"The base URL as the client has it. Default: ${_URL_NAME}.")
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
    type=click.FloatRange(0.2, 300),
    default=20.0,
    show_default=True,
    help="Seconds to wait for each answer.",
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
        text = _text_of(pasted, MAX_CHARS, "--pasted")
        if not text.strip():
            raise click.UsageError("--pasted: there is nothing in it")
        seen = observe_pasted(text, url or "", given_key(key, key_file, {}))
        if not seen.attempts and not seen.key.faults:
            raise click.UsageError(
                "--pasted: no HTTP status and no known error is in it; paste the whole output of "
                "`curl -i`, or the error with its status"
            )
    else:
        base = BaseUrl(_url_or_refusal(url), Client(client))
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


def options(timeout_s: float, ca: str | None) -> ProbeOptions:
    """Limits, and whom to trust. Raises `click.UsageError`."""
    chosen = ProbeOptions()
    limits = replace(chosen.limits, first_byte_s=timeout_s, idle_s=timeout_s)
    limits = replace(limits, connect_s=min(limits.connect_s, timeout_s))
    context = None
    if ca is not None:
        try:
            context = ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError):
            raise click.UsageError(f"--ca: {ca} holds no certificates (PEM)") from None
    return replace(chosen, limits=limits, ssl_context=context)


def given_key(
    key: str | None, file: Path | None, environ: "os._Environ[str] | dict[str, str]"
) -> KeyFacts:
    """The key from the option, the file, or the environment; asked for at a terminal."""
    if key is not None and file is not None:
        raise click.UsageError("--key and --key-file exclude one another")
    if key is not None:
        return KeyFacts(key)
    if file is not None:  # a shell's $(cat FILE) drops the line end, too
        return KeyFacts(_text_of(file, MAX_KEY_BYTES, "--key-file").removesuffix("\n"))
    for name in _KEY_NAMES:
        if name in environ:
            return KeyFacts(environ[name])
    if environ and sys.stdin.isatty():
        return KeyFacts(click.prompt("Key (empty: none)", hide_input=True, default="") or None)
    return KeyFacts()


def _url_or_refusal(url: str | None) -> str:
    found = url if url is not None else os.environ.get(_URL_NAME)
    if found is None:
        raise click.UsageError(f"say which base URL: --url, or {_URL_NAME} in the environment")
    return found


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


def _text_of(path: Path, limit: int, option: str) -> str:
    """At most ``limit`` characters of a file, or of stdin for `-`."""
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(limit).decode("utf-8", "replace")
        with path.open("rb") as file:
            return file.read(limit).decode("utf-8", "replace")
    except OSError as error:
        raise click.UsageError(f"{option}: {path} cannot be read: {error.strerror}") from None
