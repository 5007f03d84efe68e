"""Lists of models, counts of tokens, and every way to reach them: paths, keys, HEAD, web pages."""

import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import pytest

from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.scripted.model import ScriptedModel, count_words
from auxot_tools.scripted.scenario import Scenario, TextBlock, Turn
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.hub import Hub
from tests.support.running import KEY, Router, http_model, running_router

pytestmark = pytest.mark.anyio

HELLO = Scenario(turns=(Turn(blocks=(TextBlock(text="hello"),)),), after_last="repeat")
MESSAGES: Any = [{"role": "user", "content": "one two three"}]


def model(*names: str) -> ScriptedModel:
    return ScriptedModel(HELLO, models=names)


@asynccontextmanager
async def listing(
    tmp_path: Path, *names: str, **provider: Any
) -> AsyncGenerator[tuple[Router, anthropic.AsyncAnthropic], None]:
    """A router whose provider lists these models, and a strict client."""
    upstream = model(*names)
    options: dict[str, Any] = {"probe_interval_s": 3600.0, **provider}
    providers = Providers([Provider("p", upstream, **options)])
    await providers.probe()
    async with running_router(tmp_path, upstream, FakeDispatcher(), providers=providers) as router:
        yield router, await router.client(strict=True)


# -- models ----------------------------------------------------------------------------------------

NAMES = ("a", "org/b", "c:1", "d")


async def test_models_are_listed_with_strict_validation_and_page_by_page(tmp_path: Path) -> None:
    async with listing(tmp_path, *NAMES) as (_, client):
        whole = await client.models.list()
        one_by_one = [info async for info in client.models.list(limit=1)]
        backwards = [info.id async for info in client.models.list(limit=2, before_id="d")]
        beta = [info.id async for info in client.beta.models.list(limit=2)]
    ids = [*NAMES, "auto"]
    assert [info.id for info in whole.data] == ids
    assert (whole.first_id, whole.last_id, whole.has_more) == ("a", "auto", False)
    assert [info.id for info in one_by_one] == ids
    assert sorted(backwards) == ["a", "c:1", "org/b"]
    assert beta == ids
    (first, *_) = whole.data
    assert (first.type, first.display_name, first.lifecycle) == ("model", "a", "active")
    assert first.created_at.year == 1970


async def test_pages_begin_after_or_end_before_an_id(tmp_path: Path) -> None:
    async with listing(tmp_path, *NAMES) as (_, client):
        after = await client.models.list(after_id="org/b", limit=2)
        before = await client.models.list(before_id="d", limit=2)
        between = await client.models.list(after_id="a", before_id="d", limit=1)
        past_the_end = await client.models.list(after_id="auto")
    assert ([info.id for info in after.data], after.has_more) == (["c:1", "d"], True)
    assert ([info.id for info in before.data], before.has_more) == (["org/b", "c:1"], True)
    assert ([info.id for info in between.data], between.has_more) == (["org/b"], True)
    assert (past_the_end.data, past_the_end.has_more) == ([], False)
    assert (past_the_end.first_id, past_the_end.last_id) == (None, None)


async def test_a_page_that_cannot_be_is_a_400_that_names_the_parameter(tmp_path: Path) -> None:
    limits = ("limit=0", "limit=1001", "limit=", "limit=two", "limit=-1", "limit=%C2%B2")
    wrong = dict.fromkeys(limits, "limit: ")
    wrong["after_id=none"] = "after_id: there is no model none"
    wrong["before_id=none"] = "before_id: there is no model none"
    async with (
        listing(tmp_path, *NAMES) as (router, _),
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
    ):
        for query, words in wrong.items():
            async with session.get(f"{router.base_url}/v1/models?{query}") as response:
                error = (await response.json())["error"]
            assert (query, response.status, error["type"]) == (query, 400, "invalid_request_error")
            assert error["message"].startswith(words)


async def test_one_model_is_found_by_its_id_also_with_slashes_and_patterns(tmp_path: Path) -> None:
    patterns = {"models": ("org/b", "claude-*"), "model_map": {"x y/ä?": "org/b"}}
    async with listing(tmp_path, *NAMES, **patterns) as (router, client):
        for model_id in ("org/b", "claude-opus-4-8", "auto", "x y/ä1"):
            assert (await client.models.retrieve(model_id)).id == model_id
        for stranger in ("a", "org", "org/b/c"):
            with pytest.raises(anthropic.NotFoundError, match=f"model: {stranger}"):
                await client.models.retrieve(stranger)
        async with (
            aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
            session.get(f"{router.base_url}/v1/models/org/b") as response,
        ):
            assert (await response.json())["id"] == "org/b"


# -- counts ----------------------------------------------------------------------------------------


@dataclass
class Counter:
    """An upstream that answers counts with `answer`, and notes what it was asked."""

    status: int = 200
    answer: Any = field(default_factory=lambda: {"input_tokens": 41})
    asked: list[Any] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["path"].endswith("/v1/messages/count_tokens")
        parts: list[bytes] = []
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        self.asked.append(json.loads(b"".join(parts)))
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(self.answer).encode()})

    def refuse(self, status: int, kind: str, words: str) -> None:
        self.status, self.answer = status, {"error": {"type": kind, "message": words}}


