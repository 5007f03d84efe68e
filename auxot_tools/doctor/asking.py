"""One small request after another, each kept with what came of it.

One job: make a request, note the answer and its times, and keep the key to one origin. Must not
know why something is asked.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

import anyio

from auxot_tools.doctor.observations import Attempt
from auxot_tools.net.exact import ExactClient, ExchangeFailed, FailureKind

KEY_HEADERS = frozenset({"x-api-key", "authorization"})
_KEPT_PIECES = 2000  # times kept of one answer's body
_TOO_MANY = "no more requests are made"
_TOTAL_S = 150.0  # of all requests of one asker


class Asker:
    """At most ``requests`` requests; keys go to ``origin`` only.

    Each answer is read for at most ``answer_s`` seconds, and all together for ``total_s``: what a
    server drips counts as not answered, and no more is asked.
    """

    def __init__(
        self,
        http: ExactClient,
        origin: str,
        requests: int,
        *,
        answer_s: float,
        total_s: float = _TOTAL_S,
    ) -> None:
        self._http = http
        self.attempts: list[Attempt] = []
        self._origin, self._requests = origin, requests
        self._answer_s, self._end_at = answer_s, time.monotonic() + total_s

    async def get(
        self, purpose: str, url: str, headers: Mapping[str, str] | None = None, sent: str = "no key"
    ) -> Attempt:
        """A GET; never raises for what a server does."""
        attempt = Attempt(purpose, url, "GET", sent=sent)
        return await self._kept(attempt, headers or {}, None)

    async def post(
        self,
        purpose: str,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        subject: str = "",
        sent: str = "no key",
    ) -> Attempt:
        """A POST; never raises for what a server does."""
        attempt = Attempt(purpose, url, "POST", subject, sent)
        return await self._kept(attempt, headers, body)

    async def _kept(
        self, attempt: Attempt, headers: Mapping[str, str], body: bytes | None
    ) -> Attempt:
        if KEY_HEADERS & headers.keys() and not attempt.url.startswith(f"{self._origin}/"):
            raise RuntimeError("a key was about to be sent to an origin that nobody named")
        left_s = self._end_at - time.monotonic()
        if len(self.attempts) >= self._requests or left_s <= 0:
            return replace(attempt, failure=FailureKind.TIMED_OUT, failure_text=_TOO_MANY)
        answer_s = min(self._answer_s, left_s)
        done = await exchange(self._http, attempt, headers, body, answer_s)
        self.attempts.append(done)
        return done


async def exchange(
    http: ExactClient,
    attempt: Attempt,
    headers: Mapping[str, str],
    body: bytes | None,
    answer_s: float,
) -> Attempt:
    """``attempt`` with what came of it within ``answer_s`` seconds."""
    data, pieces = bytearray(), list[tuple[float, int]]()
    done = attempt
    try:
        with anyio.fail_after(answer_s):
            async with http.send(attempt.method, attempt.url, headers, body) as answer:
                done = replace(
                    attempt, status=answer.status, headers=dict(answer.headers), at_s=answer.at_s
                )
                async for piece in answer.pieces():
                    data += piece.data
                    if len(pieces) < _KEPT_PIECES:
                        pieces.append((piece.at_s, len(piece.data)))
    except ExchangeFailed as failed:
        done = replace(done, failure=failed.kind, failure_text=str(failed))
    except TimeoutError:
        text = f"not all of an answer came within {answer_s:.0f} s"
        done = replace(done, failure=FailureKind.TIMED_OUT, failure_text=text)
    return replace(done, body=bytes(data), pieces=tuple(pieces))
