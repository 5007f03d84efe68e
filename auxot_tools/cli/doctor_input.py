"""What the doctor's commands take: a URL, a key, limits, texts.

One job: options to values, and what is wrong with them to `click.UsageError`. No error repeats a
key.
"""

import os
import ssl
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from auxot_tools.doctor.key import MAX_KEY_BYTES, KeyFacts
from auxot_tools.doctor.probes import ProbeOptions

_KEY_NAMES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
URL_NAME = "ANTHROPIC_BASE_URL"
MAX_TIMEOUT_S = 60.0  # of one answer: some must fit into the 150 s that all may take


def options(timeout_s: float, ca: str | None) -> ProbeOptions:
    """Limits, and whom to trust. Raises `click.UsageError`."""
    chosen = ProbeOptions()
    limits = replace(chosen.limits, first_byte_s=timeout_s, idle_s=timeout_s)
    limits = replace(limits, connect_s=min(limits.connect_s, timeout_s))
    context = None
    if ca is not None:
        try:
            context = ssl.create_default_context()
            context.load_verify_locations(ca)
        except (OSError, ssl.SSLError):
            raise click.UsageError(f"--ca: {ca} holds no certificates (PEM)") from None
    return replace(chosen, limits=limits, ssl_context=context)


def given_key(
    key: str | None, file: Path | None, environ: Mapping[str, str], *, may_ask: bool = True
) -> KeyFacts:
    """The key from the option, the file, or the environment; asked for at a terminal."""
    if key is not None and file is not None:
        raise click.UsageError("--key and --key-file exclude one another")
    if key is not None:
        return KeyFacts(key)
    if file is not None:  # a shell's $(cat FILE) drops the line end, too
        return KeyFacts(text_of(file, MAX_KEY_BYTES, "--key-file").removesuffix("\n"))
    for name in _KEY_NAMES:
        if name in environ:
            return KeyFacts(environ[name])
    if may_ask and environ and sys.stdin.isatty():
        return KeyFacts(click.prompt("Key (empty: none)", hide_input=True, default="") or None)
    return KeyFacts()


def url_or_refusal(url: str | None) -> str:
    """The option, or the environment's. Raises `click.UsageError`."""
    found = url if url is not None else os.environ.get(URL_NAME)
    if found is None:
        raise click.UsageError(f"say which base URL: --url, or {URL_NAME} in the environment")
    return found


def text_of(path: Path, limit: int, option: str) -> str:
    """At most ``limit`` bytes of a file, or of stdin for `-`, as text."""
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(limit)
        else:
            with path.open("rb") as file:
                data = file.read(limit)
    except OSError as error:
        raise click.UsageError(f"{option}: {path} cannot be read: {error.strerror}") from None
    if b"\0" in data:
        raise click.UsageError(f"{option}: {path} is no text in UTF-8 (it holds zero bytes)")
    return data.decode("utf-8", "replace")