HUB = Hub()


@pytest.fixture(scope="module", autouse=True)
def hub() -> Iterator[None]:
    with HUB.serve():
        yield


@asynccontextmanager
async def counting(
    tmp_path: Path, upstream: Counter | str, allowed: Sequence[str] = (), **provider: Any
) -> AsyncGenerator[anthropic.AsyncAnthropic, None]:
    async with AsyncExitStack() as stack:
        url = HUB.url_of(upstream) if isinstance(upstream, Counter) else upstream
        server = await stack.enter_async_context(http_model(url))
        providers = Providers([Provider("p", server, **provider)])
        router = await stack.enter_async_context(
            running_router(tmp_path, server, FakeDispatcher(), providers=providers, allowed=allowed)
        )
        yield await router.client(strict=True)


async def count(client: anthropic.AsyncAnthropic, **changes: Any) -> int:
    asked = {"model": "m", "messages": MESSAGES} | changes
    return (await client.messages.count_tokens(**asked)).input_tokens


async def test_the_upstream_counts_what_would_be_sent_to_it_our_tools_included(
    tmp_path: Path,
) -> None:
    upstream = Counter()
    async with counting(tmp_path, upstream, ("echo",), model_map={"*": "big"}) as client:
        assert await count(client, system="be kind", tool_choice={"type": "auto"}) == 41
        beta = await client.beta.messages.count_tokens(model="m", messages=MESSAGES)
        assert beta.input_tokens == 41
    sent = upstream.asked[0]
    assert [tool["name"] for tool in sent.pop("tools")] == ["echo"]
    assert sent == {
        "model": "big",
        "messages": MESSAGES,
        "system": "be kind",
        "tool_choice": {"type": "auto"},
    }


async def test_a_scripted_upstream_counts_words_and_a_tool_of_ours_makes_it_more(
    tmp_path: Path,
) -> None:
    counts = []
    for number, allowed in enumerate(((), ("echo",))):
        async with running_router(
            tmp_path / str(number), model(), FakeDispatcher(), allowed=allowed
        ) as router:
            counts.append(await count(await router.client(strict=True)))
    assert counts[0] == count_words(MESSAGES)
    assert counts[1] > counts[0]


@pytest.mark.parametrize("status", [404, 501])
async def test_an_upstream_without_that_endpoint_is_asked_once_and_then_it_is_estimated(
    tmp_path: Path, status: int
) -> None:
    upstream = Counter(status, {"detail": "Not Found"})
    async with counting(tmp_path, upstream) as client:
        short = await count(client)
        long = await count(client, messages=[{"role": "user", "content": "word " * 1000}])
    assert 1 <= short < 40
    assert 1000 < long < 2500
    assert len(upstream.asked) == 1


async def test_a_model_that_the_upstream_does_not_know_does_not_end_the_counts_of_others(
    tmp_path: Path,
) -> None:
    upstream = Counter()
    async with counting(tmp_path, upstream) as client:
        upstream.refuse(404, "not_found_error", "model: unknown")
        with suppress(anthropic.NotFoundError):  # told, or estimated: both will do
            await count(client, model="unknown")
        upstream.status, upstream.answer = 200, {"input_tokens": 41}
        assert await count(client) == 41


async def test_without_a_count_of_the_upstream_it_is_estimated_our_tools_included(
    tmp_path: Path,
) -> None:
    counts = []
    for number, allowed in enumerate(((), ("echo",))):
        folder = tmp_path / str(number)
        async with counting(folder, "http://127.0.0.1:9", allowed) as client:
            counts.append(await count(client))
    assert 1 <= counts[0] < 40
    assert counts[1] > counts[0] + 100


async def test_an_upstream_that_is_not_well_or_tells_nonsense_does_not_fail_a_count(
    tmp_path: Path,
) -> None:
    upstream = Counter()
    async with counting(tmp_path, upstream) as client:
        for status in (401, 403, 429, 500, 529):
            upstream.refuse(status, "api_error", "not now")
            assert 1 <= await count(client) < 40
        upstream.status = 200
        nonsense: list[Any] = [[], {}, {"input_tokens": True}]
        for answer in nonsense:
            upstream.answer = answer
            assert 1 <= await count(client) < 40
        upstream.answer = {"input_tokens": 41}
        assert await count(client) == 41


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid_request_error"), (413, "x")])
async def test_what_the_upstream_says_of_the_request_itself_survives(
    tmp_path: Path, status: int, kind: str
) -> None:
    upstream = Counter()
    upstream.refuse(status, kind, "messages.0: in its own words")
    async with counting(tmp_path, upstream) as client:
        with pytest.raises(anthropic.APIStatusError, match="in its own words") as caught:
            await count(client)
    assert caught.value.status_code == status


async def test_a_request_that_cannot_be_counted_is_a_400_that_names_what_is_wrong(
    tmp_path: Path,
) -> None:
    async with listing(tmp_path, "m") as (_, client):
        for changes, words in (
            ({"messages": []}, "at least one message"),
            ({"model": ""}, "model: "),
            ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ):
            with pytest.raises(anthropic.BadRequestError, match=words):
                await count(client, **changes)
