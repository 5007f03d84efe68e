"""What a key may do, through the real router: limits, expiry, tools, and the end of a key."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anthropic
import anyio
import pytest

from auxot_tools.driver.ledger import MemoryLedger
from auxot_tools.ports import Attempt
from auxot_tools.router.key_file import KeyEntry, append_key, remove_key
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, ToolUseBlock, Turn
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, tool_spec
from tests.support.running import CHEAP, KEY, Router, running_router

pytestmark = pytest.mark.anyio

HELLO = Turn(blocks=(TextBlock(text="hello"),))
PATIENCE_S = 5.0


def calls(*names: str) -> Turn:
    uses = (ToolUseBlock(id=f"toolu_{n}", name=name) for n, name in enumerate(names))
    return Turn(blocks=tuple(uses), stop_reason="tool_use")


def by_round(*turns: Turn) -> ScriptedModel:
    return ScriptedModel(Scenario(turns=turns, select="by_round", after_last="repeat"))


def asked(words: str = "hi") -> dict[str, Any]:
    messages = [{"role": "user", "content": words}]
    return {"model": "m", "max_tokens": 100, "messages": messages}


def waiting_tool(until: anyio.Event) -> FakeDispatcher:
    return FakeDispatcher([FakeTool(tool_spec("echo"), until=until)])


@asynccontextmanager
async def limited(
    tmp_path: Path,
    model: ScriptedModel,
    dispatcher: FakeDispatcher | None = None,
    *,
    allowed: tuple[str, ...] = ("echo",),
    **key: Any,
) -> AsyncGenerator[tuple[Router, anthropic.AsyncAnthropic], None]:
    """A router whose one key has these limits, and a client with that key."""
    found = dispatcher or FakeDispatcher()
    async with running_router(tmp_path, model, found, allowed=allowed, key=key) as router:
        yield router, await router.client()


async def refused(
    client: anthropic.AsyncAnthropic, words: str = "one more"
) -> anthropic.RateLimitError:
    with pytest.raises(anthropic.RateLimitError) as caught:
        await client.messages.create(**asked(words))
    assert json.loads(caught.value.response.content)["error"]["type"] == "rate_limit_error"
    return caught.value


# -- the end of a key ------------------------------------------------------------------------------


async def test_an_expired_key_is_a_401_that_says_so_and_that_no_client_repeats(
    tmp_path: Path,
) -> None:
    model = by_round(HELLO)
    past = datetime.now(UTC) - timedelta(seconds=1)
    async with limited(tmp_path, model, expires=past) as (router, _):
        client = await router.client(max_retries=3)
        with pytest.raises(anthropic.AuthenticationError, match="has expired") as caught:
            await client.messages.create(**asked())
        with pytest.raises(anthropic.AuthenticationError):
            await client.models.list()
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.count_tokens(model="m", messages=asked()["messages"])
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert model.requests == []


async def test_a_key_that_has_not_expired_yet_opens(tmp_path: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=5)).replace(tzinfo=None)
    async with limited(tmp_path, by_round(HELLO), expires=soon) as (_, client):
        assert (await client.messages.create(**asked())).stop_reason == "end_turn"


async def test_a_revoked_key_stops_at_once_and_what_it_had_begun_goes_on(tmp_path: Path) -> None:
    until = anyio.Event()
    dispatcher, ended = waiting_tool(until), []

    async def begin(client: anthropic.AsyncAnthropic) -> None:
        ended.append((await client.beta.messages.create(**asked())).stop_reason)

    async with (
        limited(tmp_path, by_round(calls("echo"), HELLO), dispatcher) as (router, client),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(begin, client)
        await dispatcher.until(lambda fake: fake.running == 1)
        append_key(router.keys_file, KeyEntry(name="other", hash=CHEAP.hash("other-key")))
        remove_key(router.keys_file, "tester")
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(**asked("again"))
        other = await router.client(api_key="other-key")
        assert (await other.models.retrieve("m")).id == "m"
        until.set()
    assert ended == ["end_turn"]


async def test_limits_that_were_changed_in_the_file_count_at_once(tmp_path: Path) -> None:
    model = by_round(HELLO)
    async with limited(tmp_path, model) as (router, client):
        await client.messages.create(**asked())
        router.keys_file.write_text("")
        strict = {"requests_per_minute": 1, "allowed_tools": ()}
        append_key(
            router.keys_file,
            KeyEntry.model_validate({"name": "tester", "hash": CHEAP.hash(KEY), **strict}),
        )
        await client.messages.create(**asked())
        await refused(client)
    with_tools, without = map(json.loads, model.requests)
    assert "tools" in with_tools
    assert "tools" not in without


# -- how many --------------------------------------------------------------------------------------


async def test_more_requests_in_a_minute_than_a_key_may_send_are_told_when_to_come_back(
    tmp_path: Path,
) -> None:
    model = by_round(HELLO)
    async with limited(tmp_path, model, requests_per_minute=10) as (_, client):
        for number in range(10):
            await client.messages.create(**asked(str(number)))
        error = await refused(client)
    assert "10 requests a minute" in str(error)
    assert 1 <= int(error.response.headers["retry-after"]) <= 6
    assert len(model.requests) == 10


async def test_a_second_request_at_once_is_refused_and_the_third_after_the_first_is_served(
    tmp_path: Path,
) -> None:
    until = anyio.Event()
    dispatcher = waiting_tool(until)
    model = by_round(calls("echo"), HELLO)
    async with limited(tmp_path, model, dispatcher, concurrent_requests=1) as (_, client):
        async with anyio.create_task_group() as tasks:

            async def begin() -> None:
                await client.beta.messages.create(**asked())

            tasks.start_soon(begin)
            await dispatcher.until(lambda fake: fake.running == 1)
            error = await refused(client)
            until.set()
        assert (await client.beta.messages.create(**asked("third"))).stop_reason == "end_turn"
    assert "1 requests at once" in str(error)
    assert error.response.headers["retry-after"] == "1"


async def test_a_request_that_was_refused_or_failed_leaves_its_place(tmp_path: Path) -> None:
    async with limited(tmp_path, by_round(HELLO), concurrent_requests=1) as (_, client):
        for _ in range(3):
            with pytest.raises(anthropic.BadRequestError):
                await client.messages.create(**asked() | {"max_tokens": -1})
        async with client.messages.stream(**asked()) as stream:
            assert (await stream.get_final_message()).stop_reason == "end_turn"
        assert (await client.messages.create(**asked("last"))).stop_reason == "end_turn"


async def test_a_client_that_leaves_gives_its_place_back(tmp_path: Path) -> None:
    slow = Turn(blocks=(TextBlock(text="a b c"),), first_event_delay_s=30)
    model = ScriptedModel(Scenario(turns=(slow, HELLO), after_last="repeat"))
    async with limited(tmp_path, model, concurrent_requests=1) as (router, _):
        hasty = await router.client(timeout=0.3)
        with pytest.raises(anthropic.APITimeoutError):
            await hasty.messages.create(**asked())
        patient = await router.client(max_retries=5)
        with anyio.fail_after(PATIENCE_S):
            assert (await patient.messages.create(**asked("next"))).stop_reason == "end_turn"


class NotingLedger:
    """A `Ledger` that counts the attempts that came to it."""

    def __init__(self, note: Callable[[], None]) -> None:
        self.attempts = 0
        self._ledger = MemoryLedger()
        self._note = note

    def knows(self, owner: str, digest: bytes) -> bool:
        return self._ledger.knows(owner, digest)

    def attempt(self, owner: str, digest: bytes) -> AbstractAsyncContextManager[Attempt]:
        self.attempts += 1
        self._note()
        return self._ledger.attempt(owner, digest)


@pytest.mark.parametrize("limit", ["concurrent_requests", "concurrent_calls"])
async def test_the_repeat_of_a_request_whose_connection_broke_joins_it_and_takes_no_place_more(
    tmp_path: Path, limit: str
) -> None:
    until = anyio.Event()
    dispatcher, statuses = waiting_tool(until), list[int]()
    ledger = NotingLedger(dispatcher.note)
    model = by_round(calls("echo"), HELLO)

    async def repeat(client: anthropic.AsyncAnthropic) -> None:
        raw = client.beta.messages.with_raw_response
        try:
            statuses.append((await raw.create(**asked())).http_response.status_code)
        except anthropic.APIStatusError as error:
            statuses.append(error.status_code)
        dispatcher.note()

    async with (
        running_router(tmp_path, model, dispatcher, key={limit: 1}, ledger=ledger) as router,
        anyio.create_task_group() as tasks,
    ):
        hasty = await router.client(timeout=0.3)
        with pytest.raises(anthropic.APITimeoutError):
            await hasty.beta.messages.create(**asked())
        tasks.start_soon(repeat, await router.client())
        await dispatcher.until(lambda _: bool(statuses) or ledger.attempts == 2)
        until.set()
    assert statuses == [200]
    assert len(dispatcher.calls) == 1


# -- calls -----------------------------------------------------------------------------------------


async def test_while_its_calls_take_all_places_a_key_has_no_second_request(tmp_path: Path) -> None:
    until = anyio.Event()
    dispatcher = waiting_tool(until)
    model = by_round(calls("echo"), HELLO)
    async with limited(tmp_path, model, dispatcher, concurrent_calls=1) as (router, client):
        append_key(
            router.keys_file,
            KeyEntry(name="other", hash=CHEAP.hash("other-key"), concurrent_calls=1),
        )
        other = await router.client(api_key="other-key")
        async with anyio.create_task_group() as tasks:
            for each in (client, other):  # keys have their places apart
                tasks.start_soon(lambda one: one.beta.messages.create(**asked()), each)
            await dispatcher.until(lambda fake: fake.running == 2)
            errors = [await refused(client), await refused(other)]
            until.set()
        assert (await client.beta.messages.create(**asked("third"))).stop_reason == "end_turn"
    assert ["1 tool calls at once" in str(error) for error in errors] == [True, True]
    assert errors[0].response.headers["retry-after"] == "1"


async def test_calls_of_one_turn_take_turns_when_a_key_may_have_one_at_once(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher()
    model = by_round(calls("echo", "echo", "echo"), HELLO)
    async with limited(tmp_path, model, dispatcher, concurrent_calls=1) as (_, client):
        message = await client.beta.messages.create(**asked())
    assert [block.type for block in message.content][-1] == "text"
    assert len(dispatcher.finished) == 3
    assert dispatcher.most_running == 1
    results = json.loads(model.requests[1])["messages"][-1]["content"]
    assert [result["tool_use_id"] for result in results] == ["toolu_0", "toolu_1", "toolu_2"]
    assert not any(result.get("is_error") for result in results)


async def test_without_a_limit_the_calls_of_one_turn_run_side_by_side(tmp_path: Path) -> None:
    until = anyio.Event()
    dispatcher = waiting_tool(until)
    model = by_round(calls("echo", "echo", "echo"), HELLO)
    async with (
        limited(tmp_path, model, dispatcher, concurrent_calls=3) as (_, client),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(lambda: client.beta.messages.create(**asked()))
        await dispatcher.until(lambda fake: fake.running == 3)
        until.set()


# -- tools -----------------------------------------------------------------------------------------


async def test_keys_are_offered_what_both_they_and_the_router_allow(tmp_path: Path) -> None:
    model = by_round(HELLO)
    dispatcher = FakeDispatcher([echo_tool("echo"), echo_tool("look"), echo_tool("secret")])
    tools = {"one": ("look",), "two": ("look", "secret", "none"), "three": (), "four": ("secret",)}
    async with limited(tmp_path, model, dispatcher, allowed=("echo", "look")) as (router, client):
        await client.messages.create(**asked())
        for name, allowed in tools.items():
            entry = KeyEntry(name=name, hash=CHEAP.hash(f"key-{name}"), allowed_tools=allowed)
            append_key(router.keys_file, entry)
            await (await router.client(api_key=f"key-{name}")).messages.create(**asked())
    sent = [json.loads(body) for body in model.requests]
    names = [[tool["name"] for tool in body.get("tools", [])] for body in sent]
    assert names == [["echo", "look"], ["look"], ["look"], [], []]
    assert ["tools" in body for body in sent] == [True, True, True, False, False]


async def test_a_tool_that_the_key_may_not_use_is_not_run_when_the_model_calls_it_all_the_same(
    tmp_path: Path,
) -> None:
    dispatcher = FakeDispatcher([echo_tool("echo"), echo_tool("look")])
    model = by_round(calls("echo"), HELLO)
    async with limited(
        tmp_path, model, dispatcher, allowed=("echo", "look"), allowed_tools=("look",)
    ) as (_, client):
        message = await client.beta.messages.create(**asked())
    assert dispatcher.calls == []
    assert message.content[0].type == "tool_use"
