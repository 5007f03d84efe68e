"""Performs a sketched exchange and says what came: real ids, real answers.

One job: two requests, one after the other. Must not know how tools are run: results are samples.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from auxot_tools.doctor.asking import Asker
from auxot_tools.doctor.key import KeyFacts, Redactor
from auxot_tools.doctor.observations import Attempt
from auxot_tools.doctor.probes import ANY_MODEL, VERSION, ProbeOptions, is_model_unknown
from auxot_tools.doctor.reading import Kind, model_ids
from auxot_tools.doctor.report import cleaned_values
from auxot_tools.doctor.sketch import (
    Sketch,
    can_be_answered,
    endpoint_request,
    first_request,
    second_request,
)
from auxot_tools.doctor.words import shortened
from auxot_tools.net.exact import ExactClient
from auxot_tools.types import JSON

_SHOWN_CHARS = 300  # of a text in an answer
_REQUESTS = 8
_RAN_THERE = frozenset({"mcp_tool_use", "server_tool_use"})


@dataclass(frozen=True, slots=True)
class Ran:
    """What happened; ``is_done`` when the exchange came to its end."""

    is_done: bool
    lines: tuple[str, ...]
    answers: tuple[JSON, ...] = field(default=())


async def run_endpoint_form(sketch: Sketch, origin: str, key: str, options: ProbeOptions) -> Ran:
    """One request; says whether the endpoint ran a call in it."""
    async with ExactClient(options.limits, options.ssl_context) as http:
        asker = _asker(http, origin, options)
        sketch, answer = await _ask_with_a_served_model(asker, sketch, key)
    message = _message(answer)
    if message is None:
        return Ran(False, (f"A. {_failure(answer, key)}",))
    message = _without_key(message, key)
    ran = [one for one in _blocks(message) if one.get("type") in _RAN_THERE]
    told = [f"A. {_told(answer, message)}", *(f"   the endpoint ran {_call(one)}" for one in ran)]
    if not ran:
        told.append(
            "   no call is shown: the tool is not in router.allowed_tools there, the router hides "
            "its calls, or the model answered without it"
        )
    told.append(f'   it says: "{_text(message)}"')
    return Ran(True, tuple(told), (message,))


async def run_client_form(sketch: Sketch, origin: str, key: str, options: ProbeOptions) -> Ran:
    """Two requests with a sample result between them."""
    async with ExactClient(options.limits, options.ssl_context) as http:
        asker = _asker(http, origin, options)
        sketch, answer = await _ask_with_a_served_model(asker, sketch, key, is_client=True)
        message = _message(answer)
        if message is None:
            return Ran(False, (f"1. {_failure(answer, key)}",))
        shown = _without_key(message, key)
        calls = [one for one in _blocks(shown) if one.get("type") == "tool_use"]
        told = [
            f"1. {_told(answer, shown)}",
            *(f"   the client is to run {_call(one)}" for one in calls),
        ]
        if not calls:
            return Ran(False, (*told, *_why_no_call(shown)), (message,))
        if not can_be_answered(message["content"]):
            told.append("   a block without a type, or a call without id or name: no answer fits")
            return Ran(False, tuple(told), (message,))
        body = second_request(sketch, message["content"])
        second = await asker.post("second", sketch.url, _bytes(body), _headers(key))
    last = _message(second)
    if last is None:
        return Ran(False, (*told, f"2. {_failure(second, key)}"), (message,))
    last = _without_key(last, key)
    told += [f"2. {_told(second, last)}", f'   it says: "{_text(last)}"']
    if last.get("stop_reason") == "tool_use":
        told.append("   the model calls once more: answer that in the same way")
    return Ran(True, tuple(told), (message, last))


def _asker(http: ExactClient, origin: str, options: ProbeOptions) -> Asker:
    answer_s = options.limits.first_byte_s + options.limits.idle_s
    return Asker(http, origin, _REQUESTS, answer_s=answer_s, total_s=_REQUESTS * answer_s)


async def _ask_with_a_served_model(
    asker: Asker, sketch: Sketch, key: str, *, is_client: bool = False
) -> tuple[Sketch, Attempt]:
    """The first request; once more with a model that is listed when it names none that is known."""
    make = first_request if is_client else endpoint_request
    answer = await asker.post("first", sketch.url, _bytes(make(sketch)), _headers(key))
    if sketch.model != "auto" or not is_model_unknown(answer, sketch.model):
        return sketch, answer
    url = sketch.url.removesuffix("/messages") + "/models"
    listed = await asker.get("models", url, _headers(key))
    sketch = replace(sketch, model=next(iter(model_ids(listed.reading)), ANY_MODEL))
    answer = await asker.post("first", sketch.url, _bytes(make(sketch)), _headers(key))
    return sketch, answer


def _headers(key: str) -> Mapping[str, str]:
    headers = {"content-type": "application/json", "anthropic-version": VERSION}
    return headers | {"x-api-key": key} if key else headers


def _bytes(body: JSON) -> bytes:
    return json.dumps(body).encode()


def _message(answer: Attempt) -> JSON | None:
    reading = answer.reading
    is_message = answer.status == 200 and reading.kind is Kind.MESSAGE and answer.failure is None
    return reading.value if is_message else None


def _blocks(message: JSON) -> list[JSON]:
    return [one for one in message["content"] if isinstance(one, dict)]


def _told(answer: Attempt, message: JSON) -> str:
    return (
        f"POST {answer.url}: {answer.status} after {answer.at_s:.2f} s, {message.get('id')}, "
        f"model {message.get('model')}, stop_reason {message.get('stop_reason')}"
    )


def _without_key(message: JSON, key: str) -> JSON:
    """To be shown: what is cut later could be half a key otherwise."""
    cleaned: JSON = cleaned_values(message, Redactor([KeyFacts(key)]))
    return cleaned


def _failure(answer: Attempt, key: str) -> str:
    if answer.status is None:
        why = answer.failure_text
    else:
        reading = answer.reading
        words = f"{reading.error_type or reading.kind} {reading.message}"
        words = shortened(Redactor([KeyFacts(key)]).clean(words))
        why = f"{answer.status} {words}".strip().rstrip(".")
    return f"POST {answer.url}: {why}. `auxot-tools doctor url` finds out why."


def _call(block: JSON) -> str:
    given = shortened(json.dumps(block.get("input")), _SHOWN_CHARS)
    return f"{block.get('name')} ({block.get('id')}) with {given}"


def _text(message: JSON) -> str:
    texts = [str(one.get("text", "")) for one in _blocks(message) if one.get("type") == "text"]
    return shortened(" ".join(" ".join(texts).split()), _SHOWN_CHARS)


def _why_no_call(message: JSON) -> list[str]:
    ran = [one for one in _blocks(message) if one.get("type") in _RAN_THERE]
    if ran:
        return [f"   the endpoint ran {_call(one)}: one request is enough there" for one in ran]
    said = f'   the model made no call; it says: "{_text(message)}"'
    return [said, "   name a model that uses tools: --model"]
