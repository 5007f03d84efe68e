"""What every command starts with: its configuration, its log, its event loop."""

import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import anyio
import click

from auxot_tools.config import (
    Config,
    Credentials,
    LoadedConfig,
    LogSettings,
    load_config,
    read_credentials,
)

_T = TypeVar("_T")

# What a log call may add in `extra`; nothing else of a record is written.
_EXTRA = ("tool_use_id", "tool", "status", "box_id", "duration_s")


def loaded_config(ctx: click.Context, *, keys_needed: bool = False) -> LoadedConfig:
    """The configuration in force. Raises `ConfigError` with every mistake; that the key of a
    provider is not there is one only for those who need it.
    """
    path = Path(ctx.find_root().obj) if ctx.find_root().obj else None
    return load_config(path, os.environ, Path.cwd(), keys_needed=keys_needed)


def started(ctx: click.Context, *, keys_needed: bool = False) -> Config:
    """The configuration, with the log set up as it says."""
    config = loaded_config(ctx, keys_needed=keys_needed).config
    set_up_log(config.log)
    return config


def credentials(config: Config) -> Credentials:
    """The credentials of tools. Raises `ConfigError`."""
    return read_credentials(os.environ, config.worker.secrets_dir)


def set_up_log(settings: LogSettings) -> None:
    """One line for each record, on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(_JsonLines() if settings.format == "json" else text)
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    for chatty in ("asyncio", "urllib3", "docker", "grpc", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {name: getattr(record, name) for name in _EXTRA if hasattr(record, name)}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def run(work: Callable[[], Awaitable[_T]]) -> _T:
    """Run async work to its end on uvloop."""
    return anyio.run(work, backend_options={"use_uvloop": True})
