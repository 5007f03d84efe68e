"""A gateway's own calls of its models as the model of a loop; the first answer is there already.

One job: `ports.ModelClient` over what a gateway gives its plugins: messages as dicts, streams as
pieces of SSE. Must not know which gateway it is, nor loops.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio

from auxot_tools.dialects.anthropic.sse import encode_event
from auxot_tools.errors import RemoteProtocolError, UpstreamError
from auxot_tools.messages import exact_json
from auxot_tools.messages.events import event
from auxot_tools.types import JSON

logger = logging.getLogger(__name__)

# After its message a stream is read to its end: gateways count and log there.
FINISH_S = 5.0

# A message, or a stream of pieces: SSE as bytes or text, or events as dicts.
Answer = JSON | AsyncIterator[Any]
# Asks the model again with a whole Messages request; raises what the gateway raises.
AskAgain = Callable[[JSON], Awaitable[Answer]]


class GatewayModel:
    """See `ports.ModelClient`. Used for one request.

    `failure` is what the gateway raised when it was asked again.
    """

    def __init__(self, first: Answer, ask_again: AskAgain) -> None:
        self._first: Answer | None = first
        self._ask_again = ask_again
        self.failure: Exception | None = None

    @asynccontextmanager
    async def send(
        self,
        body: bytes,
        headers: Mapping[str, str],  # noqa: ARG002  # the gateway has its own
        query: str = "",  # noqa: ARG002
    ) -> AsyncGenerator["GatewayResponse", None]:
        """The next answer. Raises `UpstreamError` with the gateway's status."""
        answer, self._first = self._first, None
        response = GatewayResponse(await self._again(body) if answer is None else answer)
        is_left_well = False
        try:
            yield response
            is_left_well = True
        finally:
            await (response.finish() if is_left_well else response.close())

    async def _again(self, body: bytes) -> Answer:
        try:
            return await self._ask_again(exact_json.decode(body))
        except Exception as error:  # whatever its kind, it is the gateway's to tell
            self.failure = error
            status = getattr(error, "status_code", 500)
            is_status = isinstance(status, int) and 400 <= status < 600
            raise UpstreamError(status if is_status else 500, b"") from error


class GatewayResponse:
    """See `ports.ModelResponse`."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    @property
    def headers(self) -> Mapping[str, str]:
        return {}

    @property
    def content_type(self) -> str:
        return "application/json" if isinstance(self._answer, dict) else "text/event-stream"

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body. Raises `RemoteProtocolError` when the gateway breaks it off."""
        if isinstance(self._answer, dict):
            yield exact_json.encode(self._answer)
            return
        try:
            async for piece in self._answer:
                yield as_bytes(piece)
        except Exception as error:
            logger.warning("the gateway's stream broke off: %s", type(error).__name__)
            raise RemoteProtocolError("the gateway's stream broke off") from error

    async def finish(self) -> None:
        """Let the gateway come to the end of its stream, which holds nothing more for us."""
        if isinstance(self._answer, dict):
            return
        with anyio.move_on_after(FINISH_S):
            try:
                async for _ in self._answer:
                    continue
            except Exception as error:
                logger.debug("after its message a stream failed: %s", type(error).__name__)

    async def close(self) -> None:
        """Nobody wants more of the stream: whoever writes it is told so at once."""
        end = getattr(self._answer, "aclose", None)
        if end is None:
            return
        with anyio.move_on_after(FINISH_S, shield=True):
            try:
                await end()
            except Exception as error:
                logger.debug("a stream that was left failed: %s", type(error).__name__)


def as_bytes(piece: object) -> bytes:
    """A piece of a stream as bytes of SSE."""
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, dict) and isinstance(piece.get("type"), str):
        return encode_event(event(cast(JSON, piece)))
    raise RemoteProtocolError("the gateway sent a piece of a stream that cannot be read")
