"""The ASGI app: paths, keys, bodies in, answers out.

One job: from an HTTP request to the endpoint it is for, and every failure to an Anthropic error
body. Must not know how tools are run, where the model is, or what an endpoint does.
"""

import logging
import secrets
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from starlette.datastructures import URL, QueryParams
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auxot_tools.errors import AuxotError, NotFound, NotServedHere, Overloaded, RequestError
from auxot_tools.router.answers import json_response
from auxot_tools.router.bodies import read_body
from auxot_tools.router.conversation import Client, client_of
from auxot_tools.router.health import HealthEndpoint
from auxot_tools.router.messages import MessagesEndpoint
from auxot_tools.router.models import counted_tokens, model_page, one_model
from auxot_tools.router.paths import (
    HEALTH_PATH,
    MESSAGES_PATH,
    METHODS,
    ROOT,
    TOOLS_API,
    TOOLS_HINT,
    Place,
    Resource,
    is_of_tools,
    place_of,
)
from auxot_tools.router.problems import Problem, problem_of
from auxot_tools.router.services import Services
from auxot_tools.router.tools_api import ToolsEndpoint

logger = logging.getLogger(__name__)

_KEY_HEADERS = frozenset({"x-api-key", "authorization"})
_OUR_HEADERS = frozenset({b"request-id", b"cache-control"})


class RouterApp:
    """The router's app. It gives every request an id, and every answer what all answers have."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._messages = MessagesEndpoint(services)
        self._tools = ToolsEndpoint(services)
        self._health = HealthEndpoint(services)
        self._running = 0
        self._app: ASGIApp = self._route
        if services.cors_origins:
            self._app = CORSMiddleware(
                self._route,
                allow_origins=services.cors_origins,
                allow_methods=["GET", "POST", "HEAD"],
                allow_headers=["*"],
                expose_headers=["*", "request-id", "retry-after"],
                max_age=600,
            )

    @property
    def running(self) -> int:
        """Requests that are being served."""
        return self._running

    def give_up(self) -> None:
        """End what is still being answered, each with an error that its client can read."""
        self._messages.give_up()
        self._tools.give_up()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = "req_" + secrets.token_hex(12)
        scope.setdefault("state", {})["request_id"] = request_id
        begun, status = time.monotonic(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                scope["state"]["has_begun"] = True
                _add_headers(message, request_id)
            await send(message)

        await self._app(scope, receive, send_with_headers)
        level = logging.DEBUG if scope["path"] == HEALTH_PATH else logging.INFO
        if logger.isEnabledFor(level):
            state = scope["state"]
            asked = f"{scope['method']} {scope['path'][:100]!r}"
            whose = "".join(
                f" {name}={state[name]}" for name in ("key", "provider", "tool") if state.get(name)
            )
            told = (request_id, asked, whose, status or "client left", time.monotonic() - begun)
            logger.log(level, "%s: %s%s: %s, %.3f s", *told)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """To the endpoint, and its failure to an error body."""
        request_id = scope["state"]["request_id"]
        answer: Response | Problem | None
        try:
            answer = await self._answer(scope, receive, send)
        except AuxotError as error:
            answer = problem_of(error, request_id)
        except Exception as error:
            logger.exception("%s: the request failed because of a fault of ours", request_id)
            answer = problem_of(error, request_id, may_repeat=False)  # for all we know tools ran
        if isinstance(answer, Problem):
            answer = json_response(answer.body, answer.status, answer.headers)
        if answer is not None and not scope["state"].get("has_begun"):
            await answer(scope, receive, send)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send
    ) -> Response | Problem | None:
        """The answer, or `None` when it was sent already."""
        place = place_of(scope["path"])
        if scope["method"] == "HEAD":  # clients look whether anybody is there, without a key
            return Response(status_code=200)
        refusal = _why_not_served(place, scope)
        if refusal is not None:
            return refusal
        if place.resource is Resource.HEALTH:
            return json_response(await self._health.answer())
        if self._running >= self._services.limits.max_concurrent_requests:
            raise Overloaded("The router is serving as many requests as it may; try again soon")
        self._running += 1
        try:
            return await self._answer_client(place, scope, receive, send)
        finally:
            self._running -= 1

    async def _answer_client(
        self, place: Place, scope: Scope, receive: Receive, send: Send
    ) -> Response | Problem | None:
        services, client = self._services, await self._client(scope)
        scope["state"]["key"] = client.key.name
        if place.resource in TOOLS_API:
            return await self._tools.answer(place, client, scope, receive, send)
        if place.resource is Resource.MODELS:
            return json_response(model_page(services, QueryParams(scope["query_string"])))
        if place.resource is Resource.MODEL:
            return json_response(one_model(services, place.id))
        body = await read_body(receive, services.limits.max_body_bytes)
        if place.resource is Resource.COUNT_TOKENS:
            return json_response(await counted_tokens(services, client, body))
        return await self._messages.answer(client, body, scope, receive, send)

    async def _client(self, scope: Scope) -> Client:
        """Who asks. Raises `AuthenticationError` and `RateLimited`."""
        headers = _headers_of(scope)
        peer = (scope.get("client") or ("", 0))[0]
        key = await self._services.keys.authenticate(_presented_keys(headers), peer)
        return client_of(key, headers, scope["query_string"], scope["state"]["request_id"])


def _headers_of(scope: Scope) -> dict[str, str]:
    """The headers by name, in lower case; the values of a repeated one are joined by commas, but
    for keys, of which the first counts.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in _KEY_HEADERS and name in headers:
            continue
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _presented_keys(headers: Mapping[str, str]) -> list[str]:
    """The keys a client sent: clients with two settings send both headers, one of them stale."""
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return [headers.get("x-api-key", "").strip(), bearer]


def _add_headers(message: MutableMapping[str, Any], request_id: str) -> None:
    own = [pair for pair in message.get("headers", []) if pair[0] not in _OUR_HEADERS]
    message["headers"] = [
        *own,
        (b"request-id", request_id.encode()),
        (b"cache-control", b"no-store"),
    ]


def _why_not_served(place: Place, scope: Scope) -> Problem | None:
    """What is said of a path or method that is not served; `None` for all others."""
    if METHODS.get(place.resource) == scope["method"]:
        return None
    url = URL(scope=scope)
    base = f"{url.scheme}://{url.netloc}{ROOT}"
    asked = f"{scope['method']} {url.path[:200]}"
    request_id = scope["state"]["request_id"]
    if place.resource is Resource.NOT_IMPLEMENTED:
        return problem_of(NotServedHere(f"{asked} is not implemented by this router."), request_id)
    hint = f"The base URL is {base}, and the endpoint POST {MESSAGES_PATH}."
    if is_of_tools(scope["path"]):
        hint = TOOLS_HINT
    if place.resource is Resource.UNKNOWN:
        return problem_of(NotFound(f"{asked} is not served here. {hint}"), request_id)
    method = METHODS[place.resource]
    problem = problem_of(RequestError(f"{asked} takes only {method}. {hint}"), request_id)
    return replace(problem, status=405, headers={"allow": f"{method}, HEAD"})
