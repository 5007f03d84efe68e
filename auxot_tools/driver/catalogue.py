"""Which tools are offered to models: the operator's allow-list over what the dispatcher has.

One job: the same tools, in the same order and bytes, request after request, also while the worker
is away for a moment. Must not know requests.
"""

import difflib
import logging
import math
import time
from collections.abc import Collection

import anyio

from auxot_tools.errors import Unavailable
from auxot_tools.ports import ToolDispatcher
from auxot_tools.types import ToolSpec

logger = logging.getLogger(__name__)

# What comes with every other tool, so that the tools of a conversation are the same from its first
# round on: a result may be longer than what is shown of it.
COMPANIONS = frozenset({"read_output"})
# How long a list of tools is taken as current; a worker's tools change only when it is restarted.
FRESH_S = 15.0
# How long a worker that did not answer is not asked again: a line of requests shares one attempt.
FAILED_S = 1.0
# How long a renewal of a known list may hold a request up.
RENEWAL_S = 1.0


def told_missing(names: Collection[str], there: Collection[str]) -> str:
    """Names that no tool has, each with that of the tool that was probably meant."""
    told = []
    for name in sorted(names):
        close = difflib.get_close_matches(name, there, n=1)
        told.append(f"{name} (did you mean {close[0]}?)" if close else name)
    return ", ".join(told)


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
        self._failure: Unavailable | None = None
        self._asking = anyio.Lock()

    async def offered(self) -> tuple[ToolSpec, ...]:
        """The allowed tools, by name. Raises `Unavailable` only if they were never known."""
        if not self._allowed:
            return ()
        if self._is_due and not (self._known is not None and self._asking.locked()):
            async with self._asking:
                if self._is_due:
                    await self._refresh()
        if self._known is None:
            raise self._failure or Unavailable("the tools worker did not answer")
        return self._known

    @property
    def _is_due(self) -> bool:
        return time.monotonic() >= self._fresh_until

    async def _refresh(self) -> None:
        patience_s = math.inf if self._known is None else RENEWAL_S  # else the dispatcher's own
        fresh_s, self._failure = FAILED_S, None
        with anyio.move_on_after(patience_s):
            fresh_s = await self._ask()
        self._fresh_until = time.monotonic() + fresh_s

    async def _ask(self) -> float:
        """Ask the dispatcher; how long its answer holds, in seconds."""
        try:
            listed = await self._dispatcher.list_tools()
        except Unavailable as error:
            self._failure = error
            logger.warning("the list of tools could not be had: %s", error)
            return FAILED_S
        else:
            found = sorted(
                (tool for tool in listed if tool.name in self._allowed | COMPANIONS),
                key=lambda t: t.name,
            )
            missing = self._allowed - {tool.name for tool in found}
            if missing and self._known is None:
                names = told_missing(missing, [tool.name for tool in listed])
                logger.warning("allowed tools that the worker does not have: %s", names)
            self._known = tuple(found)
            return self._fresh_s
