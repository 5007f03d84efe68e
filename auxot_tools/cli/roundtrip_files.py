"""The files that `auxot-tools roundtrip` writes: tried before a run, written after it.

One job: these two steps. It must not know what is written.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from auxot_tools.errors import ConfigError


def try_out(paths: Iterable[Path | None]) -> None:
    """Nobody waits for a run whose results then cannot be written.

    What is there stays as it is, and nothing new is left. Raises ``ConfigError``.
    """
    for path in filter(None, paths):
        try:
            _try_out(path)
        except OSError as error:
            raise _cannot(path, error) from None


def _try_out(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not path.is_fifo():  # opening one waits for its reader
            os.close(os.open(path, os.O_WRONLY))
        return
    path.unlink()


def write(path: Path, text: str) -> None:
    """Write a text. Raises ``ConfigError``."""
    try:
        path.write_text(text, "utf-8", errors="replace")
    except OSError as error:
        raise _cannot(path, error) from None


def _cannot(path: Path, error: OSError) -> ConfigError:
    reason = (error.strerror or "unknown reason").lower()
    return ConfigError([f"{path} cannot be written: {reason}."])
