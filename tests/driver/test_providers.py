"""Providers in their order: which one a model goes to, and when the next one is asked."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from auxot_tools.driver.health import FAILURES_TO_OPEN
from auxot_tools.driver.providers import Provider, Providers, Route
from auxot_tools.errors import (
    AuxotError,
    DeadlineExceeded,
    NotFound,
    Overloaded,
    RemoteProtocolError,
    Unavailable,
    UpstreamError,
)
from auxot_tools.loop.splice import UpstreamBody
from auxot_tools.ports import ModelResponse
from tests.support.fake_model_server import Answer
from tests.support.fake_model_server import FakeModelServer as Server
from tests.support.turns import request

pytestmark = pytest.mark.anyio

HEADERS = {"anthropic-beta": "b"}


def refused(status: int, words: str = "in its own words") -> UpstreamError:
    return UpstreamError(status, words.encode(), "text/plain", {"retry-after": "3"})


def provider(server: Server, **more: Any) -> Provider:
    return Provider(server.name, server, **more)


def one(**more: Any) -> Provider:
    return provider(Server(), **more)


def body_for(model: str) -> bytes:
    return UpstreamBody(request(model=model), []).render(9, {})


async def send(route: Route, model: str) -> str:
    """Who answered."""
    async with route.send(body_for(model), HEADERS, "beta=true") as response:
        return response.headers["from"]


async def ask(providers: Providers, model: str = "m") -> str:
    """Who answered the first round of a new conversation."""
    return await send(providers.route(model), model)


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "asked", "is_served"),
    [
        (("*",), "anything", True),
        (("qwen-*", "llama-?b"), "qwen-72b", True),
        (("qwen-*", "llama-?b"), "llama-8b", True),
        (("qwen-*", "llama-?b"), "llama-70b", False),
        (("exact",), "exact", True),
        (("exact",), "Exact", False),
        (("org/model:1",), "org/model:1", True),
    ],
)
def test_models_are_names_and_patterns_of_star_and_question_mark(
    models: tuple[str, ...], asked: str, is_served: bool
) -> None:
    found = one(models=models)
    assert found.model_for(asked) == (asked if is_served else None)
    assert Providers([found]).serves(asked) is is_served


def test_square_brackets_in_a_name_are_no_pattern() -> None:
    found = one(models=("model[1m]",), model_map={"claude-x[1m]": "big"})
    asked = ("model[1m]", "modelm", "claude-x[1m]", "claude-xm")
    assert [found.model_for(name) for name in asked] == ["model[1m]", None, "big", None]


CLAUDE = {"claude-opus-*": "big", "claude-*haiku*": "small", "claude-*": "medium"}


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("claude-opus-4-8", "big"),
        ("claude-opus-4-8-20260401", "big"),
        ("claude-haiku-4-5", "small"),
        ("claude-3-5-haiku-20241022", "small"),
        ("claude-sonnet-5", "medium"),
        ("gpt-9", None),
    ],
)
def test_the_first_pattern_of_the_map_that_fits_says_what_the_provider_is_asked_for(
    asked: str, wanted: str | None
) -> None:
    assert one(models=("big", "medium", "small"), model_map=CLAUDE).model_for(asked) == wanted


def test_a_star_at_the_end_of_the_map_is_the_default_and_one_before_hides_what_follows() -> None:
    assert one(model_map={**CLAUDE, "*": "default"}).model_for("gpt-9") == "default"
    assert one(model_map={"*": "default", **CLAUDE}).model_for("claude-opus-4-8") == "default"


def test_a_map_comes_before_the_models() -> None:
    assert one(models=("a",), model_map={"a": "b"}).model_for("a") == "b"


async def test_a_provider_is_asked_for_its_own_name_of_the_model_and_nothing_else_changes() -> None:
    seen: list[bytes] = []

    class Noting(Server):
        @asynccontextmanager
        async def send(
            self, body: bytes, headers: Mapping[str, str], query: str = ""
        ) -> AsyncGenerator[ModelResponse, None]:
            assert (headers, query) == (HEADERS, "beta=true")
            seen.append(body)
            yield Answer("s")

    await ask(Providers([provider(Noting(), model_map={"claude-*": "big"})]), "claude-opus-4-8")
    before = body_for("claude-opus-4-8")
    assert seen == [before.replace(b'"claude-opus-4-8"', b'"big"', 1)]


async def test_a_name_in_any_script_is_mapped_also_beside_numbers_that_json_writers_fear() -> None:
    odd = UpstreamBody(request(model="modèle", metadata={"n": 2**70}), []).render(9, {})
    server = Server()
    route = Providers([provider(server, model_map={"*": "big"})]).route("modèle")
    async with route.send(odd, HEADERS):
        assert server.asked == ["big"]


def test_a_model_that_nobody_serves_is_not_found_by_name() -> None:
    providers = Providers([one(models=("a",)), one(models=("b-*",))])
    with pytest.raises(NotFound, match="model: gpt-9"):
        providers.route("gpt-9")
    assert not providers.serves("gpt-9")


# -- the order -----------------------------------------------------------------------------------


async def test_the_first_in_order_that_serves_a_model_is_asked_alone() -> None:
    other, first, second = Server("other"), Server("first"), Server("second")
    providers = Providers(
        [provider(other, models=("x",)), provider(first), provider(second, model_map={"*": "z"})]
    )
    assert await ask(providers) == "first"
    assert (other.asked, first.asked, second.asked) == ([], ["m"], [])


@pytest.mark.parametrize("status", [401, 403, 404, 429, 502, 503, 529])
async def test_a_refusal_that_says_something_of_the_provider_goes_to_the_next(status: int) -> None:
    first, second = Server("first", refused(status)), Server("second")
    providers = Providers([provider(first, model_map={"*": "a"}), provider(second)])
    assert await ask(providers) == "second"
    assert (first.asked, second.asked) == (["a"], ["m"])


@pytest.mark.parametrize("status", [301, 400, 402, 405, 408, 409, 413, 422, 451, 500, 504])
async def test_a_refusal_of_the_request_or_of_work_already_done_is_told_at_once(
    status: int,
) -> None:
    first, second = Server("first", refused(status)), Server("second")
    with pytest.raises(UpstreamError) as caught:
        await ask(Providers([provider(first), provider(second)]))
    assert caught.value.status == status
    assert second.asked == []


async def test_a_provider_that_cannot_be_reached_goes_to_the_next() -> None:
    first, second = Server("first", Unavailable("it is down")), Server("second")
    assert await ask(Providers([provider(first), provider(second)])) == "second"


async def test_one_that_was_reached_and_says_nothing_may_be_at_work_and_is_not_replaced() -> None:
    first, second = Server("first", DeadlineExceeded("no answer in time")), Server("second")
    with pytest.raises(DeadlineExceeded):
        await ask(Providers([provider(first), provider(second)]))
    assert second.asked == []


async def test_when_all_refuse_the_first_refusal_is_told_with_its_status_and_wording() -> None:
    errors = [Unavailable("down"), refused(529, "busy"), refused(503, "broken")]
    providers = Providers([provider(Server(f"s{n}", error)) for n, error in enumerate(errors)])
    with pytest.raises(UpstreamError) as caught:
        await ask(providers)
    assert (caught.value.status, caught.value.body) == (529, b"busy")
    assert caught.value.headers == {"retry-after": "3"}


async def test_when_none_can_be_reached_it_is_said_of_each_why() -> None:
    servers = [Server("a", Unavailable("no route")), Server("b", Unavailable("it is down"))]
    with pytest.raises(Overloaded, match=r"a: no route; b: it is down"):
        await ask(Providers([*map(provider, servers)]))


# -- one conversation ----------------------------------------------------------------------------


async def test_the_provider_that_answered_stays_for_later_rounds() -> None:
    first, second = Server("first", refused(529)), Server("second")
    route = Providers([provider(first), provider(second)]).route("m")
    assert await send(route, "m") == "second"
    first.error = None
    assert [await send(route, "m") for _ in range(3)] == ["second"] * 3
    assert len(first.asked) == 1


@pytest.mark.parametrize("error", [refused(529), refused(401), Unavailable("it is down")])
async def test_a_provider_that_fails_in_a_later_round_is_not_replaced(error: AuxotError) -> None:
    first, second = Server("first"), Server("second")
    route = Providers([provider(first), provider(second)]).route("m")
    assert await send(route, "m") == "first"
    first.error = error
    with pytest.raises((UpstreamError, Overloaded)):
        await send(route, "m")
    assert second.asked == []


async def test_an_answer_that_breaks_off_is_raised_and_nobody_else_is_asked() -> None:
    first, second = Server("first"), Server("second")
    route = Providers([provider(first), provider(second)]).route("m")
    with pytest.raises(RemoteProtocolError):
        async with route.send(body_for("m"), HEADERS):
            raise RemoteProtocolError("the upstream's answer broke off")
    assert second.asked == []


async def test_tokens_are_counted_by_the_first_candidate_under_its_own_name() -> None:
    first, second = Server("first"), Server("second")
    providers = Providers([provider(first, model_map={"*": "a"}), provider(second)])
    assert await providers.route("m").count_tokens(body_for("m"), HEADERS) == 7
    assert (first.asked, second.asked) == (["a"], [])


# -- the breaker ---------------------------------------------------------------------------------


async def fail(providers: Providers, times: int = FAILURES_TO_OPEN) -> None:
    for _ in range(times):
        with pytest.raises(AuxotError):
            await ask(providers)


async def test_after_failures_in_a_row_one_that_cannot_be_reached_is_left_alone() -> None:
    error = Unavailable("x")
    server = Server("s", error)
    providers = Providers([provider(server)])
    await fail(providers)
    server.error = None
    with pytest.raises(Overloaded, match=r"No provider of this model is online \(s: .+\)"):
        providers.route("m")
    assert len(server.asked) == FAILURES_TO_OPEN
    (state,) = providers.states()
    assert (state.name, state.is_online, state.reason) == ("s", False, str(error))


@pytest.mark.parametrize("error", [*map(refused, (401, 502, 503, 504, 529)), DeadlineExceeded("x")])
async def test_after_failures_in_a_row_one_that_is_reached_is_asked_after_the_others(
    error: AuxotError,
) -> None:
    first, second = Server("first", error), Server("second")
    alone, both = Providers([provider(first)]), Providers([provider(first), provider(second)])
    await fail(alone)
    assert alone.states()[0].is_online
    both._all[0].health = alone._all[0].health
    assert await ask(both) == "second"
    first.error = None
    assert await ask(alone) == "first"


@pytest.mark.parametrize("status", [400, 403, 404, 408, 413, 429, 500])
async def test_refusals_of_requests_leave_a_provider_online(status: int) -> None:
    providers = Providers([provider(Server("s", refused(status)))])
    await fail(providers, 2 * FAILURES_TO_OPEN)
    assert [(state.is_online, state.reason) for state in providers.states()] == [(True, "")]


async def test_answers_that_break_off_count_as_failures() -> None:
    providers = Providers([one()])
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(RemoteProtocolError, match="broke off"):
            async with providers.route("m").send(body_for("m"), HEADERS):
                raise RemoteProtocolError("it broke off")
    assert providers._all[0].health.is_doubtful


async def test_an_answer_counts_as_a_success_once_it_has_ended() -> None:
    server = Server("s", Unavailable("x"))
    providers = Providers([provider(server)])
    await fail(providers, FAILURES_TO_OPEN - 1)
    server.error = None
    assert await ask(providers) == "s"
    server.error = Unavailable("x")
    await fail(providers, FAILURES_TO_OPEN - 1)
    assert providers.states()[0].is_online


async def test_a_provider_that_is_left_alone_costs_the_next_conversation_nothing() -> None:
    first, second = Server("first", refused(503)), Server("second")
    providers = Providers([provider(first), provider(second)])
    for _ in range(FAILURES_TO_OPEN + 2):
        assert await ask(providers) == "second"
    assert len(first.asked) == FAILURES_TO_OPEN


async def test_a_client_that_leaves_says_nothing_of_the_provider() -> None:
    server = Server()
    server.until = anyio.Event()
    providers = Providers([provider(server)])
    for _ in range(2 * FAILURES_TO_OPEN):
        with anyio.move_on_after(0):
            await ask(providers)
    assert len(server.asked) == 2 * FAILURES_TO_OPEN
    assert providers.states()[0].is_online
