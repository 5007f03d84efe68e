"""`auxot-tools memory`: what the models of each key keep, for the operator to see and delete.

One job: show and delete the files in `worker.state_dir`. A running worker may go on meanwhile. It
must not know how they are kept.
"""

import sys
from contextlib import suppress
from datetime import UTC, datetime

import click

from auxot_tools.cli.start import loaded_config
from auxot_tools.errors import NotFound
from auxot_tools.hosted.memory_paths import ROOT, is_below
from auxot_tools.hosted.memory_store import DATABASE, MemoryStore
from auxot_tools.hosted.memory_text import human_size

_NAMED_KEYS = 20  # in a message


@click.group()
def memory() -> None:
    """The files that models keep with the tool `memory`.

    KEY is a key's name; "" stands for calls without a key.
    """


@memory.command()
@click.pass_context
def keys(ctx: click.Context) -> None:
    """The keys that keep something, and how much."""
    spaces = _store(ctx).spaces()
    if not spaces:
        click.echo("No key keeps anything.", err=True)
    for space in spaces:
        files = "1 file" if space.files == 1 else f"{space.files} files"
        click.echo(f"{_plain(space.tenant):20} {files}, {human_size(space.size_bytes)}")


@memory.command(name="list")
@click.argument("key")
@click.pass_context
def list_files(ctx: click.Context, key: str) -> None:
    """The files of KEY: size, time of the last change (UTC), path."""
    with _known(_store(ctx), key).reading(key) as files:
        listed = files.listed()
    for file in listed:  # outside: whoever reads this may be slow
        changed = datetime.fromtimestamp(file.changed_at, UTC)
        click.echo(f"{human_size(file.size_bytes):>7} {changed:%Y-%m-%d %H:%M} {file.path}")


@memory.command()
@click.argument("key")
@click.argument("path")
@click.pass_context
def show(ctx: click.Context, key: str, path: str) -> None:
    """What is in the file PATH of KEY."""
    with _known(_store(ctx), key).reading(key) as files:
        text = files.text(path) if path in files.sizes() else None
    if text is None:
        raise _no_such(key, path)
    if sys.stdout.isatty():  # a model wrote it: no control characters for a terminal
        text = "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)
    click.echo(text, nl=not text.endswith("\n"))


@memory.command()
@click.argument("key")
@click.argument("path", required=False)
@click.option("--all", "everything", is_flag=True, help="Everything that KEY keeps.")
@click.pass_context
def delete(ctx: click.Context, key: str, path: str | None, everything: bool) -> None:
    """Delete the file or directory PATH of KEY, or everything with --all."""
    if everything is (path is not None):
        raise click.UsageError("give either PATH or --all")
    chosen = ROOT if path is None else path.rstrip("/")
    if chosen != ROOT and not is_below(chosen, ROOT):
        raise _no_such(key, chosen)
    store = _known(_store(ctx), key)
    with store.changing(key) as files:
        doomed = [one for one in files.sizes() if one == chosen or is_below(one, chosen)]
        if not doomed:
            raise _no_such(key, chosen)
        files.delete(doomed)
    store.clean()
    for one in doomed:
        click.echo(f"Deleted {one}")


def _store(ctx: click.Context) -> MemoryStore:
    path = loaded_config(ctx).config.worker.state_dir / DATABASE
    with suppress(OSError):  # the store says why
        if not path.exists():
            raise NotFound(f"there is no memory yet: {path} (worker.state_dir) does not exist")
    return MemoryStore(path)


def _known(store: MemoryStore, key: str) -> MemoryStore:
    """The store, once it is sure that this key keeps something in it."""
    names = [space.tenant for space in store.spaces()]
    if key not in names:
        known = ", ".join(_plain(name) for name in names[:_NAMED_KEYS])
        more = " and others" if len(names) > _NAMED_KEYS else ""
        raise NotFound(
            f"the key {_plain(key)} keeps nothing; those that do: {known or 'none'}{more}"
        )
    return store


def _no_such(key: str, path: str) -> NotFound:
    return NotFound(f"the key {_plain(key)} keeps nothing under {_plain(path)}")


def _plain(name: str) -> str:
    """A name as it may be shown: callers of the worker choose those of keys."""
    shown = "".join(char if char.isprintable() else "�" for char in name)
    return shown or '""'
