"""A path of the configuration as a text; empty for none.

One job: that spelling, which the listeners and targets of gRPC want.
"""

from pathlib import Path


def path_text(path: Path | None) -> str:
    """The path, or an empty text."""
    return "" if path is None else str(path)
