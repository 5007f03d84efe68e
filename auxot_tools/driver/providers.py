"""The providers of models, in the operator's order: which one serves a request, and which is next.

One job: from the model that a client names to an upstream that answers. A provider is changed only
before the first byte of a conversation's first round; from then on it stays, as thinking blocks
are bound to who wrote them. Must not know HTTP, loops or tools.
"""

import logging
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import anyio

from auxot_tools.driver.health import Health
from auxot_tools.errors import (
    AuxotError,
    DeadlineExceeded,
    NotFound,
    Overloaded,
    RemoteProtocolError,
    Unavailable,
    UpstreamError,
)
from auxot_tools.loop.splice import with_model
from auxot_tools.messages.request import AUTO_MODEL
from auxot_tools.ports import ModelResponse, ModelServer

logger = logging.getLogger(__name__)

PROBE_S = 5.0  # a server that is well lists its models within this time
OFFLINE_PROBE_S = 2.0  # between probes of a provider that is offline
MAX_LISTED = 1000  # models of one provider that are kept of its own list
# Answers after which another provider may do better, given before any work: it is busy, does not
# know the model, or refuses our key. Everything else is about the request itself, or may have cost.
_TRY_NEXT = frozenset({401, 403, 404, 429, 502, 503, 529})
# ... and those which say something of the provider: a request may bring about the others.
_FAULTS = frozenset({401, 502, 503, 504, 529})


_FAILURES = (UpstreamError, Unavailable, DeadlineExceeded, RemoteProtocolError)
_NO_AUTO = "model: auto: no provider names a model for it, in its models, model_map or own list"


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider. `models` are names or patterns (`*`, `?`) of what it serves.

    `model_map` says, in order, which of its models stands for a name that a client uses, for
    example `claude-opus-*`; `*` gives a default. `address` is for the operator's log alone.
    """

    name: str
    server: ModelServer
    models: Sequence[str] = ("*",)
    model_map: Mapping[str, str] = field(default_factory=dict)
    probe_interval_s: float = 0.0  # 0: never
    address: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.address})" if self.address else self.name

    def model_for(self, asked: str) -> str | None:
        """What to ask this provider for; `None` when it does not serve that model."""
        for pattern, model in self.model_map.items():
            if _fits(asked, pattern):
                return model
        if asked == AUTO_MODEL:
            return next(self.named_models(), None)
        return asked if any(_fits(asked, pattern) for pattern in self.models) else None

    def named_models(self) -> Iterator[str]:
        """The names that clients may use, as far as they are no patterns."""
        for name in (*self.models, *self.model_map):
            if not set(name) & set("*?"):
                yield name
        yield from (name for name in self.model_map.values() if self._is_asked_for(name))

    def _is_asked_for(self, name: str) -> bool:
        """Whether a client that uses this name gets this model."""
        return (
            next((to for pattern, to in self.model_map.items() if _fits(name, pattern)), "") == name
        )


@dataclass(eq=False, slots=True)
class _Standing:
    """A provider, how it is, and what it listed when it was last probed."""

    provider: Provider
    health: Health = field(default_factory=Health)
    listed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ProviderState:
    """What is told of a provider: `reason` says why it is not asked, and is empty while it is."""

    name: str
    is_online: bool
    reason: str


class Providers:
    """All providers. `watch` keeps an eye on them; without it only requests tell how they are."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._all = [_Standing(provider) for provider in providers]

    def route(self, model: str) -> "Route":
        """The way of one conversation. Raises `NotFound`, and `Overloaded` with none online."""
        able = [one for one in self._all if self._model_for(one, model) is not None]
        if not able:
            raise NotFound(_NO_AUTO if model == AUTO_MODEL else f"model: {model}")
        online = [one for one in able if one.health.is_online]
        if not online:
            raise _offline(able)
        # One that failed lately is asked when nobody else is left: it may be well again.
        online.sort(key=lambda one: one.health.is_doubtful)
        return Route(model, [(one, self._model_for(one, model) or model) for one in online])

    def serves(self, model: str) -> bool:
        """Whether any provider, online or not, serves this model."""
        return any(self._model_for(one, model) is not None for one in self._all)

    def models(self) -> Sequence[str]:
        """The ids that a client may ask for: named ones first, then what providers listed."""
        named = (name for one in self._all for name in one.provider.named_models())
        listed = (
            name for one in self._all for name in one.listed if one.provider.model_for(name) == name
        )
        found = dict.fromkeys([*named, *listed])
        if any(self._model_for(one, AUTO_MODEL) is not None for one in self._all):
            found.setdefault(AUTO_MODEL)
        return tuple(found)

    def states(self) -> Sequence[ProviderState]:
        """How the providers are, in order."""
        return [
            ProviderState(one.provider.name, one.health.is_online, _reason(one))
            for one in self._all
        ]

    async def probe(self) -> None:
        """Probe every provider that is to be probed, once, side by side. Bounded by `PROBE_S`."""
        async with anyio.create_task_group() as tasks:
            for one in self._watched():
                tasks.start_soon(_probe, one)

    async def watch(self) -> None:
        """Probe them now and then, for as long as this is not cancelled."""
        async with anyio.create_task_group() as tasks:
            for one in self._watched():
                tasks.start_soon(_watch, one)

    def _watched(self) -> Sequence[_Standing]:
        return [one for one in self._all if one.provider.probe_interval_s]

    @staticmethod
    def _model_for(one: _Standing, asked: str) -> str | None:
        model = one.provider.model_for(asked)
        if model is None and asked == AUTO_MODEL:
            served = (name for name in one.listed if one.provider.model_for(name) is not None)
            return next(served, None)
        return model


