"""Performs the exchanges at an endpoint, and records what came of each.

One job: the order, the limits of time, and the recording. It must not know rules. Exchanges of one
conversation come one after another, conversations side by side.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import anyio

from auxot_tools.errors import AuxotError, ConfigError
from auxot_tools.net.exact import ExactClient, ExactLimits, ExchangeFailed
from auxot_tools.roundtrip.endpoint import Endpoint
from auxot_tools.roundtrip.exchanges import BY_NAME, Ends, Exchange, conversations
from auxot_tools.roundtrip.plan import INPUT_KINDS, Plan
from auxot_tools.roundtrip.recording import Answer, Exchanged, Facts, Piece, Recording, Sent
from auxot_tools.roundtrip.redaction import Redactor
from auxot_tools.roundtrip.requests import MESSAGES, message_in
from auxot_tools.roundtrip.stream_checks import is_shown_call
from auxot_tools.roundtrip.upstream import PlayedUpstream

SIDE_BY_SIDE = 6  # conversations: enough to be quick, few enough for any rate limit
BODY_BYTES = 2**19  # of one answer; no scene makes a tenth of it, and all fit in a recording
EXCHANGE_S = 90.0  # of one exchange, beside what the plan makes slow
RUN_S = 300.0  # of the whole run
WAIT_S = 60.0  # until the endpoint asks the scripted upstream: it may have found nobody before
_RETRY_S = 2.0
_LEAVE_S = 15.0  # until a client that is to leave leaves in any case
_DROP_S = 10.0  # until an upstream must have been left; its words last that long
_UPSTREAM_MISSING = "the upstream is not ours: see --upstream-listen"
_TOOLS_MISSING = "the endpoint runs no tools of its own"
_OUT_OF_TIME = "the run's time (--limit-s) was over"
_NOT_ASKED = (
    "The endpoint answered with status {status} and did not ask the scripted upstream: point its "
    "upstream at what --upstream-listen says, or leave that option out."
)
_WAITING = (
    "The endpoint answers with status {status} and does not ask the scripted upstream yet: it is "
    "asked again for up to {wait_s:.0f} s."
)
_NOTHING_TO_EXAMINE = {
    401: "The endpoint refuses the key (401): look at --key-file or the variable that holds it, or "
    "try --header-form bearer.",
    403: "The endpoint refuses the key (403): it may not use this model, or this endpoint.",
    404: "There is no Messages endpoint at {url} (404): look at --url and --model; "
    "`auxot-tools doctor --url {url}` says more.",
    405: "There is no Messages endpoint at {url} (405): look at --url.",
}


@dataclass
class Run:
    """One run. ``runs_tools``: whether the endpoint runs a tool; `None` looks first.

    ``sent_before`` holds requests of an earlier run, which are sent in place of new ones.
    ``on_done`` is told of each exchange that is over, ``on_wait`` once that the endpoint does not
    ask the scripted upstream yet.
    """

    plan: Plan
    endpoint: Endpoint
    upstream: PlayedUpstream | None = None
    runs_tools: bool | None = None
    sent_before: Mapping[str, Sent] = field(default_factory=dict)
    on_done: Callable[[Exchanged], None] = lambda _done: None
    on_wait: Callable[[str], None] = lambda _text: None
    limit_s: float = RUN_S
    wait_s: float = WAIT_S
    made_by: str = ""
    _done: dict[str, Exchanged] = field(default_factory=dict)
    _waiting: dict[str, "_Seen"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ``ConfigError`` when an earlier request would leave the endpoint."""
        self._redactor = Redactor([self.endpoint.key])
        for sent in self.sent_before.values():
            self.endpoint.url_of(sent.path)

    async def perform(self) -> Recording:
        """All exchanges. It ends within ``limit_s``, whatever the endpoint does.

        Raises ``ConfigError`` when there is nothing to examine: nobody answers at the URL, or the
        first good request is refused for its key or its path.
        """
        limits = ExactLimits(
            first_byte_s=EXCHANGE_S + self.plan.slow_s,
            idle_s=EXCHANGE_S + self.plan.slow_s,
            max_bytes=BODY_BYTES,
        )
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        with anyio.move_on_after(self.limit_s) as limit:
            async with ExactClient(limits) as client:
                await self._first(client)
                await self._all(client)
        if "plain" not in self._done:
            text = f"--url: no answer within {self.limit_s:g} s ({self.endpoint.base_url})."
            raise ConfigError([text])
        for exchange in BY_NAME.values():
            if exchange.name not in self._done:
                self._done[exchange.name] = self._unfinished(exchange)
        facts = Facts(
            url=self.endpoint.base_url,
            model=self.plan.model,
            run_id=self.plan.run_id,
            has_upstream=self.upstream is not None,
            runs_tools=bool(self.runs_tools),
            tool=self.plan.tool,
            quiet_s=self.plan.quiet_s,
            made_at=made_at,
            made_by=self.made_by,
            inputs=dict(self.plan.inputs),
            is_cut_short=limit.cancelled_caught,
        )
        return Recording(facts, {name: self._done[name] for name in BY_NAME})

    def _unfinished(self, exchange: Exchange) -> Exchanged:
        """An exchange when the run's time is over. One whose answer has begun, or whose client is
        to leave, shows nothing; one that was sent and has no answer failed.
        """
        seen = self._waiting.get(exchange.name)
        if seen is None or seen.answer is not None or exchange.ends is Ends.LEFT:
            return Exchanged(exchange.name, skipped=_OUT_OF_TIME)
        waited_s = time.monotonic() - seen.begun_at_s
        seen.failure = f"no answer after {waited_s:.0f} s, when {_OUT_OF_TIME}"
        return seen.exchanged(self._redactor)

    async def _first(self, client: ExactClient) -> None:
        """The first request: without its answer the others need not be tried.

        An endpoint that found no upstream before ours listened has a while to look again.
        """
        wait_s = min(self.wait_s, self.limit_s / 2)  # so that its end says what was waited for
        patient_until_s = time.monotonic() + wait_s
        for number in count():
            tried = await self._performed(client, BY_NAME["plain"])
            if tried.answer is None:
                raise ConfigError([f"--url: {tried.failure} ({self.endpoint.base_url})."])
            status = tried.answer.status
            if status in _NOTHING_TO_EXAMINE:
                url = f"{self.endpoint.base_url}{MESSAGES}"
                raise ConfigError([_NOTHING_TO_EXAMINE[status].format(url=url)])
            if self.upstream is None or tried.asked:
                break
            if status < 500 or time.monotonic() > patient_until_s:
                raise ConfigError([_NOT_ASKED.format(status=status)])
            if number == 0:
                self.on_wait(_WAITING.format(status=status, wait_s=wait_s))
            await anyio.sleep(min(_RETRY_S, wait_s))
        self._over(tried)

    async def _all(self, client: ExactClient) -> None:
        if self.runs_tools is None:
            self.runs_tools = True
            await self._perform(client, BY_NAME["tool"])
            self.runs_tools = self._has_run(self._done["tool"])
            if not self.runs_tools:
                self._done["tool"] = Exchanged("tool", skipped=_TOOLS_MISSING)
        places = anyio.Semaphore(SIDE_BY_SIDE)
        async with anyio.create_task_group() as tasks:
            for chain in _longest_first(conversations()):
                tasks.start_soon(self._converse, client, chain, places)

    async def _converse(
        self, client: ExactClient, chain: list[Exchange], places: anyio.Semaphore
    ) -> None:
        async with places:
            for exchange in chain:
                if exchange.name not in self._done:
                    await self._perform(client, exchange)

    def _has_run(self, tried: Exchanged) -> bool:
        """Whether the endpoint runs tools: only a whole message without a call that was run says
        that it does not. After anything else it is examined as one that does, and fails as such.
        """
        content = (message_in(tried) or {}).get("content")
        if not isinstance(content, list) or (tried.answer is not None and tried.answer.broke_off):
            return True
        if tried.asked is not None:
            return any(_holds_result(asked.body) for asked in tried.asked)
        return any(isinstance(b, dict) and is_shown_call(b.get("type")) for b in content)

    # -- one exchange ----------------------------------------------------------------------------

    async def _perform(self, client: ExactClient, exchange: Exchange) -> None:
        self._over(await self._performed(client, exchange))

    async def _performed(self, client: ExactClient, exchange: Exchange) -> Exchanged:
        sent: Sent | str = self._missing(exchange)
        if not sent:
            sent = self._request(exchange)
        if isinstance(sent, str):
            return Exchanged(exchange.name, skipped=sent)
        return await self._exchange(client, exchange, sent)

    def _over(self, exchanged: Exchanged) -> None:
        self._done[exchanged.name] = exchanged
        self.on_done(exchanged)

    def _missing(self, exchange: Exchange) -> str:
        """Why it cannot be performed here; empty when it can."""
        for need in exchange.needs:
            if need == "upstream" and self.upstream is None:
                return _UPSTREAM_MISSING
            if need == "tools" and not self.runs_tools:
                return _TOOLS_MISSING
            if need in INPUT_KINDS and need not in self.plan.inputs:
                return f"there is no input {need!r} for {self.plan.tool}: see --tool-inputs"
        return ""

    def _request(self, exchange: Exchange) -> Sent | str:
        before = self.sent_before.get(exchange.name)
        if before is not None and not exchange.follows:
            return before
        return exchange.build(self.plan, self._done)

    async def _exchange(self, client: ExactClient, exchange: Exchange, sent: Sent) -> Exchanged:
        scene = exchange.scene or exchange.name
        since = self.upstream.begin(scene) if self.upstream is not None else 0
        begun_at_s = time.monotonic()
        seen = self._waiting[exchange.name] = _Seen(exchange.name, sent, begun_at_s)
        if exchange.ends is Ends.LEFT:
            await self._leave(client, exchange, seen, since)
        else:
            await self._send(client, exchange, seen)
        asked = None
        if self.upstream is not None:
            asked = self.upstream.asked(scene, since, begun_at_s)
        return replace(seen.exchanged(self._redactor), asked=asked)

    async def _send(self, client: ExactClient, exchange: Exchange, seen: "_Seen") -> None:
        """Send it and take in what comes, bounded."""
        sent, begun_at_s = seen.sent, seen.begun_at_s
        headers = {**self.endpoint.headers(exchange.auth, self.plan.run_id), **sent.headers}
        body = None if sent.body is None else _body_bytes(sent.body)
        if body is None:
            del headers["content-type"]
        url = self.endpoint.url_of(sent.path)
        try:
            with anyio.fail_after(EXCHANGE_S + self.plan.slow_s):
                async with client.send(sent.method, url, headers, body) as answer:
                    seen.answer = Answer(answer.status, answer.at_s, answer.headers)
                    async for piece in answer.pieces():
                        seen.pieces.append(Piece(piece.data, piece.at_s))
        except (ExchangeFailed, TimeoutError) as error:
            took_s = time.monotonic() - begun_at_s
            kind = error if isinstance(error, AuxotError) else f"no end after {took_s:.0f} s"
            seen.failure = self._redactor.text(str(kind))
        seen.ended_at_s = time.monotonic() - begun_at_s

    async def _leave(
        self, client: ExactClient, exchange: Exchange, seen: "_Seen", since: int
    ) -> None:
        """Drop the connection in the middle, and give the endpoint time to show what it does."""
        upstream, begun_at_s = self.upstream, time.monotonic()
        if upstream is None:
            raise RuntimeError("an exchange that needs an upstream was begun without one")
        in_call = "tools" in exchange.needs

        async def watch(scope: anyio.CancelScope) -> None:
            with anyio.move_on_after(_LEAVE_S):
                await upstream.until(exchange.name, since, ended=in_call)
                await anyio.sleep(self.plan.look_s)
            seen.left_at_s = time.monotonic() - begun_at_s
            scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch, tasks.cancel_scope)
            await self._send(client, exchange, seen)
            tasks.cancel_scope.cancel()
        seen.ended_at_s = time.monotonic() - begun_at_s
        if in_call:
            await anyio.sleep(self.plan.hold_s + self.plan.settle_s)
            return
        with anyio.move_on_after(_DROP_S):
            await upstream.until(exchange.name, since, ended=True)


