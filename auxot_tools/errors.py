"""The whole error taxonomy, and which wire status each error becomes.

One job: name what can go wrong *for us*. A tool's failure is not an exception: it is a
``ToolResult`` (see ``types.py``), and the conversation goes on.

    AuxotError
    ├── ConfigError               the operator's: a setting is wrong; lists every mistake at once
    ├── RequestError              the caller's: becomes a 4xx with the Messages error body
    │   ├── AuthenticationError
    │   ├── PermissionDenied
    │   ├── NotFound
    │   ├── NotServedHere         the Messages API has it, and this router does not
    │   ├── RequestTooLarge
    │   └── RateLimited
    ├── Unavailable               something we need is not there now; trying again may help
    │   ├── Draining              this worker is stopping and refuses new calls
    │   ├── Overloaded            every slot is taken and the waiting line is full
    │   ├── EngineUnavailable     the Docker engine does not answer
    │   └── ImageMissing          the sandbox image is not on this machine
    ├── DeadlineExceeded          the time given ran out
    ├── OutboundRefused           our rules do not let a request out
    ├── OutboundFailed            a request went out and no whole answer came back
    ├── UpstreamError             the model's server refused; its status and wording are kept
    └── ProtocolError             somebody broke a protocol
        ├── LocalProtocolError    we did: a bug
        └── RemoteProtocolError   the peer did

This module must not know gRPC, HTTP libraries or Docker: statuses are names and numbers.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class AuxotError(Exception):
    """Base of every error raised on purpose by this package. Its text may be shown to people."""


class ConfigError(AuxotError):
    """The configuration cannot be used. ``mistakes`` holds one sentence for each thing to fix."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class RequestError(AuxotError):
    """The caller's request cannot be served as sent. Sending it again unchanged does not help."""


class AuthenticationError(RequestError):
    """No valid key came with the request."""


class PermissionDenied(RequestError):
    """The key is valid, but not for this."""


class NotFound(RequestError):
    """There is nothing under this path or name."""


class NotServedHere(RequestError):
    """A part of the API that this router does not implement. Asking again does not help."""


class RequestTooLarge(RequestError):
    """The body is larger than the limit (32 MB by default, as the Messages API has it)."""


class RateLimited(RequestError):
    """Too many requests; ``retry_after_s`` says when to come back (whole seconds, at least 1)."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(AuxotError):
    """Something we depend on is not there now. The caller may try again."""


class Draining(Unavailable):
    """The worker is shutting down: it finishes what runs and refuses what is new."""


class Overloaded(Unavailable):
    """All slots are taken and the waiting line is full."""


class EngineUnavailable(Unavailable):
    """The Docker engine does not answer."""


class ImageMissing(Unavailable):
    """The sandbox image has not been built on this engine."""


class DeadlineExceeded(AuxotError):
    """The time given for the work ran out."""


class OutboundRefused(AuxotError):
    """The rules do not let this request, or where it redirects to, be reached.

    The text is for the model: what and why. It never says what a name resolved to.
    """


class OutboundFailed(AuxotError):
    """No whole answer came from outside. The text is for the model.

    ``kind``: ``not_found`` (the name has no address), ``not_reached``, ``tls``, ``broken_off``,
    ``too_slow``, ``bad_answer`` (not HTTP, headers too large, a broken encoding), ``redirects``.
    """

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class UpstreamError(AuxotError):
    """The upstream answered with an error status.

    ``status`` (HTTP) and ``body`` (bytes, at most 64 KiB kept) are passed on as they came;
    ``headers`` holds only those that may go back to the client (rate limits, ``retry-after``).
    """

    def __init__(
        self,
        status: int,
        body: bytes,
        content_type: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"the upstream answered with HTTP status {status}")
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = dict(headers or {})


class ProtocolError(AuxotError):
    """A message that the protocol does not allow."""


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol."""


class WireStatus(NamedTuple):
    """How an error is told: a gRPC status name, an HTTP status, a Messages ``error.type``."""

    grpc: str
    http: int
    error_type: str


# Class -> status. ``tests/test_errors.py`` walks every subclass, so none can be forgotten.
# error.type values: Messages API reference, "Errors".
WIRE_STATUS: dict[type[AuxotError], WireStatus] = {
    AuxotError: WireStatus("INTERNAL", 500, "api_error"),
    ConfigError: WireStatus("FAILED_PRECONDITION", 500, "api_error"),
    RequestError: WireStatus("INVALID_ARGUMENT", 400, "invalid_request_error"),
    AuthenticationError: WireStatus("UNAUTHENTICATED", 401, "authentication_error"),
    PermissionDenied: WireStatus("PERMISSION_DENIED", 403, "permission_error"),
    NotFound: WireStatus("NOT_FOUND", 404, "not_found_error"),
    NotServedHere: WireStatus("UNIMPLEMENTED", 501, "not_implemented_error"),
    RequestTooLarge: WireStatus("INVALID_ARGUMENT", 413, "request_too_large"),
    RateLimited: WireStatus("RESOURCE_EXHAUSTED", 429, "rate_limit_error"),
    Unavailable: WireStatus("UNAVAILABLE", 503, "api_error"),
    Draining: WireStatus("UNAVAILABLE", 503, "api_error"),
    Overloaded: WireStatus("RESOURCE_EXHAUSTED", 529, "overloaded_error"),
    EngineUnavailable: WireStatus("UNAVAILABLE", 503, "api_error"),
    ImageMissing: WireStatus("UNAVAILABLE", 503, "api_error"),
    DeadlineExceeded: WireStatus("DEADLINE_EXCEEDED", 504, "timeout_error"),
    OutboundRefused: WireStatus("PERMISSION_DENIED", 403, "permission_error"),
    OutboundFailed: WireStatus("UNAVAILABLE", 502, "api_error"),
    UpstreamError: WireStatus("UNAVAILABLE", 502, "api_error"),
    ProtocolError: WireStatus("INTERNAL", 500, "api_error"),
    LocalProtocolError: WireStatus("INTERNAL", 500, "api_error"),
    RemoteProtocolError: WireStatus("INTERNAL", 502, "api_error"),
}


def wire_status(error: BaseException) -> WireStatus:
    """The status of ``error``: its class's, or its nearest ancestor's.

    An exception that is not ours counts as an internal fault.
    """
    for kind in type(error).__mro__:
        if kind in WIRE_STATUS:
            return WIRE_STATUS[kind]
    return WIRE_STATUS[AuxotError]


# The HTTP status that a Messages `error.type` goes with, for errors told inside a stream.
ERROR_TYPE_STATUS: dict[str, int] = {
    "billing_error": 402,
    "conflict_error": 409,
    **{status.error_type: status.http for status in WIRE_STATUS.values()},
    "api_error": 500,
}
