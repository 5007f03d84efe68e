"""What is given beside a message: options reach every call, and wrong ones are refused at once."""

from typing import Any

import pytest

from auxot_tools.client import AsyncClient, Status
from auxot_tools.client.anthropic import runner_tools
from auxot_tools.errors import ConfigError, RequestError
from tests.support.client_calls import message, over, says, use
from tests.support.fake_dispatcher import FakeDispatcher

pytestmark = pytest.mark.anyio


async def test_options_reach_every_call_of_the_turn() -> None:
    dispatcher = FakeDispatcher()
    options: dict[str, Any] = {"session": "s", "tenant": "t", "files": {"a.csv": b"1,2"}}
    async with AsyncClient.over(over(dispatcher)) as client:
        await client.run(message(use("toolu_1"), use("toolu_2")), timeout_s=7, **options)
    for call, deadline in zip(dispatcher.calls, dispatcher.deadlines, strict=True):
        assert (call.session, call.tenant, call.request_id) == ("s", "t", "msg_1")
        assert [(file.name, file.data) for file in call.files] == [("a.csv", b"1,2")]
        assert deadline.remaining_s() < 7
    keys = [call.idempotency_key for call in dispatcher.calls]
    assert keys == ["msg_1:0:toolu_1", "msg_1:1:toolu_2"]


async def test_options_that_cannot_be_are_refused_in_plain_words() -> None:
    async with AsyncClient.over(over(FakeDispatcher())) as client:
        for timeout_s in (0, -1, float("nan"), float("inf")):
            with pytest.raises(RequestError, match="timeout_s: give seconds"):
                await client.call("echo", timeout_s=timeout_s)
        for name in ("", None, 5):
            odd: Any = name
            with pytest.raises(RequestError, match="name: give the name of a tool"):
                await client.call(odd)


WRONG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"timeout": 5}, "no option timeout; allowed: timeout_s, session, tenant, files$"),
    ({"timeout_s": "5"}, "timeout_s: give seconds, more than 0 and at most 86400"),
    ({"timeout_s": True}, "timeout_s: give seconds"),
    ({"session": 5}, "session: give a text, not of type int; leave it out for none"),
    ({"session": None}, "session: give a text, not None"),
    ({"tenant": b"t"}, "tenant: give a text, not of type bytes"),
    ({"files": ["a.csv"]}, 'files: give names and bytes, such as {"data.csv"'),
    ({"files": {"a.txt": "text"}}, 'files: "a.txt" is no bytes; read the file'),
    ({"files": {1: b""}}, "files: the name of a file is a text, not of type int"),
]


@pytest.mark.parametrize(("options", "told"), WRONG_OPTIONS)
async def test_an_option_of_a_wrong_name_or_type_is_refused_and_nothing_is_run(
    options: dict[str, Any], told: str
) -> None:
    dispatcher = FakeDispatcher()
    async with AsyncClient.over(over(dispatcher)) as client:
        for asked in (
            client.call("echo", **options),
            client.run(message(use("a")), **options),
            client.run(message(says("Hi."), stop="end_turn"), **options),
            client.run(message(use("a"), stop="refusal"), **options),
        ):
            with pytest.raises(RequestError, match=told):
                await asked
    assert dispatcher.calls == []


async def test_tools_that_are_no_names_are_refused() -> None:
    for tools in (5, ["echo", None], b"echo"):
        odd: Any = tools
        with pytest.raises(RequestError, match="tools: give the names of tools"):
            AsyncClient.over(over(FakeDispatcher()), tools=odd)
        async with AsyncClient.over(over(FakeDispatcher())) as client:
            for asked in (client.specs(odd), client.run(message(use("a")), tools=odd)):
                with pytest.raises(RequestError, match="tools: give the names of tools"):
                    await asked


async def test_a_client_is_opened_once() -> None:
    client = AsyncClient.over(over(FakeDispatcher()))
    async with client:
        with pytest.raises(RequestError, match="opened before, and a client is opened once"):
            await client.__aenter__()
        assert (await client.call("echo")).status is Status.COMPLETED
    with pytest.raises(RequestError, match="opened before"):
        await client.__aenter__()


async def test_a_runner_is_told_of_a_wrong_option_before_it_runs() -> None:
    odd: dict[str, Any] = {"timeout": 5}
    async with AsyncClient.over(over(FakeDispatcher())) as client:
        with pytest.raises(RequestError, match="no option timeout"):
            await runner_tools(client, **odd)


async def test_settings_that_are_no_file_are_refused() -> None:
    odd: Any = 5
    with pytest.raises(ConfigError, match="config: give the path of a file, not of type int"):
        AsyncClient.local(odd)
