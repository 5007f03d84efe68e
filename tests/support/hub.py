"""One socket for many upstreams of tests, each under a path of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anyio.from_thread import start_blocking_portal

from auxot_tools.assembly.serving import serving


class Hub:
    """An ASGI app of ASGI apps; `origin` is there while it serves."""

    def __init__(self) -> None:
        self.origin = ""
        self._upstreams: list[Any] = []

    def url_of(self, upstream: Any) -> str:
        """Take this upstream in; its base address."""
        self._upstreams.append(upstream)
        return f"{self.origin}/{len(self._upstreams) - 1}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._upstreams[int(scope["path"].split("/")[1])](scope, receive, send)

    @contextmanager
    def serve(self) -> Iterator[None]:
        """Serve in a thread of its own, so that no test's end can take it along."""
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(serving(self)) as self.origin,
        ):
            yield
