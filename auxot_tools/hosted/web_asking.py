"""Asks a provider's API, and says what went wrong in words that give nothing away.

One job: one request, one JSON object or an answer for the model. It must not know what is asked.
"""

import json
from collections.abc import Callable, Mapping

from auxot_tools.errors import OutboundFailed, OutboundRefused
from auxot_tools.net.outbound import Outbound, OutboundAnswer, OutboundRequest
from auxot_tools.ports import HostedAnswer
from auxot_tools.types import JSON, Deadline, Status

_LATER = "Try again later, or go on without it."


async def ask_json(
    outbound: Outbound,
    request: OutboundRequest,
    within: Deadline,
    provider: str,
    refusal: Callable[[int], str],
) -> JSON | HostedAnswer:
    """The JSON object that `provider` answers, or what to tell the model instead.

    `refusal` says what a status means for the operator, if anything special.
    """
    try:
        answer = await outbound.fetch(request, within)
    except OutboundRefused:
        text = f"{provider} cannot be asked. For the operator: check the key and `web` settings."
        return unavailable(text)
    except OutboundFailed as failed:
        if failed.kind == "too_slow":
            return HostedAnswer.of(f"{provider} did not answer in time. {_LATER}", Status.TIMED_OUT)
        return unavailable(f"{provider} could not be reached. {_LATER}")
    if answer.status != 200:
        return _refused(answer, provider, refusal(answer.status))
    reply = _parsed(answer)
    if reply is None:
        return unavailable(f"{provider} sent an answer that cannot be understood. {_LATER}")
    return reply


def unavailable(text: str) -> HostedAnswer:
    """An answer that says why there is none."""
    return HostedAnswer.of(text, Status.UNAVAILABLE)


def not_configured(tool_name: str, missing: str) -> HostedAnswer:
    """What a model is told when the operator has not set what a tool needs."""
    text = (
        f"{tool_name} is not configured, so it cannot be used; go on without it. "
        f"For the operator: {missing}."
    )
    return unavailable(text)


def credential(credentials: Mapping[str, str], *names: str) -> str:
    """The first of the named credentials that is there; empty without any."""
    return next(filter(None, (credentials.get(name, "").strip() for name in names)), "")


def _refused(answer: OutboundAnswer, provider: str, for_operator: str) -> HostedAnswer:
    hint = f" For the operator: {for_operator}." if for_operator else ""
    if answer.status == 429:
        wait = answer.headers.get("retry-after", "")
        when = f"in {wait} s" if wait.isascii() and wait.isdigit() and len(wait) < 6 else "later"
        return unavailable(f"{provider} refuses more requests for now. Try again {when}.{hint}")
    if answer.status in {400, 422}:
        return unavailable(f"{provider} does not accept this query. Put it in other words.{hint}")
    if 300 <= answer.status < 400:
        hint = " For the operator: check the address in the `web` settings; it redirects."
    text = f"{provider} refused the request (HTTP status {answer.status})."
    return unavailable(f"{text}{hint or f' {_LATER}'}")


def _parsed(answer: OutboundAnswer) -> JSON | None:
    if answer.is_cut:
        return None
    try:
        reply = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return reply if isinstance(reply, dict) else None
