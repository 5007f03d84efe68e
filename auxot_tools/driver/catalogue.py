"""Which tools are offered to models: the operator's allow-list over what the dispatcher has.

One job: the same tools, in the same order and bytes, request after request, also while the worker
is away for a moment. Must not know requests.
"""

import logging
import time
from collections.abc import Collection

import anyio

from auxot_tools.errors import Unavailable
from auxot_tools.ports import ToolDispatcher
from auxot_tools.types import ToolSpec

logger = logging.getLogger(__name__)

# How long a list of tools is taken as current; a worker's tools change only when it is restarted.
FRESH_S = 15.0


class Catalogue:
    """The tools on offer. An empty allow-list offers none and never asks the dispatcher."""

    def __init__(
        self, dispatcher: ToolDispatcher, allowed: Collection[str], fresh_s: float = FRESH_S
    ) -> None:
        self._dispatcher = dispatcher
        self._fresh_s = fresh_s
        self._allowed = frozenset(allowed)
        self._known: tuple[ToolSpec, ...] | None = None
        self._fresh_until = 0.0
        self._asking = anyio.Lock()

    async def offered(self) -> tuple[ToolSpec, ...]:
        """The allowed tools, by name. Raises `Unavailable` only if they were never known."""
        if not self._allowed:
            return ()
        if self._known is None or time.monotonic() >= self._fresh_until:
            async with self._asking:
                if self._known is None or time.monotonic() >= self._fresh_until:
                    await self._refresh()
        return self._known or ()

    async def _refresh(self) -> None:
        try:
            listed = await self._dispatcher.list_tools()
        except Unavailable as error:
            if self._known is None:
                raise
            logger.warning("the list of tools could not be renewed: %s", error)
        else:
            found = sorted(
                (tool for tool in listed if tool.name in self._allowed), key=lambda t: t.name
            )
            missing = self._allowed - {tool.name for tool in found}
            if missing and self._known is None:
                names = ", ".join(sorted(missing))
                logger.warning("allowed tools that the worker does not have: %s", names)
            self._known = tuple(found)
        self._fresh_until = time.monotonic() + self._fresh_s
