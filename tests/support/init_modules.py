"""Modules of `sandbox/init/`, which no host code imports, loaded for tests of their pure parts.

They are loaded in the folder's own way, side by side, and under names that only they have.
"""

import importlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parents[2] / "sandbox" / "init"


@cache
def init_module(name: str) -> ModuleType:
    """The module of this name, with those of the same folder that it imports."""
    siblings = {path.stem for path in FOLDER.glob("*.py")}
    before = {known: sys.modules.pop(known) for known in siblings if known in sys.modules}
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))
        for sibling in siblings:
            sys.modules.pop(sibling, None)
        sys.modules.update(before)
