"""Rules: what the right endpoint says to the request, and what its streams are like.

One job: data about versions, models, providers, limits and streams. Must not make requests. Facts:
Messages API reference, "Errors" and "Versions"; `auxot.md` section 2.7; `router/problems.py`.
"""

from auxot_tools.doctor.observations import Attempt, Observations
from auxot_tools.doctor.probes import NEW_VERSION, VERSION, VERSIONS
from auxot_tools.doctor.reading import Kind
from auxot_tools.doctor.rules import Place, Rule, When
from auxot_tools.doctor.table_path import is_model_unknown

WAITED_S = 0.05  # for the first byte, beyond what a request without a model takes
# Within this much all of a stream came: nothing that a model writes does, a few KB in a proxy do.
BURST_S, BURST_SHARE = 0.02, 0.01
_LEAST_DELTAS = 3


def _is_status(*statuses: int) -> When:
    return lambda seen: seen.status in statuses


def _is_version_at_fault(seen: Observations) -> bool:
    if seen.status != 400:
        return False
    helped = any(one.status == 200 for one in seen.of("version", VERSION))
    return helped or "anthropic-version" in seen.reading.message.lower()


def _sent_version(seen: Observations) -> str:
    return seen.sent_headers.get("anthropic-version", "")


def _is_asking_fine(seen: Observations) -> bool:
    return any(one.status == 200 and one.is_ok for one in (seen.asked, *seen.of("model")) if one)


def _is_refused_there(seen: Observations) -> bool:
    """The endpoint itself refuses, and not for the key."""
    asked = seen.asked
    is_there = asked is not None and seen.is_endpoint(asked) and not asked.refuses_key
    return is_there and not _is_asking_fine(seen)


def _refuses_form(form: str) -> When:
    def when(seen: Observations) -> bool:
        return any(one.status in {401, 403} for one in seen.of("form", form))

    return when


def _says(text: str) -> When:
    return lambda seen: text in seen.reading.message.lower()


def _is_page_of_a_proxy(seen: Observations) -> bool:
    kinds = {Kind.HTML, Kind.TEXT, Kind.EMPTY}
    return seen.status in {502, 503, 504} and seen.reading.kind in kinds


def _has_wrong_type(seen: Observations) -> bool:
    asked = seen.asked
    is_message = asked is not None and asked.reading.kind is Kind.MESSAGE
    return is_message and asked is not None and "json" not in asked.content_type


# Streams.


def _stream(seen: Observations) -> Attempt | None:
    return seen.first("stream")


def _is_stream(seen: Observations) -> bool:
    stream = _stream(seen)
    return stream is not None and stream.reading.kind is Kind.STREAM


def is_buffered(stream: Attempt, round_trip_s: float = 0.0) -> bool:
    """All of a stream came at once, long after it was asked for: the model was waited out.

    ``round_trip_s``: what an answer takes for which no model is asked.
    """
    deltas = stream.body.count(b"content_block_delta") // 2  # `event:` and `type`
    has_pings = b"event: ping" in stream.body
    if not stream.pieces or (deltas < _LEAST_DELTAS and not has_pings):
        return False
    first, last = stream.pieces[0][0], stream.pieces[-1][0]
    has_waited = first - round_trip_s >= WAITED_S
    return has_waited and last - first <= BURST_S + BURST_SHARE * first


def _is_buffered(seen: Observations) -> bool:
    stream = _stream(seen)
    asked = [one.at_s for one in (*seen.of("version"), *seen.of("form")) if one.status is not None]
    round_trip_s = min(asked, default=0.0)
    return stream is not None and _is_stream(seen) and is_buffered(stream, round_trip_s)


def _is_compressed(seen: Observations) -> bool:
    stream = _stream(seen)
    encoding = stream.headers.get("content-encoding", "identity") if stream else "identity"
    return _is_stream(seen) and encoding.lower() not in {"", "identity"}


def _has_wrong_stream_type(seen: Observations) -> bool:
    stream = _stream(seen)
    return stream is not None and _is_stream(seen) and stream.content_type != "text/event-stream"


def _is_broken(seen: Observations) -> bool:
    stream = _stream(seen)
    if stream is None or not _is_stream(seen):
        return False
    is_whole = b"message_stop" in stream.body or b"event: error" in stream.body
    return stream.failure is not None or not is_whole


def _is_no_stream(seen: Observations) -> bool:
    stream = _stream(seen)
    return stream is not None and stream.status == 200 and not _is_stream(seen)


def _is_stream_refused(seen: Observations) -> bool:
    stream = _stream(seen)
    no_refusal = {None, 200, 429}
    return stream is not None and stream.status not in no_refusal and _is_asking_fine(seen)


def _is_stream_late(seen: Observations) -> bool:
    stream = _stream(seen)
    return stream is not None and stream.status is None and _is_asking_fine(seen)


