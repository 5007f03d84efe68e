"""One request for a message, made ready: history restored, tools offered, provider chosen.

One job: from a parsed request and its key to what a driver runs. Both messages and counts of tokens
are made ready here, so that what is counted is what would be sent. Must not know ASGI.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

from auxot_tools.driver.catalogue import COMPANIONS
from auxot_tools.driver.driver import Forwarded
from auxot_tools.driver.providers import Route
from auxot_tools.driver.upstreams import forwarded_headers
from auxot_tools.loop.actions import Finished
from auxot_tools.loop.calls import CallContext
from auxot_tools.loop.loop import ToolLoop
from auxot_tools.messages.digests import prefix_digests
from auxot_tools.messages.request import MessagesRequest
from auxot_tools.router.bodies import offloaded
from auxot_tools.router.kept_history import Restored
from auxot_tools.router.key_file import KeyEntry
from auxot_tools.router.services import Services
from auxot_tools.router.session import conversation_session
from auxot_tools.types import ToolSpec

# A client that sends this header with this word gets the output of running calls as extra events.
EVENTS_HEADER = "auxot-events"
TOOL_OUTPUT = "tool_output"


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: the key, and what of the HTTP request matters besides the body."""

    key: KeyEntry
    headers: Mapping[str, str]
    forwarded: Forwarded
    request_id: str


def client_of(key: KeyEntry, headers: Mapping[str, str], query: bytes, request_id: str) -> Client:
    """The client of one request, by its headers (names in lower case)."""
    forwarded = Forwarded(forwarded_headers(headers), query.decode("latin-1"))
    return Client(key, headers, forwarded, request_id)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request ready to be driven; `request` is as the client sent it, `digest` its own."""

    request: MessagesRequest
    loop: ToolLoop
    route: Route
    digest: bytes
    restored: Restored


async def prepared(
    services: Services,
    client: Client,
    request: MessagesRequest,
    body: bytes,
    digest: bytes = b"",
    *,
    is_repeat: bool = False,
) -> Conversation:
    """Make a request ready; `body` is what it was read from, `digest` its own.

    Raises `NotFound`, `Overloaded`, `RequestError` and `Unavailable`.
    """
    key = client.key
    route = services.providers.route(request.model)
    tools = offered_tools(await services.catalogue.offered(), key)
    digests = None
    if services.kept_history.is_needed:
        digests = await offloaded(body, prefix_digests, request.messages)
    restored = services.kept_history.restore(key.name, request.messages, digests, client.request_id)
    wants = [word.strip() for word in client.headers.get(EVENTS_HEADER, "").split(",")]
    session = conversation_session(
        request.body,
        client.headers,
        restored.messages,
        lambda: services.sessions.token(digest, is_repeat=is_repeat),
    )
    context = CallContext(
        message_id="msg_" + secrets.token_hex(12),
        tenant=key.name,
        session=session.name,
        session_token=session.token,
        run_for_client=frozenset(key.run_for_client),
        trace_context=_trace_context(client.headers),
        live_output=request.stream and TOOL_OUTPUT in wants,
    )
    whole = replace(request, messages=restored.messages)
    loop = await offloaded(body, ToolLoop, whole, tools, services.loop_settings, context)
    return Conversation(request, loop, route, digest, restored)


def offered_tools(tools: tuple[ToolSpec, ...], key: KeyEntry) -> tuple[ToolSpec, ...]:
    """The tools that this key is offered; companions only beside another one."""
    allowed = [
        tool for tool in tools if key.allowed_tools is None or tool.name in key.allowed_tools
    ]
    companions = [tool for tool in tools if tool.name in COMPANIONS and tool not in allowed]
    return tuple(sorted([*allowed, *companions], key=lambda tool: tool.name)) if allowed else ()


def keep_hidden(
    services: Services, client: Client, conversation: Conversation, finished: Finished
) -> None:
    """Keep what the client does not see of the message."""
    services.kept_history.keep(
        client.key.name,
        conversation.request.messages,
        conversation.restored.digest,
        finished.message,
        finished.whole_content,
    )


def _trace_context(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
