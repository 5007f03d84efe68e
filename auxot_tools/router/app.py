"""The ASGI app: paths, keys, bodies in, answers out.

One job: from an HTTP request to a driven `ToolLoop`, and every failure to an Anthropic error body.
Must not know how tools are run or where the model is: it gets both as ports.
"""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.driver.driver import LAST_ANSWER_S, Driver, DriverLimits, EventSink
from auxot_tools.driver.upstreams import forwarded_headers
from auxot_tools.errors import (
    AuxotError,
    Draining,
    NotFound,
    Overloaded,
    RequestError,
    RequestTooLarge,
)
from auxot_tools.loop.actions import Failed, Finished
from auxot_tools.loop.loop import CallContext, LoopSettings, ToolLoop
from auxot_tools.messages import exact_json
from auxot_tools.messages.events import Event
from auxot_tools.messages.request import MessagesRequest, parse_request
from auxot_tools.ports import ModelClient, ToolDispatcher
from auxot_tools.router.keys import KeyStore
from auxot_tools.router.problems import Problem, problem_of
from auxot_tools.router.pulse import stream_answer
from auxot_tools.router.session import session_of

logger = logging.getLogger(__name__)

MESSAGES_PATH = "/api/anthropic/v1/messages"
HEALTH_PATH = "/health"
BODY_TIMEOUT_S = 60.0  # for the whole body; 32 MB over a slow line takes less
DROPPED_BODIES = 4  # a body that is too large is read to this many times the limit
# Reading a body of this size takes about 2 ms: larger ones are read in a thread.
LARGE_BODY_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class RouterLimits:
    """What one router takes on. Sizes in bytes, durations in seconds."""

    max_body_bytes: int = 32_000_000
    max_concurrent_requests: int = 256
    ping_interval_s: float = 10.0
    blocking_budget_s: float = 240.0
    call_timeout_s: float = 150.0
    last_answer_s: float = LAST_ANSWER_S


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the app needs, made elsewhere."""

    keys: KeyStore
    model: ModelClient
    dispatcher: ToolDispatcher
    catalogue: Catalogue
    loop_settings: LoopSettings
    limits: RouterLimits


class RouterApp:
    """The router's app: `POST /api/anthropic/v1/messages` and `GET /health`.

    It gives every request an id, and every answer the headers that all answers have.
    """

    def __init__(self, services: Services) -> None:
        self._messages = MessagesEndpoint(services)
        self._app = Starlette(
            routes=[
                Route(MESSAGES_PATH, self._messages, methods=["POST"]),
                Route(HEALTH_PATH, _health(services), methods=["GET"]),
            ],
            exception_handlers={HTTPException: _no_such_path},
        )

    def give_up(self) -> None:
        """End what is still being answered, each with an error that its client can read."""
        self._messages.give_up()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = "req_" + secrets.token_hex(12)
        scope.setdefault("state", {})["request_id"] = request_id
        added = [(b"request-id", request_id.encode()), (b"cache-control", b"no-store")]
        names = {name for name, _ in added}
        begun, status = time.monotonic(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [pair for pair in message.get("headers", []) if pair[0] not in names]
                message["headers"] = [*own, *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)
        level = logging.DEBUG if scope["path"] == HEALTH_PATH else logging.INFO
        told = (request_id, scope["method"], scope["path"][:100], status or "client left")
        logger.log(level, "%s: %s %r: %s, %.3f s", *told, time.monotonic() - begun)


class MessagesEndpoint:
    """`POST /api/anthropic/v1/messages`, blocking and streaming."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._running = 0
        self._driven: set[anyio.CancelScope] = set()

    def give_up(self) -> None:
        """See `RouterApp.give_up`."""
        for scope in self._driven:
            scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = scope["state"]["request_id"]
        problem: Problem | None
        try:
            problem = await self._serve(scope, receive, send, request_id)
        except AuxotError as error:
            problem = problem_of(error, request_id)
        except Exception as error:
            logger.exception("%s: the request failed because of a fault of ours", request_id)
            problem = problem_of(error, request_id, tools_ran=True)  # for all we know
        if problem is not None:
            await _respond(problem)(scope, receive, send)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, request_id: str
    ) -> Problem | None:
        services, headers = self._services, Headers(scope=scope)
        if self._running >= services.limits.max_concurrent_requests:
            raise Overloaded("The router is serving as many requests as it may; try again soon")
        self._running += 1
        try:
            peer = (scope.get("client") or ("", 0))[0]
            key_name = await services.keys.authenticate(_presented_keys(headers), peer)
            body = await _read_body(receive, services.limits.max_body_bytes)
            request = await _parse(body)
            loop = await self._loop_for(request, key_name, headers)
            answer = _Answering(
                self._driven,
                services,
                loop,
                request,
                forwarded_headers(headers.items()),
                request_id,
            )
            return await _unless_client_leaves(receive, lambda: answer.send(scope, receive, send))
        finally:
            self._running -= 1

    async def _loop_for(
        self, request: MessagesRequest, key_name: str, headers: Mapping[str, str]
    ) -> ToolLoop:
        tools = await self._services.catalogue.offered()
        context = CallContext(
            message_id="msg_" + secrets.token_hex(12),
            tenant=key_name,
            session=session_of(request.body, headers),
            trace_context={n: headers[n] for n in ("traceparent", "tracestate") if n in headers},
        )
        return ToolLoop(request, tools, self._services.loop_settings, context)


