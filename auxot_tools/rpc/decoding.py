"""Requests that are no protobuf: judged by us, not by gRPC's own handler.

grpc.aio answers a message that it cannot parse with UNKNOWN and the words of a Python exception.
Here parsing never fails: what cannot be read arrives as `None`, and the servicer refuses it with
INVALID_ARGUMENT. Must not know what the messages mean.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError


class LenientDecoding(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Makes every method's parser return `None` for what it cannot read."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        parse = getattr(handler, "request_deserializer", None)
        if parse is None:
            return handler

        def parse_or_none(data: bytes) -> Any:
            try:
                return parse(data)
            except DecodeError:
                return None

        return handler._replace(request_deserializer=parse_or_none)
