"""The life of our tools beside the life of the app: opened before it starts, closed when it ended.

One job: the ASGI lifespan protocol around something of ours, also for an app that has no lifespan.
Must not know what is opened.
"""

import logging
from contextlib import AbstractAsyncContextManager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auxot_tools.errors import AuxotError

logger = logging.getLogger(__name__)

_TOLD = frozenset({"lifespan.startup.complete", "lifespan.startup.failed"})


async def live(
    app: ASGIApp,
    ours: AbstractAsyncContextManager[object],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Live through one lifespan. What of ours cannot be opened fails the start, in words."""
    lifespan = _Lifespan(receive, send)
    try:
        async with ours:
            await lifespan.run(app, scope)
    except AuxotError as error:
        if lifespan.has_told:
            raise
        if not lifespan.has_begun:
            await lifespan.next()
        await send({"type": "lifespan.startup.failed", "message": str(error)})
    else:
        await lifespan.say_ended()


class _Lifespan:
    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.has_begun = False  # the server's first message was taken
        self._has_app = True
        self.has_told = False  # the server knows whether we have started

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """The app's lifespan; without one, ours alone.

        Raises what the app does once it has begun: whether it is served all the same is the
        server's to say (uvicorn's `--lifespan`).
        """
        try:
            await app(scope, self.next, self._note)
        except Exception:
            if self.has_begun:
                raise
            logger.debug("the app has no lifespan", exc_info=True)
        if self.has_told:
            return
        self._has_app = False
        if not self.has_begun:
            await self.next()
        await self._note({"type": "lifespan.startup.complete"})
        await self.next()

    async def say_ended(self) -> None:
        """For an app without a lifespan: everything is closed."""
        if not self._has_app:
            await self._send({"type": "lifespan.shutdown.complete"})

    async def next(self) -> Message:
        """The server's next message."""
        self.has_begun = True
        return await self._receive()

    async def _note(self, message: Message) -> None:
        self.has_told = self.has_told or message["type"] in _TOLD
        await self._send(message)
