"""`auxot-tools keys`: the keys that clients of the router use.

One job: make, list and revoke the entries of `router.keys_file`. A key is shown once, when it is
made; a running router reads the file again when it changes.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from auxot_tools.cli.start import loaded_config
from auxot_tools.doctor.environment import UP_DIR
from auxot_tools.router.key_file import (
    PREFIXES,
    KeyEntry,
    append_key,
    entry_for,
    new_secret,
    read_key_file,
    remove_key,
)

# unit -> seconds
_UNITS = {"m": 60, "h": 3600, "d": 86_400}
_LONGEST = timedelta(days=36_500)


class _Moment(click.ParamType[datetime]):
    """A span such as 90d, 12h or 30m from now, or a date or moment in ISO form (UTC)."""

    name = "when"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        text = str(value).strip()
        try:
            moment = _span_from_now(text) or datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no moment; write 90d, 12h, 30m, or 2027-01-31", param, ctx)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if not timedelta() < moment - datetime.now(UTC) < _LONGEST:
            self.fail(f"{value!r} is in the past, or too far away", param, ctx)
        return moment


def _span_from_now(text: str) -> datetime | None:
    unit_s = _UNITS.get(text[-1:])
    if unit_s is None or not text[:-1].isdigit():
        return None
    return (datetime.now(UTC) + timedelta(seconds=int(text[:-1]) * unit_s)).replace(microsecond=0)


@click.group()
def keys() -> None:
    """Keys for clients of the router."""


@keys.command()
@click.option("--name", required=True, help="Who the key is for: letters, digits, . _ -")
@click.option(
    "--prefix", type=click.Choice(PREFIXES), default=PREFIXES[0], show_default=True, help="A label."
)
@click.option("--allow-tool", "allowed_tools", multiple=True, help="Only these tools of ours.")
@click.option("--no-tools", is_flag=True, help="No tools of ours at all.")
@click.option("--requests-per-minute", type=click.IntRange(1, 1_000_000))
@click.option("--concurrent-requests", type=click.IntRange(1, 100_000))
@click.option("--concurrent-calls", type=click.IntRange(1, 100_000), help="Of tools of ours.")
@click.option(
    "--run-for-client", multiple=True, help="Tools we run though the client declares them itself."
)
@click.option("--approves", is_flag=True, help="May answer for calls that wait for an operator.")
@click.option("--expires", type=_Moment(), help="90d, 12h, 30m from now, or a date (UTC).")
@click.pass_context
def create(ctx: click.Context, /, name: str, prefix: str, no_tools: bool, **limits: Any) -> None:
    """Make a key, store its hash in router.keys_file, and show the key this once."""
    if no_tools and limits["allowed_tools"]:
        raise click.UsageError("--no-tools and --allow-tool exclude one another")
    if not limits["allowed_tools"]:
        limits["allowed_tools"] = () if no_tools else None
    settings = loaded_config(ctx).config.router
    path = _keys_file(ctx)
    for tool in dict.fromkeys((*(limits["allowed_tools"] or ()), *limits["run_for_client"])):
        if settings.allowed_tools and tool not in settings.allowed_tools:
            offered = ", ".join(settings.allowed_tools)
            click.echo(f"Note: {tool} is not in router.allowed_tools ({offered}).", err=True)
    secret = new_secret(prefix)
    append_key(path, entry_for(secret, name, **limits))
    click.echo(f"The hash is in {path}. The key is shown this once:", err=True)
    click.echo(secret)


@keys.command(name="list")
@click.pass_context
def list_keys(ctx: click.Context) -> None:
    """The keys in router.keys_file and their limits; never the keys themselves."""
    path = _keys_file(ctx)
    entries = read_key_file(path).keys
    if not entries:
        click.echo(f"There are no keys in {path}.", err=True)
    for entry in entries:
        click.echo(f"{entry.name:20} {_in_words(entry)}")


@keys.command()
@click.argument("name")
@click.pass_context
def revoke(ctx: click.Context, name: str) -> None:
    """Take a key out of router.keys_file: it stops working at the next request."""
    path = _keys_file(ctx)
    remove_key(path, name)
    click.echo(f"{name} is no key any more.")


def _keys_file(ctx: click.Context) -> Path:
    """`router.keys_file`, with a word of the other one where `make up` has made its own."""
    loaded = loaded_config(ctx)
    made = UP_DIR / "keys.toml"
    if loaded.sources["router.keys_file"] == "default" and made.exists():
        click.echo(
            f"Note: the router of `make up` reads {made} (its key is in {UP_DIR / 'key'}), not "
            f"{loaded.config.router.keys_file}. For its keys: AUXOT_ROUTER__KEYS_FILE={made}",
            err=True,
        )
    return loaded.config.router.keys_file


def _in_words(entry: KeyEntry) -> str:
    tools = entry.allowed_tools
    told = ["all tools" if tools is None else f"tools: {', '.join(tools) or 'none'}"]
    for count, words in (
        (entry.requests_per_minute, "requests a minute"),
        (entry.concurrent_requests, "requests at once"),
        (entry.concurrent_calls, "calls at once"),
    ):
        if count is not None:
            told.append(f"{words}: {count}")
    if entry.run_for_client:
        told.append(f"run for client: {', '.join(entry.run_for_client)}")
    if entry.approves:
        told.append("approves calls")
    if entry.expires is not None:
        verb = "expired" if entry.expires <= datetime.now(UTC) else "expires"
        told.append(f"{verb} {entry.expires.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
    return ", ".join(told)
