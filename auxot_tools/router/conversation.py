"""One request for a message, made ready: history restored, tools offered, provider chosen.

One job: from a parsed request and its key to what a driver runs. Both messages and counts of tokens
are made ready here, so that what is counted is what would be sent. Must not know ASGI.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from auxot_tools.driver.driver import Forwarded
from auxot_tools.driver.providers import Route
from auxot_tools.driver.upstreams import forwarded_headers
from auxot_tools.loop.loop import ToolLoop
from auxot_tools.messages.request import MessagesRequest
from auxot_tools.router.kept_history import Restored
from auxot_tools.router.key_file import KeyEntry
from auxot_tools.router.opening import Asker, opened_loop, with_companions
from auxot_tools.router.services import Services
from auxot_tools.types import ToolSpec


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
    asker = Asker(
        tenant=key.name,
        headers=client.headers,
        request_id=client.request_id,
        run_for_client=frozenset(key.run_for_client),
        digest=digest,
        is_repeat=is_repeat,
    )
    loop, restored = await opened_loop(services, asker, request, body, tools)
    return Conversation(request, loop, route, digest, restored)


def offered_tools(tools: tuple[ToolSpec, ...], key: KeyEntry) -> tuple[ToolSpec, ...]:
    """The tools that this key is offered; companions only beside another one."""
    allowed = key.allowed_tools
    return with_companions(tools, None if allowed is None else frozenset(allowed))
