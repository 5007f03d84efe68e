"""`GET /health`: what the router offers, and whether its worker and providers can serve.

One job: its answer. The status is 200 whatever is said: the router itself is well, and no probe
must restart it for its worker. Must not know gRPC or HTTP.
"""

import time

import anyio

from auxot_tools.errors import AuxotError
from auxot_tools.router.services import Services
from auxot_tools.types import JSON

FRESH_S = 1.0  # everybody may ask, without a key: the worker is asked once for all of them


class HealthEndpoint:
    """The endpoint. What the worker said last counts for `FRESH_S`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asking = anyio.Lock()
        self._worker, self._fresh_until = "", 0.0

    async def answer(self) -> JSON:
        """`status` is `ok`, or `degraded` when no tool of ours, or no model, can be had now."""
        states = self._services.providers.states()
        providers = [{"name": one.name, "online": one.is_online} for one in states]
        told: JSON = {"status": "ok", "tools": [], "providers": providers}
        try:
            told["tools"] = [tool.name for tool in await self._services.catalogue.offered()]
            worker = await self._worker_state() if told["tools"] else ""
        except AuxotError:
            worker = "unreachable"
        if worker:
            told |= {"status": "degraded", "worker": worker}
        if not any(one.is_online for one in states):
            told["status"] = "degraded"
        return told

    async def _worker_state(self) -> str:
        """What is wrong with the worker, in a word; empty: it serves."""
        serves = self._services.worker_serves
        if serves is None:
            return ""
        async with self._asking:
            if time.monotonic() >= self._fresh_until:
                try:
                    self._worker = "" if await serves() else "not serving"
                except AuxotError:
                    self._worker = "unreachable"
                self._fresh_until = time.monotonic() + FRESH_S
        return self._worker
