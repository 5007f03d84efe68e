"""Runs the tools that a language model calls, safely and fast, behind any Messages client.

``Client`` and ``AsyncClient`` are for programs that own their loop. They are loaded when they are
asked for, so that importing this package, which everything here does, costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["AsyncClient", "Client"]

if TYPE_CHECKING:
    from auxot_tools.client import AsyncClient, Client
else:

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return getattr(import_module("auxot_tools.client"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
