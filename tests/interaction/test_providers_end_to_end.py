"""Several providers behind one router, over real HTTP, with the official SDK as the client."""

import json
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import anyio
import pytest

from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import (
    Faults,
    HttpFault,
    Scenario,
    TextBlock,
    ToolUseBlock,
    Turn,
)
from auxot_tools.scripted.server import scripted_app
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.hub import Hub
from tests.support.running import Router, http_model, running_router

pytestmark = pytest.mark.anyio

ASKED: dict[str, Any] = {
    "model": "claude-opus-4-8",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi"}],
}
DOWN = "http://127.0.0.1:9"
CALL = Turn(blocks=(ToolUseBlock(id="toolu_1", name="echo"),), stop_reason="tool_use")


def says(words: str, **more: Any) -> Turn:
    return Turn(blocks=(TextBlock(text=words),), **more)


def fault(status: int, kind: str, words: str = "in its own words") -> Turn:
    refusal = HttpFault(status=status, error_type=kind, message=words)
    return Turn(faults=Faults(http=refusal), headers={"retry-after": "3"})


@dataclass
class Served:
    """A scripted upstream on a socket; `peers` are the connections that were made to it."""

    model: ScriptedModel
    options: dict[str, Any] = field(default_factory=dict)
    status: int = 0  # answers everything with it, when it is not 0
    peers: set[Any] = field(default_factory=set)
    posts: int = 0
    probes: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.peers.add(tuple(scope["client"]))
        self.posts += scope["method"] == "POST"
        self.probes += scope["method"] == "GET"
        if self.status:
            await send({"type": "http.response.start", "status": self.status, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await scripted_app(self.model)(scope, receive, send)

    @property
    def asked_models(self) -> list[str]:
        return [json.loads(body)["model"] for body in self.model.requests]


def served(*turns: Turn, models: Sequence[str] = ("scripted",), **options: Any) -> Served:
    script = Scenario(turns=turns, after_last="repeat")
    return Served(ScriptedModel(script, models=models), options=options)


def served_by_round(*turns: Turn) -> Served:
    script = Scenario(turns=turns, select="by_round", after_last="repeat")
    return Served(ScriptedModel(script))


@dataclass(frozen=True)
class Running:
    router: Router
    providers: Providers
    client: anthropic.AsyncAnthropic

    async def words(self, **changes: Any) -> str:
        """The words of one answer."""
        message = await self.client.messages.create(**ASKED | changes)
        return "".join(block.text for block in message.content if block.type == "text")

    async def streamed(self, **changes: Any) -> anthropic.types.Message:
        async with self.client.messages.stream(**ASKED | changes) as events:
            return await events.get_final_message()


HUB = Hub()


@pytest.fixture(scope="module", autouse=True)
def hub() -> Iterator[None]:
    with HUB.serve():
        yield


@asynccontextmanager
async def running(
    tmp_path: Path, *upstreams: Served | str, probing: bool = False, **more: Any
) -> AsyncGenerator[Running, None]:
    """A router over these upstreams, in this order; a text is an address where nobody is."""
    async with AsyncExitStack() as stack:
        found = []
        for number, one in enumerate(upstreams):
            options: dict[str, Any] = {"probe_interval_s": 3600.0 if probing else 0.0}
            url = HUB.url_of(one) if isinstance(one, Served) else one
            options |= one.options if isinstance(one, Served) else {}
            server = await stack.enter_async_context(http_model(url))
            found.append(Provider(f"p{number}", server, **options))
        providers = Providers(found)
        await providers.probe()
        options = {"providers": providers, **more}
        unused = ScriptedModel(Scenario(turns=(says("unused"),)))
        router = await stack.enter_async_context(
            running_router(tmp_path, unused, FakeDispatcher(), **options)
        )
        yield Running(router, providers, await router.client())


# -- failover ------------------------------------------------------------------------------------


async def test_when_the_first_is_down_the_second_answers(tmp_path: Path) -> None:
    async with running(tmp_path, DOWN, served(says("second"))) as it:
        assert await it.words() == "second"


async def test_when_the_first_ones_refuse_the_next_answers(tmp_path: Path) -> None:
    busy, locked = served(fault(529, "overloaded_error")), served(fault(401, "x"))
    third = served(says("third"))
    async with running(tmp_path, busy, locked, third) as it:
        assert await it.words() == "third"
        assert [block.type for block in (await it.streamed()).content] == ["text"]
    assert (busy.posts, locked.posts, third.posts) == (2, 2, 2)


async def test_the_second_gets_the_same_request_but_for_its_models_name(tmp_path: Path) -> None:
    first = served(fault(503, "api_error"), model_map={"*": "mapped"})
    second = served(says("second"))
    async with running(tmp_path, first, second) as it:
        await it.words()
    (refused,), (taken,) = first.model.requests, second.model.requests
    assert refused.replace(b'"mapped"', b'"claude-opus-4-8"', 1) == taken


async def test_a_refusal_of_the_request_reaches_the_client_and_nobody_else(tmp_path: Path) -> None:
    first, second = served(fault(400, "invalid_request_error")), served(says("second"))
    async with running(tmp_path, first, second) as it:
        with pytest.raises(anthropic.BadRequestError, match="in its own words"):
            await it.words()
    assert second.posts == 0


async def test_when_all_refuse_the_client_hears_the_first_in_its_own_words(tmp_path: Path) -> None:
    first = served(fault(429, "rate_limit_error", "too many tokens today"))
    async with running(tmp_path, DOWN, first, served(fault(503, "api_error", "broken"))) as it:
        with pytest.raises(anthropic.RateLimitError, match="too many tokens today") as caught:
            await it.words()
    assert caught.value.response.headers["retry-after"] == "3"


async def test_with_no_provider_online_it_is_a_529_at_once_that_asks_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, DOWN, DOWN, probing=True) as it:
        begun = time.monotonic()
        with pytest.raises(anthropic.OverloadedError, match="No provider of this model") as caught:
            await it.words()
        assert time.monotonic() - begun < 2
    assert "the upstream cannot be reached" in str(caught.value)
    assert int(caught.value.response.headers["retry-after"]) <= 2


async def test_a_provider_that_comes_back_is_asked_again(tmp_path: Path) -> None:
    first = served(says("first"))
    first.status = 503
    async with running(tmp_path, first, served(says("second")), probing=True) as it:
        assert await it.words() == "second"
        first.status = 0
        await it.providers.probe()
        assert await it.words() == "first"


async def test_any_answer_to_a_probe_shows_that_it_is_there_and_an_error_that_it_is_not_well(
    tmp_path: Path,
) -> None:
    is_well = {401: True, 403: True, 404: True, 405: True, 429: True, 500: False, 503: False}
    odd = [served(says("hello")) for _ in is_well]
    for upstream, status in zip(odd, is_well, strict=True):
        upstream.status = status
    async with running(tmp_path, *odd, DOWN, probing=True) as it:
        health = [one.health for one in it.providers._all]
    assert [one.is_online for one in health] == [True] * len(odd) + [False]
    assert [not one.is_doubtful for one in health[:-1]] == [*is_well.values()]
    assert [upstream.probes for upstream in odd] == [1] * len(odd)


# -- one provider for one conversation -----------------------------------------------------------


@pytest.mark.parametrize("refusal", [fault(529, "overloaded_error", "busy now"), None])
async def test_a_provider_that_dies_in_its_second_round_is_not_replaced(
    tmp_path: Path, refusal: Turn | None
) -> None:
    cut = Turn(faults=Faults(cut_after_events=0))
    first, second = served_by_round(CALL, refusal or cut), served(says("second"))
    async with running(tmp_path, first, second) as it:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await it.words()
    assert caught.value.status_code == (529 if refusal else 502)
    assert (first.posts, second.posts) == (2, 0)


async def test_rounds_of_a_conversation_stay_with_the_second_when_it_was_the_one_that_answered(
    tmp_path: Path,
) -> None:
    first = served(fault(529, "overloaded_error"), says("first"))
    second = served_by_round(CALL, says("done"))
    async with running(tmp_path, first, second) as it:
        assert await it.words() == "done"
    assert (first.posts, second.posts) == (1, 2)


async def test_a_death_in_mid_stream_is_an_error_event_and_nobody_else_is_asked(
    tmp_path: Path,
) -> None:
    dying = served(says("this is a long answer", faults=Faults(cut_after_events=4)))
    second = served(says("second"))
    kinds: list[str] = []

    async def read(client: anthropic.AsyncAnthropic) -> None:
        async with await client.messages.create(**ASKED, stream=True) as events:
            async for event in events:
                kinds.extend([event.type])

    async with running(tmp_path, dying, second) as it:
        with pytest.raises(anthropic.APIStatusError, match="broke off"):
            await read(it.client)
    assert kinds[0] == "message_start"
    assert "message_stop" not in kinds
    assert second.posts == 0


# -- names ---------------------------------------------------------------------------------------


async def test_the_upstream_sees_the_mapped_model_and_the_client_its_own(
    tmp_path: Path,
) -> None:
    names = {"claude-opus-*": "big", "claude-sonnet-*": "medium", "*": "small"}
    upstream = served(says("hello"), model_map=names)
    asked = ["claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5"]
    told = []
    async with running(tmp_path, upstream) as it:
        for model in asked:
            told.append((await it.streamed(model=model)).model)
            told.append((await it.client.messages.create(**ASKED | {"model": model})).model)
    assert told == [model for model in asked for _ in range(2)]
    assert upstream.asked_models == ["big", "big", "medium", "medium", "small", "small"]


async def test_every_round_asks_for_the_mapped_model(tmp_path: Path) -> None:
    upstream = served_by_round(CALL, says("done"))
    upstream.options = {"model_map": {"*": "big"}}
    async with running(tmp_path, upstream) as it:
        assert await it.words() == "done"
    assert upstream.asked_models == ["big", "big"]


async def test_auto_goes_to_the_first_that_is_well_and_the_answer_says_what_served(
    tmp_path: Path,
) -> None:
    upstream = served(says("hello", model="listed-1-2026"), models=("listed-1", "listed-2"))
    async with running(tmp_path, DOWN, upstream, probing=True) as it:
        streamed = await it.streamed(model="auto")
        whole = await it.client.messages.create(**ASKED | {"model": "auto"})
    assert [streamed.model, whole.model] == ["listed-1-2026"] * 2
    assert upstream.asked_models == ["listed-1"] * 2


async def test_a_model_that_nobody_serves_is_a_404_as_the_messages_api_has_it(
    tmp_path: Path,
) -> None:
    upstream = served(says("hello"))
    upstream.options = {"models": ("claude-*",)}
    async with running(tmp_path, upstream) as it:
        with pytest.raises(anthropic.NotFoundError) as caught:
            await it.words(model="gpt-9")
    assert json.loads(caught.value.response.content)["error"] == {
        "type": "not_found_error",
        "message": "model: gpt-9",
    }
    assert upstream.posts == 0


# -- connections ---------------------------------------------------------------------------------


async def test_one_request_after_the_other_goes_over_one_connection(tmp_path: Path) -> None:
    upstream = served_by_round(CALL, says("done"))
    async with running(tmp_path, upstream) as it:
        for number in range(5):
            message = await it.streamed(messages=[{"role": "user", "content": f"hi {number}"}])
            assert message.stop_reason == "end_turn"
    assert upstream.posts == 10
    assert len(upstream.peers) <= 3  # a pause of the machine may cost one


async def test_refusals_leave_their_connection_for_the_next_request(tmp_path: Path) -> None:
    busy, second = served(fault(429, "rate_limit_error")), served(says("second"))
    async with running(tmp_path, busy, second) as it:
        for _ in range(4):
            assert await it.words() == "second"
    assert (busy.posts, second.posts) == (4, 4)
    assert len(busy.peers) <= 2
    assert len(second.peers) <= 2


async def test_requests_side_by_side_take_as_many_connections_as_they_are(tmp_path: Path) -> None:
    upstream = served(says("hello"))
    async with running(tmp_path, upstream) as it:

        async def ask_three_times(name: str) -> None:
            for number in range(3):
                asked = [{"role": "user", "content": f"{name} {number}"}]
                assert await it.words(messages=asked) == "hello"

        async with anyio.create_task_group() as tasks:
            for name in "abcd":
                tasks.start_soon(ask_three_times, name)
    assert upstream.posts == 12
    assert len(upstream.peers) <= 6
