"""A request's loop: its history restored, its session found, the tools offered.

One job: from a parsed request and whose it is to a `ToolLoop` that can be driven, and what is kept
of it when it has ended. Must not know keys, providers or ASGI.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from auxot_tools.driver.catalogue import COMPANIONS
from auxot_tools.loop.actions import Finished
from auxot_tools.loop.calls import CallContext
from auxot_tools.loop.loop import LoopSettings, ToolLoop
from auxot_tools.messages.digests import prefix_digests
from auxot_tools.messages.request import MessagesRequest
from auxot_tools.router.bodies import offloaded
from auxot_tools.router.kept_history import KeptHistory, Restored
from auxot_tools.router.session import NewSessions, conversation_session
from auxot_tools.types import ToolSpec

# A client that sends this header with this word gets the output of running calls as extra events.
EVENTS_HEADER = "auxot-events"
TOOL_OUTPUT = "tool_output"


class Memory(Protocol):
    """What a process remembers between requests, and how it makes messages."""

    @property
    def kept_history(self) -> KeptHistory: ...

    @property
    def sessions(self) -> NewSessions: ...

    @property
    def loop_settings(self) -> LoopSettings: ...


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose request it is, and by what it is known: `headers` by name, in lower case.

    `digest` is the request's own, by which its repeat finds its session.
    """

    tenant: str
    headers: Mapping[str, str]
    request_id: str
    run_for_client: frozenset[str] = frozenset()
    digest: bytes = b""
    is_repeat: bool = False


async def opened_loop(
    memory: Memory,
    asker: Asker,
    request: MessagesRequest,
    body: bytes,
    tools: tuple[ToolSpec, ...],
) -> tuple[ToolLoop, Restored]:
    """The loop of a request, and its history; `body` is what the request was read from.

    Raises `RequestError` for what cannot be sent on.
    """
    kept = memory.kept_history
    digests = await offloaded(body, prefix_digests, request.messages) if kept.is_needed else None
    restored = kept.restore(asker.tenant, request.messages, digests, asker.request_id)
    wants = [word.strip() for word in asker.headers.get(EVENTS_HEADER, "").split(",")]
    session = conversation_session(
        request.body,
        asker.headers,
        restored.messages,
        lambda: memory.sessions.token(asker.digest, is_repeat=asker.is_repeat),
    )
    context = CallContext(
        message_id="msg_" + secrets.token_hex(12),
        tenant=asker.tenant,
        session=session.name,
        session_token=session.token,
        run_for_client=asker.run_for_client,
        trace_context=_trace_context(asker.headers),
        live_output=request.stream and TOOL_OUTPUT in wants,
    )
    whole = replace(request, messages=restored.messages)
    loop = await offloaded(body, ToolLoop, whole, tools, memory.loop_settings, context)
    return loop, restored


def keep_hidden(
    memory: Memory, tenant: str, request: MessagesRequest, restored: Restored, finished: Finished
) -> None:
    """Keep what the client does not see of the message that was the answer to `request`."""
    memory.kept_history.keep(
        tenant, request.messages, restored.digest, finished.message, finished.whole_content
    )


def with_companions(
    tools: tuple[ToolSpec, ...], allowed: frozenset[str] | None
) -> tuple[ToolSpec, ...]:
    """The tools of these names (`None`: all), and beside them what comes with every tool."""
    offered = [tool for tool in tools if allowed is None or tool.name in allowed]
    companions = [tool for tool in tools if tool.name in COMPANIONS and tool not in offered]
    return tuple(sorted([*offered, *companions], key=lambda tool: tool.name)) if offered else ()


def _trace_context(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