@dataclass(frozen=True, slots=True)
class _Answering:
    """One request being answered. `driven` holds the scopes of all that are, for the stop."""

    driven: set[anyio.CancelScope]
    services: Services
    loop: ToolLoop
    request: MessagesRequest
    upstream_headers: Mapping[str, str]
    request_id: str

    async def send(self, scope: Scope, receive: Receive, send: Send) -> Problem | None:
        if self.request.stream:
            interval_s = self.services.limits.ping_interval_s
            return await stream_answer(send, self._drive, self._problem_of, interval_s)
        sink = _HeadersOnly()
        ended = await self._drive(sink)
        if isinstance(ended, Failed):
            return self._problem_of(ended)
        body = exact_json.encode(ended.message)
        response = Response(body, headers=dict(sink.headers), media_type="application/json")
        await response(scope, receive, send)
        return None

    async def _drive(self, sink: EventSink) -> Finished | Failed:
        services, limits = self.services, self.services.limits
        budget_s = None if self.request.stream else limits.blocking_budget_s
        driver_limits = DriverLimits(limits.call_timeout_s, budget_s, limits.last_answer_s)
        driver = Driver(self.loop, services.model, services.dispatcher, sink, driver_limits)
        with anyio.CancelScope() as scope:
            self.driven.add(scope)
            try:
                return await driver.run(self.upstream_headers)
            finally:
                self.driven.discard(scope)
        return Failed(Draining("the router is stopping"), tools_ran=True)

    def _problem_of(self, failed: Failed) -> Problem:
        logger.warning("%s: the message cannot be completed: %s", self.request_id, failed.error)
        return problem_of(failed.error, self.request_id, tools_ran=failed.tools_ran)


class _HeadersOnly:
    """The sink of a blocking answer: its message comes whole at the end."""

    def __init__(self) -> None:
        self.headers: Mapping[str, str] = {}

    async def opened(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    async def emit(self, event: Event) -> None:
        """Nothing is sent before the end."""


def _presented_keys(headers: Mapping[str, str]) -> list[str]:
    """The keys a client sent: clients with two settings send both headers, one of them stale."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return [headers.get("x-api-key", "").strip(), bearer]


async def _read_body(receive: Receive, max_bytes: int) -> bytes:
    """The whole body. One that is too large is read on a while, and dropped, before it is refused.

    A client that is still sending when the answer comes may never read it.
    """
    pieces: list[bytes] = []
    size, patience_bytes = 0, DROPPED_BODIES * max_bytes
    try:
        with anyio.fail_after(BODY_TIMEOUT_S):
            while size <= patience_bytes:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RequestError("The client left before its request was complete.")
                piece = message.get("body", b"")
                size += len(piece)
                if size <= max_bytes:
                    pieces.append(piece)
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        text = f"The request body did not arrive within {BODY_TIMEOUT_S:g} s."
        raise RequestError(text) from None
    if size > max_bytes:
        raise RequestTooLarge(f"The request body is larger than {max_bytes} bytes.")
    return b"".join(pieces)


async def _parse(body: bytes) -> MessagesRequest:
    if len(body) < LARGE_BODY_BYTES:
        return parse_request(body)
    return await to_thread.run_sync(parse_request, body)


async def _unless_client_leaves(
    receive: Receive, work: Callable[[], Awaitable[Problem | None]]
) -> Problem | None:
    """Do `work`; a client that leaves cancels it, and with it the upstream and the tools."""
    result: Problem | None = None
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                continue
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        result = await work()
        tasks.cancel_scope.cancel()
    return result


def _respond(problem: Problem) -> Response:
    body = exact_json.encode(problem.body)
    return Response(body, problem.status, problem.headers, media_type="application/json")


async def _no_such_path(request: Request, error: Exception) -> Response:
    request_id = request.scope["state"]["request_id"]
    origin = f"{request.url.scheme}://{request.url.netloc}"
    text = (
        f"{request.method} {request.url.path} is not served here. "
        f"The base URL is {origin}/api/anthropic, and the endpoint POST {MESSAGES_PATH}."
    )
    problem = problem_of(NotFound(text), request_id)
    status = error.status_code if isinstance(error, HTTPException) else problem.status
    return _respond(replace(problem, status=status))


def _health(services: Services) -> Callable[[Request], Awaitable[Response]]:
    async def health(_request: Request) -> Response:
        try:
            tools = [tool.name for tool in await services.catalogue.offered()]
        except AuxotError:
            return JSONResponse({"status": "degraded", "worker": "unreachable", "tools": []})
        return JSONResponse({"status": "ok", "tools": tools})

    return health
