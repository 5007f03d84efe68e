"""`/api/tools/v1`: the tools without a model, as Auxot has them.

One job: from a request of this API to its answer. A tool is called here by whoever decides which
tool to call: the same keys, limits, allow-lists, worker and results as for a model's calls, and no
conversation around them. Facts: Auxot, `toolsapihandler.go`. Must not know how tools are run.

    GET  tools (or list)   what this key is offered, with schemas; `workers` is 1 when one answers
    POST execute           one call; whole, or as a stream (`one_call.py`)
    GET  approvals         the calls that wait for an operator (`approvals_api.py`)
    POST approvals/ID      an operator's answer

Errors have the form `{"type": "error", "error": {"type", "message"}, "request_id"}`:

    400 invalid_request_error   the body, or the arguments, are not right
    401 authentication_error    no valid key
    403 permission_error        this key is not offered the tool (nobody may be), the operator's
                                policy refused the call, or the key may not answer approvals
    404 not_found_error         no such path, no call waits under this id, or the worker has lost
                                a tool that it had
    413 request_too_large       the body is larger than `router.max_body_bytes`
    429 rate_limit_error        a limit of this key; `retry-after`
    500 tool_error              the tool ran and failed; `status` says how (`execute_answer.py`)
    500 api_error               a fault of ours
    503 service_unavailable     no worker, or it cannot run the call now
    529 overloaded_error        the router serves as many requests as it may
"""

import secrets

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auxot_tools.errors import PermissionDenied, Unavailable
from auxot_tools.router.answers import json_response
from auxot_tools.router.approvals_api import decide, waiting_calls
from auxot_tools.router.bodies import offloaded, read_body
from auxot_tools.router.conversation import Client, offered_tools
from auxot_tools.router.execute_request import ExecuteRequest, parse_execute
from auxot_tools.router.one_call import OneCall, Stops
from auxot_tools.router.paths import Place, Resource
from auxot_tools.router.problems import Problem, tools_problem_of
from auxot_tools.router.services import Services
from auxot_tools.router.session import session_of
from auxot_tools.types import JSON, CallLimits, ToolCall, ToolSpec

LIST_PATIENCE_S = 2.0  # for a worker to show that it is there: it answers from memory
MAX_SHOWN_CHARS = 64  # of a tool's name in an error: as long as a right one can be
EVENT_STREAM = "text/event-stream"


class ToolsEndpoint:
    """Answers requests of the tools API."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stops = Stops()

    def give_up(self) -> None:
        """End the calls that still run, each with an error that its client can read."""
        self._stops.give_up()

    async def answer(
        self, place: Place, client: Client, scope: Scope, receive: Receive, send: Send
    ) -> Response | Problem | None:
        """The answer, or `None` when it was sent already, or its client has left."""
        try:
            return await self._answer(place, client, scope, receive, send)
        except Unavailable as error:
            return tools_problem_of(error, client.request_id)

    async def _answer(
        self, place: Place, client: Client, scope: Scope, receive: Receive, send: Send
    ) -> Response | Problem | None:
        services = self._services
        if place.resource is Resource.TOOLS:
            return json_response(await tool_page(services, client))
        if place.resource is Resource.APPROVALS:
            return json_response(await waiting_calls(services, client))
        body = await read_body(receive, services.limits.max_body_bytes)
        if place.resource is Resource.APPROVAL:
            return json_response(await decide(services, client, place.id, body))
        request = await offloaded(body, parse_execute, body)
        with services.admission.request(client.key) as places:
            tool = await offered_tool(services, client, request.tool)
            scope["state"]["tool"] = tool.name  # for the log
            call = call_of(request, client)
            is_streamed = wants_stream(request, client)
            one = OneCall(services, call, client.request_id, places, self._stops, is_streamed)
            return await one.run(scope, receive, send)


async def tool_page(services: Services, client: Client) -> JSON:
    """What this key is offered. Without a worker nothing is available, which is no error.

    Raises `RateLimited`.
    """
    services.admission.count(client.key)
    try:
        with anyio.fail_after(LIST_PATIENCE_S):  # the catalogue alone may know tools from before
            await services.dispatcher.list_tools()
        tools = await offered(services, client)
    except (Unavailable, TimeoutError):
        return {"tools": [], "workers": 0}
    return {"tools": [_shown(tool) for tool in tools], "workers": 1}


async def offered(services: Services, client: Client) -> tuple[ToolSpec, ...]:
    """The tools of this key, the same as models get for it. Raises `Unavailable`."""
    return offered_tools(await services.catalogue.offered(), client.key)


async def offered_tool(services: Services, client: Client, name: str) -> ToolSpec:
    """The tool of this name.

    Raises `PermissionDenied` when the key is not offered it: also when there is none, so that
    nobody learns of tools that are not theirs. Raises `Unavailable`.
    """
    for tool in await offered(services, client):
        if tool.name == name:
            return tool
    shown = name if len(name) <= MAX_SHOWN_CHARS else f"{name[:MAX_SHOWN_CHARS]}…"
    raise PermissionDenied(
        f'the tool "{shown}" is not offered to this key; GET tools lists those that are'
    )


def call_of(request: ExecuteRequest, client: Client) -> ToolCall:
    """The call that a request is for."""
    named = {"container": request.session}  # the same name finds the same session of a conversation
    headers = client.headers
    return ToolCall(
        tool_use_id="toolu_" + secrets.token_hex(12),
        name=request.tool,
        input_json=request.input_json,
        idempotency_key=request.idempotency_key,
        tenant=client.key.name,
        session=session_of(named, headers),
        limits=CallLimits(timeout_s=request.timeout_s),
        files=request.files,
        trace_context={n: headers[n] for n in ("traceparent", "tracestate") if n in headers},
        request_id=client.request_id,
    )


def wants_stream(request: ExecuteRequest, client: Client) -> bool:
    """What the body says; else what the client accepts."""
    if request.stream is not None:
        return request.stream
    accepted = client.headers.get("accept", "").split(",")
    return any(kind.partition(";")[0].strip().lower() == EVENT_STREAM for kind in accepted)


def _shown(tool: ToolSpec) -> JSON:
    title = {"title": tool.title} if tool.title else {}
    return {
        "name": tool.name,
        **title,
        "description": tool.description,
        "parameters": tool.input_schema,
        "input_schema": tool.input_schema,
        "available": True,
    }