class Route:
    """The upstream of one conversation: a `ModelClient` that settles on a provider once.

    Its first `send` goes through the candidates in order; the one that answers stays.
    """

    def __init__(self, model: str, candidates: Sequence[tuple[_Standing, str]]) -> None:
        self._model = model
        self._candidates = candidates
        self._is_settled = False

    @property
    def provider(self) -> str:
        """The name of the provider that it settled on; empty before."""
        return self._candidates[0][0].provider.name if self._is_settled else ""

    def prefer(self, provider: str) -> None:
        """Ask this provider first: what it wrote earlier may be bound to it."""
        self._candidates = sorted(
            self._candidates, key=lambda candidate: candidate[0].provider.name != provider
        )

    @asynccontextmanager
    async def send(
        self, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> AsyncGenerator[ModelResponse, None]:
        """See `ports.ModelClient.send`; `Overloaded` when no candidate can be reached."""
        async with AsyncExitStack() as stack:
            one, response = await self._first_answer(stack, body, headers, query)
            try:
                yield response
            except RemoteProtocolError as error:
                one.health.failed(str(error))
                raise
            one.health.succeeded()

    async def count_tokens(
        self, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> int | None:
        """See `ports.ModelServer.count_tokens`; the first candidate alone is asked."""
        one, wanted = self._candidates[0]
        asked = with_model(body, self._model, wanted)
        return await one.provider.server.count_tokens(asked, headers, query)

    async def _first_answer(
        self, stack: AsyncExitStack, body: bytes, headers: Mapping[str, str], query: str
    ) -> tuple[_Standing, ModelResponse]:
        refusal: AuxotError | None = None
        for one, wanted in self._candidates:
            if not self._is_settled and not one.health.is_online:
                continue  # not any more
            asked = with_model(body, self._model, wanted)
            one.health.asked()
            try:
                sent = one.provider.server.send(asked, headers, query)
                response = await stack.enter_async_context(sent)
            except _FAILURES as error:
                _note(one, error)
                if not _is_for_the_next(error):
                    raise
                refusal = refusal if isinstance(refusal, UpstreamError) else error
                logger.warning("provider %s did not serve: %s", one.provider, error)
            else:
                self._candidates, self._is_settled = [(one, wanted)], True
                return one, response
            finally:
                one.health.trial_is_over()
        if isinstance(refusal, UpstreamError):
            raise refusal
        raise _offline([one for one, _ in self._candidates])


def _fits(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern with `*` and `?`; brackets are only brackets."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _is_for_the_next(error: AuxotError) -> bool:
    if isinstance(error, UpstreamError):
        return error.status in _TRY_NEXT
    return isinstance(error, Unavailable)  # one that was reached may be at work


def _note(one: _Standing, error: AuxotError) -> None:
    if isinstance(error, UpstreamError) and error.status not in _FAULTS:
        one.health.succeeded()
    else:
        one.health.failed(str(error), was_reached=not isinstance(error, Unavailable))


def _offline(able: Sequence[_Standing]) -> Overloaded:
    reasons = "; ".join(f"{one.provider.name}: {one.health.reason or 'offline'}" for one in able)
    return Overloaded(f"No provider of this model is online ({reasons})")


def _reason(one: _Standing) -> str:
    return "" if one.health.is_online else one.health.reason


async def _watch(one: _Standing) -> None:
    while True:
        interval_s = one.provider.probe_interval_s
        await anyio.sleep(interval_s if one.health.is_online else min(interval_s, OFFLINE_PROBE_S))
        await _probe(one)


async def _probe(one: _Standing) -> None:
    was_online = one.health.is_online
    problem, was_reached = f"it did not answer a probe within {PROBE_S:g} s", True
    with anyio.move_on_after(PROBE_S):
        try:
            one.listed = tuple(await one.provider.server.list_models())[:MAX_LISTED]
            problem = ""
        except Unavailable as error:
            problem, was_reached = str(error), False
        except AuxotError as error:
            problem = str(error)
    one.health.probed(problem, was_reached=was_reached)
    if one.health.is_online != was_online:
        state = "online" if one.health.is_online else f"offline: {problem}"
        logger.warning("provider %s is %s", one.provider, state)