@dataclass
class _Seen:
    """What is known of an exchange so far."""

    name: str
    sent: Sent
    begun_at_s: float  # of the clock
    answer: Answer | None = None
    pieces: list[Piece] = field(default_factory=list)
    failure: str = ""
    ended_at_s: float = 0.0
    left_at_s: float | None = None

    def exchanged(self, redactor: Redactor) -> Exchanged:
        answer, failure = self.answer, self.failure
        if answer is None and self.left_at_s is not None:  # we left before the status
            answer, failure = Answer(0, self.left_at_s, {}), ""
        if answer is not None:
            answer = replace(
                answer,
                at_s=round(answer.at_s, 4),
                headers={name: redactor.text(value) for name, value in answer.headers.items()},
                pieces=redactor.pieces(self.pieces),
                broke_off=failure,
                ended_at_s=round(self.ended_at_s, 4),
            )
            failure = ""
        body = redactor.value(self.sent.body)
        sent = replace(self.sent, body=body)
        return Exchanged(self.name, sent, answer, failure, left_at_s=self.left_at_s)


def _body_bytes(body: Any) -> bytes:
    return body.encode("utf-8", "replace") if isinstance(body, str) else json.dumps(body).encode()


def _holds_result(body: Any) -> bool:
    return '"tool_result"' in json.dumps(body)


_SLOW = ("slow-tool-stream", "slow-upstream-stream", "round-limit-stream", "leaves-in-stream")


def _longest_first(chains: list[list[Exchange]]) -> list[list[Exchange]]:
    """The slow ones begin at once, so that the run takes no longer than it must."""
    return sorted(chains, key=lambda chain: chain[0].name not in _SLOW)
