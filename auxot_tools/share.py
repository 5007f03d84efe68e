"""Finds the data folders (`tools/`, `sandbox/`, `proto/`) in a checkout and in an installed wheel.

They are data to the host code and are never imported. In a wheel they are mapped into
`auxot_tools/_share/`.
"""

from importlib.resources import files
from pathlib import Path

_PACKAGE = Path(str(files("auxot_tools")))


def share_dir(name: str) -> Path:
    """The folder `name` of this installation; it exists in every checkout and every wheel."""
    installed = _PACKAGE / "_share" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