def _is_answer_broken(seen: Observations) -> bool:
    return 200 <= seen.status < 300 and seen.failure is not None


def _is_large_refused(seen: Observations) -> bool:
    large = seen.first("large")
    return large is not None and (large.status == 413 or large.status is None)


def _is_worker(state: str) -> When:
    def when(seen: Observations) -> bool:
        health = seen.first("health")
        value = health.reading.value if health else None
        return isinstance(value, dict) and value.get("worker") == state

    return when


ANSWER_RULES = (
    Rule(
        "version_missing",
        Place.REQUEST,
        lambda seen: _is_version_at_fault(seen) and not _sent_version(seen),
        "The client sends no anthropic-version, and this server wants one.",
        f"Add the header `anthropic-version: {VERSION}`",
    ),
    Rule(
        "version_wrong",
        Place.REQUEST,
        _is_version_at_fault,
        "This server does not take anthropic-version {version}.",
        f"Send the header `anthropic-version: {VERSION}`",
    ),
    Rule(
        "model_unknown",
        Place.REQUEST,
        lambda seen: is_model_unknown(seen) and not _is_asking_fine(seen),
        "Address and key are right; the server does not serve the model ({message}).",
        "Ask for a model that it serves (ANTHROPIC_MODEL for Claude Code): {models}.",
    ),
    Rule(
        "request_refused",
        Place.REQUEST,
        lambda seen: seen.status in {400, 422} and _is_refused_there(seen),
        "Address and key are right; the server refuses the request: {message}",
        "Correct what it names; if it is a field that your client always sends, the server is too "
        "strict for it.",
    ),
    Rule(
        "request_too_large",
        Place.REQUEST,
        _is_status(413),
        "The body is larger than {server} takes.",
        "Raise the limit of the proxy before the router (nginx: `client_max_body_size 32m;`).",
    ),
    Rule(
        "no_credit",
        Place.SERVER,
        _is_status(402),
        "The account or budget behind this key is used up ({message}).",
        "Pay for it, or ask the operator of {host} for a higher budget for this key.",
    ),
    Rule(
        "rate_limited",
        Place.SERVER,
        _is_status(429),
        "The server limits how often this key may ask ({message}).",
        "Wait {retry_after} seconds, or ask the operator for a higher limit (requests_per_minute).",
    ),
    Rule(
        "upstream_key_refused",
        Place.SERVER,
        _says("router's own key"),
        "The router is right, and its model's server refuses the router's own key.",
        "On the router: set AUXOT_UPSTREAM_API_KEY (or the provider's api_key_env) to a valid key.",
    ),
    Rule(
        "backend_down",
        Place.SERVER,
        _is_page_of_a_proxy,
        "{server} answers {status} for a router that it does not reach: {message}.",
        "Start the router behind {server}, or correct the address that {server} passes to.",
    ),
    Rule(
        "origin_of_cloudflare_down",
        Place.SERVER,
        _is_status(520, 521, 522, 523, 524, 525, 526, 527, 530),
        "Cloudflare answers {status} for a server that it does not reach ({message}).",
        "Start the router behind {host}, or correct for Cloudflare its address, port and "
        "certificate (525 and 526 are TLS, 530 is the name or the tunnel).",
    ),
    Rule(
        "provider_offline",
        Place.SERVER,
        _is_status(502, 503, 529),
        "The router is there; no model behind it is ({status}: {message}).",
        "Start the model's server, or correct its address on the router ([upstream] url); "
        "`auxot-tools check` there says why, {origin}/health who is online.",
    ),
    Rule(
        "provider_offline_there",
        Place.SERVER,
        lambda seen: any(one.status in {502, 503, 504, 529} for one in seen.of("there")),
        "At the right base URL the router is there, and no model behind it ({there}).",
        "Start the model's server, or correct its address on the router ([upstream] url); "
        "`auxot-tools check` there says why, {origin}/health who is online.",
    ),
    Rule(
        "provider_slow",
        Place.SERVER,
        _is_status(504, 408),
        "The router gave up waiting for its model ({status}: {message}).",
        "Look at the model's server: it is loading or overloaded.",
    ),
    Rule(
        "server_fault",
        Place.SERVER,
        lambda seen: seen.status >= 500 and seen.status != 501,
        "The server has a fault of its own ({status}: {message}).",
        "Look for {which_request} in the router's log.",
    ),
    Rule(
        "answer_broken",
        Place.SERVER,
        _is_answer_broken,
        "The answer begins (status {status}) and has no end: {failure}.",
        "Look in the logs of the router and of the proxy before it for {which_request}: who cuts "
        "or holds the answer?",
    ),
    Rule(
        "wrong_content_type",
        Place.SERVER,
        _has_wrong_type,
        "A message came with the content type {content_type}; clients read only application/json.",
        "Let the server, or the proxy before it, send `content-type: application/json`.",
    ),
    Rule(
        "large_bodies_refused",
        Place.SERVER,
        _is_large_refused,
        "A body of 1.5 MB is refused, and clients send such: images, long conversations.",
        "Raise the limit of the proxy before the router (nginx: `client_max_body_size 32m;`).",
    ),
    Rule(
        "stream_compressed",
        Place.STREAM,
        _is_compressed,
        "The stream is compressed on the way: events wait until a block is full.",
        "Turn compression off for text/event-stream in the proxy (nginx: `gzip off;` for "
        "/api/anthropic/).",
    ),
    Rule(
        "stream_buffered",
        Place.STREAM,
        _is_buffered,
        "A proxy holds the stream back and gives it out at once ({stream}).",
        "Turn buffering off in the proxy before the router (nginx: `proxy_buffering off;` for "
        "/api/anthropic/).",
    ),
    Rule(
        "stream_broken",
        Place.STREAM,
        _is_broken,
        "The stream ends before message_stop ({stream}).",
        "Raise the read timeout of the proxy before the router (nginx: `proxy_read_timeout 600s;`),"
        " and look at the router's log.",
    ),
    Rule(
        "stream_of_wrong_type",
        Place.STREAM,
        _has_wrong_stream_type,
        "The stream does not have the content type text/event-stream: clients will not read it.",
        "Let the server, or the proxy before it, keep `content-type: text/event-stream`.",
    ),
    Rule(
        "not_streamed",
        Place.STREAM,
        _is_no_stream,
        "A stream was asked for, and a whole message came.",
        'Let the proxy pass the body on unchanged ("stream": true), or use a server that streams.',
    ),
    Rule(
        "stream_refused",
        Place.STREAM,
        _is_stream_refused,
        "A whole message comes, and a stream is refused.",
        "Look for the streamed request in the log of the router, and of the proxy before it.",
    ),
    Rule(
        "stream_hangs",
        Place.STREAM,
        _is_stream_late,
        "A whole message comes, and of a stream nothing in time.",
        "Look for the streamed request in the log of the router, and of the proxy before it.",
    ),
    Rule(
        "unknown_answer",
        Place.OTHER,
        lambda seen: seen.asked is None or not seen.asked.is_message,
        "No message came: status {status} ({message}), which says nothing that is known here.",
        "Look for {which_request} in the log of {server} at {host}:{port}: a Messages endpoint "
        "answers POST {suffix} with 200 and a message.",
    ),
    Rule(
        "limited_while_looking",
        Place.NOTE,
        lambda seen: any(one.status == 429 for one in seen.attempts if one is not seen.asked),
        "The server began to limit the requests of this look: what came after is not known.",
        "Repeat it in a minute.",
    ),
    Rule(
        "bearer_refused",
        Place.NOTE,
        _refuses_form("bearer"),
        "The key is taken as x-api-key and refused as Authorization: Bearer, which the SDKs "
        "(Python 2, TypeScript 1) send.",
        'For those SDKs add default_headers={{"x-api-key": KEY}}.',
    ),
    Rule(
        "x_api_key_refused",
        Place.NOTE,
        _refuses_form("x-api-key"),
        "The key is taken as Authorization: Bearer and refused as x-api-key, which Claude Code "
        "sends.",
        "For Claude Code set ANTHROPIC_AUTH_TOKEN in place of ANTHROPIC_API_KEY.",
    ),
    Rule(
        "new_version_refused",
        Place.NOTE,
        lambda seen: any(
            one.status == 400 and "version" in one.reading.message
            for one in seen.of("version", NEW_VERSION)
        ),
        f"The server does not take anthropic-version {NEW_VERSION}, which the newest SDKs send.",
        f'For those SDKs add default_headers={{{{"anthropic-version": "{VERSION}"}}}}.',
    ),
    Rule(
        "unusual_version",
        Place.NOTE,
        lambda seen: _is_asking_fine(seen) and _sent_version(seen) not in {*VERSIONS, ""},
        "The client sends anthropic-version {version}, which is none that exists.",
        f"Send the header `anthropic-version: {VERSION}`",
    ),
    Rule(
        "worker_unreachable",
        Place.NOTE,
        _is_worker("unreachable"),
        "The router does not reach its tools worker: messages work, our tools do not.",
        "Start `auxot-tools worker`, or correct router.worker.",
    ),
    Rule(
        "worker_not_serving",
        Place.NOTE,
        _is_worker("not serving"),
        "The router's tools worker says that it cannot run tools now: messages work.",
        "Look at its Docker engine: `auxot-tools check` where the worker runs, or its log.",
    ),
    Rule(
        "model_replaced",
        Place.NOTE,
        lambda seen: any(one.is_ok for one in seen.of("model")),
        "The server does not know the model `auto`; {model} was asked for instead.",
        "Name one of its models in the client: {models}.",
    ),
)
