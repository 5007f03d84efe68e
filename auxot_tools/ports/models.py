"""The models' servers."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class ModelResponse(Protocol):
    """An upstream's answer whose status is known and whose body has not been read."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Only headers that may go back to the client: rate limits, ``retry-after``, request id."""
        ...

    @property
    def content_type(self) -> str:
        """The header's value, parameters included; empty when there was none."""
        ...

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises ``RemoteProtocolError`` when it breaks off or stalls."""
        ...


class ModelClient(Protocol):
    """An upstream model that speaks the Messages dialect."""

    def send(
        self, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> AbstractAsyncContextManager[ModelResponse]:
        """Send one Messages request; ``headers`` and ``query`` are the client's own.

        Raises ``UpstreamError`` (status and wording kept), ``Unavailable`` (not reached) or
        ``DeadlineExceeded`` (no answer in time). Retries only what is safe: nothing after the first
        byte of an answer. Leaving the context, or cancelling, drops the connection.
        """
        ...


class ModelServer(ModelClient, Protocol):
    """An upstream with what else one may ask of it."""

    async def count_tokens(
        self, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> int | None:
        """The input tokens of a request; ``None`` when this server does not count.

        Raises what ``send`` raises.
        """
        ...

    async def list_models(self) -> Sequence[str]:
        """The ids of its models; empty when it does not tell. An answer proves that it is there.

        Raises ``Unavailable``, or ``RemoteProtocolError`` when it answers that it is not well.
        """
        ...
