"""Errors and gRPC statuses, both ways: out through the one table in ``errors.py``, and back.

Must not know messages, channels or servers. Texts are ours: what a peer's gRPC library wrote is
never shown to a model or a user.
"""

from typing import Final, NamedTuple

import grpc

from auxot_tools.errors import Draining, Overloaded, RequestError, wire_status
from auxot_tools.types import Status

INTERNAL_TEXT: Final = "the tools worker failed for a reason of its own; its log says more"

NOT_WAITING_TEXT: Final = "no call with this id waits for an answer (any more)"

# Set on every refusal by the worker itself: the call got no slot and nothing was run. A call that
# ends without a result and without this may have run.
NOT_RUN_KEY: Final = "auxot-not-run"
NOT_RUN_METADATA: Final = ((NOT_RUN_KEY, "1"),)
NOT_RUN_ERRORS: Final = (RequestError, Draining, Overloaded)

_NOT_RUN: Final = " This call was not run."
_UNSURE: Final = " It may or may not have had effects."


class _Failure(NamedTuple):
    status: Status
    refused: str  # the worker said so itself, before it ran anything
    lost: str  # the call was on its way


_GONE: Final = _Failure(
    Status.UNAVAILABLE,
    "The tools worker takes no new calls now." + _NOT_RUN,
    "The tools worker stopped before this call finished; it may or may not have had effects.",
)
_NOT_ACCEPTED: Final = _Failure(
    Status.UNAVAILABLE,
    "The tools worker does not accept calls from here; its operator has to allow them." + _NOT_RUN,
    "The tools worker does not accept calls from here; its operator has to allow them.",
)
_BROKEN: Final = _Failure(
    Status.INTERNAL,
    "The tools worker failed." + _NOT_RUN,
    "The tools worker failed while it had this call." + _UNSURE,
)
# What a worker is that refuses a call with credentials as a message it does not understand.
OLDER_TEXT: Final = (
    "The tools worker is of a version that takes no credentials with a call; its operator has to "
    "make it a newer one, or set them there, as AUXOT_TOOLS_<TOOL>__<NAME>." + _NOT_RUN
)
_FAILURES: Final[dict[grpc.StatusCode, _Failure]] = {
    grpc.StatusCode.UNAVAILABLE: _GONE,
    grpc.StatusCode.CANCELLED: _GONE,
    grpc.StatusCode.UNAUTHENTICATED: _NOT_ACCEPTED,
    grpc.StatusCode.PERMISSION_DENIED: _NOT_ACCEPTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: _Failure(
        Status.UNAVAILABLE,
        "The tools worker is busy; try again later." + _NOT_RUN,
        "The tools worker is busy and did not answer this call." + _UNSURE,
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: _Failure(
        Status.TIMED_OUT,
        "This call's time had run out before it began." + _NOT_RUN,
        "This call did not finish in the time it was given and was stopped.",
    ),
    grpc.StatusCode.INVALID_ARGUMENT: _Failure(
        Status.INTERNAL,
        "The tools worker did not understand this call." + _NOT_RUN,
        "The tools worker did not understand this call.",
    ),
}

_NO_ANSWER: Final = (
    "the tools worker at {target} does not answer; start it with `auxot-tools worker`"
)
_NO_LISTING: Final[dict[grpc.StatusCode, str]] = {
    grpc.StatusCode.UNAVAILABLE: _NO_ANSWER,
    grpc.StatusCode.DEADLINE_EXCEEDED: _NO_ANSWER,
    grpc.StatusCode.CANCELLED: _NO_ANSWER,
    grpc.StatusCode.UNAUTHENTICATED: (
        "the tools worker at {target} does not accept our key; "
        "set AUXOT_WORKER_KEY to the worker's own"
    ),
    grpc.StatusCode.UNIMPLEMENTED: "what answers at {target} is not a tools worker",
}


def code_of(error: BaseException) -> grpc.StatusCode:
    """The gRPC status of ``error``; ``INTERNAL`` for an exception that is not ours."""
    return grpc.StatusCode[wire_status(error).grpc]


def call_failure(code: grpc.StatusCode, *, was_refused: bool) -> tuple[Status, str]:
    """How a call ended that got no result: its status, and the words for the model.

    ``was_refused``: the worker said that it ran nothing. Otherwise the text says that it may have.
    """
    failure = _FAILURES.get(code, _BROKEN)
    return failure.status, failure.refused if was_refused else failure.lost


def unavailable_text(code: grpc.StatusCode, target: str) -> str:
    """Why nothing could be learnt from the worker at ``target``, for its operator."""
    text = _NO_LISTING.get(code, "the tools worker at {target} failed to answer; see its log")
    return text.format(target=target)
