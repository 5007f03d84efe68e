"""One accepted call: what it holds, how it is stopped, and how all of that is given back.

One job: that state and its clean end. It must not know tools, policy or results.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import anyio

from auxot_tools.ports import Box
from auxot_tools.types import ToolCall

logger = logging.getLogger(__name__)

CLEAN_UP_STEP_S = 10.0  # of each of cancel, close, release; an engine that hangs must not keep us
CLEAN_UP_STEPS = 3


@dataclass(eq=False, slots=True)
class Running:
    """``held``: its turn, places and slot. ``decision``: the policy's, for the audit log."""

    call: ToolCall
    held: ExitStack = field(default_factory=ExitStack)
    waiting: anyio.CancelScope | None = None
    box: Box | None = None
    run: AsyncGenerator[Any, None] | None = None
    decision: str = "not_decided"
    is_stopping: bool = False
    has_ended: bool = False

    @property
    def where(self) -> str:
        """The container it runs in; empty for none."""
        return self.box.id if self.box else ""

    async def stop(self) -> None:
        """End it, because the worker is stopping."""
        self.is_stopping = True
        if self.waiting is not None:
            self.waiting.cancel("the worker is stopping")
        if self.box is not None:
            await _bounded("cancel", self.box.cancel, self.where)

    async def clean_up(self) -> None:
        """Stop what still runs, give box, slot and turn back. Bounded; never raises."""
        box, run = self.box, self.run
        try:
            if box is not None and run is not None and not self.has_ended:
                await _bounded("cancel", box.cancel, self.where)
            if run is not None:
                await _bounded("close", run.aclose, self.where)
            if box is not None:
                await _bounded("release", box.release, self.where)
        finally:
            self.held.close()


async def _bounded(step: str, do: Callable[[], Awaitable[None]], box_id: str) -> None:
    """One step of a clean-up: shielded, at most 10 s, its failure logged."""
    try:
        with anyio.move_on_after(CLEAN_UP_STEP_S, shield=True) as scope:
            await do()
    except Exception as error:  # the next steps must come, whatever this one did
        logger.error("box %s: %s failed with %s", box_id, step, type(error).__name__)
    if scope.cancelled_caught:
        logger.error("box %s: %s took longer than %g s", box_id, step, CLEAN_UP_STEP_S)
