"""Health, with a bound on those who watch it.

Health needs no key, and a `Watch` lasts as long as its caller likes: without a bound of its own it
could take every place that the server has. `Check` is over at once and is not counted.
"""

from typing import Any, Final

import grpc
from grpc_health.v1 import health

MAX_WATCHERS: Final = 64  # load balancers and supervisors of one worker; each holds one stream


class BoundedHealth(health.aio.HealthServicer):  # type: ignore[misc,name-defined]
    """The health service; one watcher too many is refused with RESOURCE_EXHAUSTED."""

    def __init__(self) -> None:
        super().__init__()
        self._watchers = 0

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802
        if self._watchers >= MAX_WATCHERS:
            text = "this worker's health is watched by as many as may; ask with Check"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        self._watchers += 1
        try:
            await super().Watch(request, context)
        finally:
            self._watchers -= 1
