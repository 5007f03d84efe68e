"""The upstream model over HTTP: any server that speaks the Messages dialect.

One job: one `ModelClient` over `net`. Retries what is safe, and only before the first byte of an
answer; a refusal keeps its status and wording. Must not know loops or tools.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from auxot_tools.errors import Unavailable, UpstreamError
from auxot_tools.net.http import HttpAnswer, HttpClient

# Statuses that say "not now", before any work was done.
_RETRIED = frozenset({502, 503, 529})
# Longer waits are the client's to make: it knows how long its user will wait.
_LONGEST_WAIT_S = 2.0
_RETURNED_PREFIXES = ("anthropic-ratelimit-", "x-ratelimit-", "retry-after")
_RETURNED = frozenset({"x-should-retry", "anthropic-organization-id"})
_CLIENT_PREFIX = "anthropic-"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the model is. `auth_headers` carry the operator's key and are never shown."""

    url: str  # up to, and without, "/v1/messages"
    auth_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    retries: int = 2


def forwarded_headers(client_headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The client's headers that an upstream is to see: `anthropic-*`, names in lower case.

    A header that was sent more than once goes up once, its values joined by commas.
    """
    forwarded: dict[str, str] = {}
    for name, value in client_headers:
        if name.startswith(_CLIENT_PREFIX):
            forwarded[name] = f"{forwarded[name]}, {value}" if name in forwarded else value
    return forwarded


def returned_headers(upstream_headers: Mapping[str, str]) -> dict[str, str]:
    """The upstream's headers that the client is to see: rate limits and when to retry."""
    returned = {
        name: value
        for name, value in upstream_headers.items()
        if (name.startswith(_RETURNED_PREFIXES) or name in _RETURNED) and value.isascii()
    }
    if "request-id" in upstream_headers:
        returned["upstream-request-id"] = upstream_headers["request-id"]
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
    """A `ModelClient` for one upstream."""

    def __init__(self, http: HttpClient, upstream: Upstream) -> None:
        self._http = http
        self._upstream = upstream
        self._messages_url = upstream.url.rstrip("/") + "/v1/messages"

    @asynccontextmanager
    async def send(
        self, body: bytes, headers: Mapping[str, str]
    ) -> AsyncGenerator[HttpModelResponse, None]:
        """See `ports.ModelClient.send`."""
        sent = {
            "content-type": "application/json",
            "anthropic-version": "2023-06-01",
            "user-agent": "auxot-tools",
            **headers,
            **self._upstream.auth_headers,
        }
        retrying = AsyncRetrying(
            stop=stop_after_attempt(1 + self._upstream.retries),
            wait=_wait,
            retry=retry_if_exception(_is_worth_a_retry),
            reraise=True,
        )
        async with AsyncExitStack() as stack:
            answer: HttpAnswer | None = None
            async for attempt in retrying:
                with attempt:
                    answer = await self._open(stack, body, sent)
            if answer is None:
                raise Unavailable("the upstream was not asked")
            yield HttpModelResponse(answer)

    async def _open(
        self, stack: AsyncExitStack, body: bytes, headers: Mapping[str, str]
    ) -> HttpAnswer:
        async with AsyncExitStack() as attempt:
            post = self._http.post(self._messages_url, body, headers)
            answer = await attempt.enter_async_context(post)
            if answer.status != 200:
                raise UpstreamError(
                    answer.status,
                    await answer.error_body(),
                    answer.content_type,
                    returned_headers(answer.headers),
                )
            stack.push_async_exit(attempt.pop_all())
            return answer


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
