"""The upstream model over HTTP: any server that speaks the Messages dialect.

One job: one `ModelServer` over `net`. Retries what is safe, and only before the first byte of an
answer; a refusal keeps its status and wording. Must not know loops or tools.
"""

import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from auxot_tools.errors import RemoteProtocolError, Unavailable, UpstreamError
from auxot_tools.messages import exact_json
from auxot_tools.net.http import HttpAnswer, HttpClient

# Statuses that say "not now", before any work was done.
_RETRIED = frozenset({502, 503, 529})
# Longer waits are the client's to make: it knows how long its user will wait.
_LONGEST_WAIT_S = 2.0
_RETURNED_PREFIXES = ("anthropic-ratelimit-", "x-ratelimit-", "retry-after")
_RETURNED = frozenset({"x-should-retry", "anthropic-organization-id"})
# The client's headers that are about its connection, its key, or us; all others go upstream.
_KEPT_BACK = frozenset(
    [
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "origin",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "referer",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-api-key",
        "x-real-ip",
    ]
)
_KEPT_BACK_PREFIXES = ("auxot-", "cf-", "sec-", "x-forwarded-")
# A server without that endpoint answers so; what else it says it says of the request.
_NOT_THERE = frozenset({404, 405, 501})
_OWN_HEADERS = {
    "content-type": "application/json",
    "anthropic-version": "2023-06-01",
    "user-agent": "auxot-tools",
}
NOT_COUNTING_S = 60.0  # a server without that endpoint is not asked again for so long
MAX_ANSWER_BYTES = 4 * 2**20  # of a list of models, or a count


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the model is. `auth_headers` carry the operator's key and are never shown."""

    url: str  # up to, and without, "/v1/messages"
    auth_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    retries: int = 2


def forwarded_headers(client_headers: Mapping[str, str]) -> dict[str, str]:
    """The client's headers that an upstream is to see; names are in lower case."""
    return {
        name: value
        for name, value in client_headers.items()
        if name not in _KEPT_BACK and not name.startswith(_KEPT_BACK_PREFIXES)
    }


def returned_headers(upstream_headers: Mapping[str, str]) -> dict[str, str]:
    """The upstream's headers that the client is to see: rate limits and when to retry."""
    returned = {
        name: value
        for name, value in upstream_headers.items()
        if (name.startswith(_RETURNED_PREFIXES) or name in _RETURNED) and value.isascii()
    }
    request_id = upstream_headers.get("request-id", "")
    if request_id and request_id.isascii():
        returned["upstream-request-id"] = request_id
    return returned


class HttpModelResponse:
    """A `ModelResponse` whose status was 200."""

    def __init__(self, answer: HttpAnswer) -> None:
        self._answer = answer
        self._headers = returned_headers(answer.headers)

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    @property
    def content_type(self) -> str:
        return self._answer.content_type

    def chunks(self) -> AsyncGenerator[bytes, None]:
        return self._answer.chunks()


class HttpModelClient:
    """A `ModelServer` for one upstream."""

    def __init__(self, http: HttpClient, upstream: Upstream) -> None:
        self._http = http
        self._upstream = upstream
        base = re.sub(r"/v1/?$", "", upstream.url.rstrip("/"))
        self._messages_url = f"{base}/v1/messages"
        self._models_url = f"{base}/v1/models?limit=1000"  # the Models API's largest page
        self._counts_again_at = 0.0

    @asynccontextmanager
    async def send(
        self, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> AsyncGenerator[HttpModelResponse, None]:
        """See `ports.ModelClient.send`."""
        url = _with_query(self._messages_url, query)
        async with AsyncExitStack() as stack:
            answer = await self._answered(stack, url, body, headers)
            yield HttpModelResponse(answer)

    async def count_tokens(
        self, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> int | None:
        """See `ports.ModelServer.count_tokens`."""
        if time.monotonic() < self._counts_again_at:
            return None
        url = _with_query(f"{self._messages_url}/count_tokens", query)
        try:
            async with AsyncExitStack() as stack:
                answer = await self._answered(stack, url, body, headers)
                told = _object(await answer.whole_body(MAX_ANSWER_BYTES))
        except UpstreamError as error:
            if error.status not in _NOT_THERE or b'"model' in error.body:
                raise
            self._counts_again_at = time.monotonic() + NOT_COUNTING_S
            return None
        count = told.get("input_tokens")
        return count if isinstance(count, int) and not isinstance(count, bool) else None

    async def list_models(self) -> Sequence[str]:
        """See `ports.ModelServer.list_models`. Any answer below 500 proves that it is there."""
        headers = _OWN_HEADERS | dict(self._upstream.auth_headers)
        async with self._http.get(self._models_url, headers) as answer:
            if answer.status >= 500 and answer.status not in _NOT_THERE:
                raise RemoteProtocolError(f"it answers a probe with HTTP status {answer.status}")
            if answer.status != 200:
                return ()
            try:
                listed = _object(await answer.whole_body(MAX_ANSWER_BYTES)).get("data")
            except RemoteProtocolError:
                return ()
        entries = listed if isinstance(listed, list) else []
        ids = (entry.get("id") for entry in entries if isinstance(entry, dict))
        return [model for model in ids if isinstance(model, str) and model]

    async def _answered(
        self, stack: AsyncExitStack, url: str, body: bytes, headers: Mapping[str, str]
    ) -> HttpAnswer:
        """An answer with status 200, after as many attempts as are worth it."""
        sent = {**_OWN_HEADERS, **headers, **self._upstream.auth_headers}
        if not self._upstream.retries:
            return await self._open(stack, url, body, sent)
        retrying = AsyncRetrying(
            stop=stop_after_attempt(1 + self._upstream.retries),
            wait=_wait,
            retry=retry_if_exception(_is_worth_a_retry),
            reraise=True,
        )
        return await retrying(self._open, stack, url, body, sent)

    async def _open(
        self, stack: AsyncExitStack, url: str, body: bytes, headers: Mapping[str, str]
    ) -> HttpAnswer:
        async with AsyncExitStack() as attempt:
            answer = await attempt.enter_async_context(self._http.post(url, body, headers))
            if answer.status != 200:
                raise UpstreamError(
                    answer.status,
                    await answer.error_body(),
                    answer.content_type,
                    returned_headers(answer.headers),
                )
            stack.push_async_exit(attempt.pop_all())
            return answer


def _with_query(url: str, query: str) -> str:
    return f"{url}?{query}" if query else url


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = exact_json.decode(body)
    except exact_json.InvalidJSON:
        raise RemoteProtocolError("the upstream's answer is not JSON") from None
    if not isinstance(value, dict):
        raise RemoteProtocolError("the upstream's answer is not a JSON object")
    return value


def _is_worth_a_retry(error: BaseException) -> bool:
    if isinstance(error, UpstreamError):
        return error.status in _RETRIED and _asked_wait_s(error) <= _LONGEST_WAIT_S
    return isinstance(error, Unavailable)


def _asked_wait_s(error: BaseException | None) -> float:
    asked = error.headers.get("retry-after", "") if isinstance(error, UpstreamError) else ""
    try:
        return float(asked or 0)
    except ValueError:  # a date: too far away for us in any case
        return _LONGEST_WAIT_S + 1


_jittered = wait_exponential_jitter(multiplier=0.2, max=_LONGEST_WAIT_S, jitter=0.2)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return max(_asked_wait_s(error), _jittered(state))
