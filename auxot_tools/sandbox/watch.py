"""Whether claims can succeed now: asks the engine every few seconds, and listens to the makers.

One job: the sentence behind `ports.Sandbox.problem`. It repairs nothing.
"""

import logging
import time
from collections.abc import Callable, Iterable

import anyio
import docker

from auxot_tools.errors import AuxotError, Unavailable
from auxot_tools.sandbox.access import Engine, EngineAccess
from auxot_tools.sandbox.engine import ENGINE_DISK_FULL, connect, engine_errors

log = logging.getLogger(__name__)

_LOOK_LIMIT_S = 5  # of one question; an engine that needs longer is as good as gone
_DISK_FULL_S = 60.0  # how long a full disk is believed without another box that failed


class Watch:
    """`problem` is what was seen last. ``images`` names the images that calls need, "" the default.

    `run` must run in a task.
    """

    def __init__(
        self,
        engine: EngineAccess,
        images: Callable[[], Iterable[str]],
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._images = images
        self._every_s = every_s
        self._clock = clock
        self._seen = ""
        self._disk_full_until = 0.0
        self._client: docker.APIClient | None = None  # of its own, with shorter limits

    def problem(self) -> str:
        """Contract: `ports.Sandbox.problem`."""
        if self._seen:
            return self._seen
        return ENGINE_DISK_FULL if self._clock() < self._disk_full_until else ""

    def launched(self) -> None:
        """A box could be made."""
        self._disk_full_until = 0.0

    def launch_failed(self, error: AuxotError) -> None:
        """A box could not be made; only a full disk says something of other boxes."""
        if str(error) == ENGINE_DISK_FULL:
            self._disk_full_until = self._clock() + _DISK_FULL_S

    async def run(self) -> None:
        """Look, wait, and again; until cancelled. Each look is bounded by its own limits."""
        while True:
            await self.look()
            await anyio.sleep(self._every_s)

    async def look(self) -> None:
        """Ask once."""
        images = sorted(set(self._images())) or [""]
        try:
            await self._engine.ask(lambda engine: self._ask(engine, images))
        except Unavailable as error:
            self._note(str(error))
        else:
            self._note("")

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _ask(self, engine: Engine, images: list[str]) -> None:
        base_url = self._engine.base_url
        if self._client is None:
            self._client = connect(base_url, _LOOK_LIMIT_S)
        with engine_errors(base_url=base_url):
            self._client.ping()
        for image in images:
            name = image or engine.default_image
            with engine_errors(name, base_url, is_our_image=not image):
                self._client.inspect_image(name)  # type: ignore[no-untyped-call]

    def _note(self, problem: str) -> None:
        if problem == self._seen:
            return
        self._seen = problem
        if problem:
            log.warning("no tool can be run now: %s", problem)
        else:
            log.info("the Docker engine is well again")
