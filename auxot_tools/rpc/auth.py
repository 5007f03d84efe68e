"""Asks every call for the key, health excepted.

Must not know what the calls do. The key is compared in constant time and never logged.
"""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

import grpc

from auxot_tools.rpc.status import NOT_RUN_METADATA

HEALTH_PREFIX: Final = "/grpc.health.v1.Health/"  # probes have no key, and learn one word only
_SCHEME: Final = "bearer "
_TEXT: Final = "this worker asks for a key: send the metadata `authorization: Bearer KEY`"

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class KeyInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Refuses with ``UNAUTHENTICATED``, before the message is read, what has no valid key."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler:
        if handler_call_details.method.startswith(HEALTH_PREFIX):
            return await continuation(handler_call_details)
        if self._is_valid(handler_call_details.invocation_metadata):
            return await continuation(handler_call_details)
        return _REFUSAL

    def _is_valid(self, metadata: Iterable[tuple[str, str | bytes]]) -> bool:
        values = [value for name, value in metadata if name == "authorization"]
        if len(values) != 1:
            return False
        value = values[0]
        text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
        if text[: len(_SCHEME)].lower() != _SCHEME:
            return False
        return hmac.compare_digest(text[len(_SCHEME) :].strip().encode(), self._key)


async def _refuse(_: AsyncIterator[Any], context: "grpc.aio.ServicerContext[Any, Any]") -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, _TEXT, NOT_RUN_METADATA)


# On the wire all four kinds of call look the same; this one answers before it reads.
_REFUSAL: Final = grpc.stream_stream_rpc_method_handler(_refuse)
