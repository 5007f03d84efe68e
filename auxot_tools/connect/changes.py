"""Lets tasks wait for a change of state that several others make.

One job: that. It must not know what changes.
"""

from collections.abc import Callable

import anyio


class Changes:
    """Whoever changes something calls `note`; whoever waits looks again then."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def note(self) -> None:
        """Something has changed."""
        self._event.set()
        self._event = anyio.Event()

    async def next(self) -> None:
        """Wait for the next change."""
        await self._event.wait()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until ``holds()``, which must depend on noted changes only."""
        while not holds():
            await self._event.wait()
