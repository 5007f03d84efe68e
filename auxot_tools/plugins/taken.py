"""One request that the middleware has taken: made ready, and answered with the app as its model.

One job: from a parsed request to a driven loop, or to the body that counts its tokens. Must not
know which requests are taken, nor how tools are run.
"""

import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio
from starlette.types import ASGIApp, Receive, Scope

from auxot_tools.driver.calls import CallRunner
from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.driver.driver import Forwarded
from auxot_tools.driver.ledger import MemoryAttempt, MemoryLedger
from auxot_tools.loop.actions import Finished
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.messages.digests import request_digest
from auxot_tools.messages.request import MessagesRequest
from auxot_tools.plugins.app_model import AppModel
from auxot_tools.plugins.door import Door
from auxot_tools.plugins.scopes import headers_of, nobody, place_of, tenant_by_key
from auxot_tools.ports import Ledger, ToolDispatcher
from auxot_tools.router.answering import Answering, Asked, Stopping
from auxot_tools.router.bodies import offloaded
from auxot_tools.router.kept_history import KeptHistory
from auxot_tools.router.opening import Asker, keep_hidden, opened_loop
from auxot_tools.router.problems import Problem
from auxot_tools.router.services import RouterLimits
from auxot_tools.router.session import NewSessions, session_in

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """Where calls run, and which tools every request is offered."""

    dispatcher: ToolDispatcher
    catalogue: Catalogue


class RoundsLedger(MemoryLedger):
    """Gives a repeat the rounds of earlier attempts, and no whole answer: for the last words the
    app is asked again, so that it sees the key again, which may be one that it takes no more.
    """

    @asynccontextmanager
    async def attempt(self, owner: str, digest: bytes) -> AsyncGenerator[MemoryAttempt, None]:
        """See `ports.Ledger.attempt`."""
        async with super().attempt(owner, digest) as attempt:
            attempt.answer = None
            yield attempt


@dataclass(frozen=True, slots=True)
class Desk:
    """What all requests of one middleware have together; see also `router.opening.Memory`."""

    limits: RouterLimits
    loop_settings: LoopSettings
    kept_history: KeptHistory
    sessions: NewSessions = field(default_factory=NewSessions)
    ledger: Ledger = field(default_factory=RoundsLedger)
    stopping: Stopping = field(default_factory=Stopping)


def new_request_id() -> str:
    """An id by which logs and error bodies name a request."""
    return "req_" + secrets.token_hex(12)


@dataclass(frozen=True, slots=True)
class Taken:
    """A request of ours: what it says, the body that it was read from, where it came from, and
    whose it is.
    """

    request: MessagesRequest
    body: bytes
    scope: Scope
    request_id: str
    tenant: str

    def asker(self, digest: bytes = b"", *, is_repeat: bool = False) -> Asker:
        """Whose it is."""
        headers = headers_of(self.scope["headers"])
        return Asker(self.tenant, headers, self.request_id, digest=digest, is_repeat=is_repeat)


@dataclass(frozen=True, slots=True)
class Service:
    """What requests are served with: the app as the model, our tools, and what is remembered."""

    desk: Desk
    tools: Tools
    app: ASGIApp

    async def answer(self, taken: Taken, receive: Receive, door: Door) -> Problem | None:
        """Answer; `None` when something has gone out by the door, else what to tell the client.

        Raises `RequestError` and `Unavailable`, with nothing sent, and what the app raised.
        """
        desk, request, scope = self.desk, taken.request, taken.scope
        owner = _owner(taken.tenant, scope)
        session = session_in(headers_of(scope["headers"]))
        asked_by = f"{owner} {place_of(scope)}"
        digest = await offloaded(taken.body, request_digest, asked_by, session, request)
        asker = taken.asker(digest, is_repeat=desk.ledger.knows(owner, digest))
        offered = await self.tools.catalogue.offered()
        # A session that begins is known to others only when the app has taken the request.
        begun = NewSessions()
        memory = desk if asker.is_repeat else replace(desk, sessions=begun)
        loop, restored = await opened_loop(memory, asker, request, taken.body, offered)

        def keep(finished: Finished) -> None:
            keep_hidden(desk, taken.tenant, request, restored, finished)

        # The app's tasks end after its answers: what it does then is part of its request.
        async with anyio.create_task_group() as tasks:
            model = AppModel(
                self.app, scope, door, tasks, on_accepted=lambda: desk.sessions.adopt(begun)
            )
            asked = Asked(
                loop=loop,
                model=model,
                calls=CallRunner(self.tools.dispatcher, desk.limits.call_timeout_s),
                request_id=taken.request_id,
                owner=owner,
                digest=digest,
                is_streamed=request.stream,
                forwarded=Forwarded({}),  # the app gets the client's own
                on_finished=keep,
                may_begin=lambda: not door.is_held,
            )
            answering = Answering(asked, desk.limits, desk.ledger, desk.stopping)
            problem = await answering.run(scope, receive, door.send)
        return _outcome(model, door, problem, taken.request_id)

    async def body_for_counting(self, taken: Taken) -> bytes:
        """What the app is asked in place of a client's request to count tokens: what we would
        send it.

        Raises `RequestError` and `Unavailable`.
        """
        asker = taken.asker()
        offered = await self.tools.catalogue.offered()
        loop, _ = await opened_loop(self.desk, asker, taken.request, taken.body, offered)
        return loop.body_for_counting()


def _outcome(
    model: AppModel, door: Door, problem: Problem | None, request_id: str
) -> Problem | None:
    """What is left to tell the client. Raises what the app raised, unless tools had run and the
    client has to be told so.
    """
    failure = model.failure
    if failure is None:
        return None if door.has_begun else problem
    if door.has_begun or problem is None or model.turns == 1:
        raise failure
    logger.error("%s: the app failed after tools had run", request_id, exc_info=failure)
    return problem


def _owner(tenant: str, scope: Scope) -> str:
    """Who may get what an earlier attempt at the same request did: whoever has the same keys and
    cookies. Without keys nobody is taken for another.
    """
    return f"{tenant}:{tenant_by_key(scope) or nobody()}"
